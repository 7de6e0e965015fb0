// JavaScript's hold on one open lockspace of the emulated fs/dlm (lib/native.ts:
// NativeFsdlmConnection). What UserConnection is for the kernel's, with the same methods and
// states.
//
// Threads: the environment's own; the engine only calls OnEventsPending(), from any thread.
#ifndef STACKGLUE_NATIVE_BINDING_FSDLM_CONNECTION_H_
#define STACKGLUE_NATIVE_BINDING_FSDLM_CONNECTION_H_

#include <napi.h>

#include <memory>

#include "binding/cleanup_hook.h"
#include "binding/event_channel.h"
#include "binding/external_memory.h"
#include "binding/loop_turns.h"
#include "binding/names.h"
#include "binding/object_memory.h"
#include "emulation/lockspace.h"
#include "util/event_sink.h"

namespace stackglue::binding {

class FsdlmConnection final : public ObjectMemory,
                              public Napi::ObjectWrap<FsdlmConnection>,
                              private EventSink,
                              private order::EventListener {
 public:
  static Napi::Function Define(Napi::Env env);

  // fsdlmKillNode(cluster, node): 0 or a negative errno.
  static Napi::Value KillNode(const Napi::CallbackInfo& info);

  // fsdlmInspect(cluster, lockspace): see lib/native.ts.
  static Napi::Value Inspect(const Napi::CallbackInfo& info);

  // new (options, batch, onEvents, onState): see lib/native.ts. Opens the lockspace.
  explicit FsdlmConnection(const Napi::CallbackInfo& info);
  ~FsdlmConnection() override;

 private:
  napi_value Lock(napi_env env, size_t count, const napi_value* arguments);
  napi_value Request(napi_env env);
  Napi::Value DeadlockCancel(const Napi::CallbackInfo& info);
  Napi::Value Purge(const Napi::CallbackInfo& info);
  Napi::Value Members(const Napi::CallbackInfo& info);
  Napi::Value Membership(const Napi::CallbackInfo& info);
  Napi::Value Versions(const Napi::CallbackInfo& info);
  Napi::Value OwnerPid(const Napi::CallbackInfo& info);
  void Begin(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);
  void Ref(const Napi::CallbackInfo& info);
  void Unref(const Napi::CallbackInfo& info);

  void OnEventsPending() noexcept override { turns_.Wake(); }
  void OnWake();
  napi_value More(napi_env env);
  void TellNotice(const Notice& notice) override;
  void TellResults(size_t count) override { events_->Deliver(count); }
  void ReportState(const char* state, int code, int error);
  void BeginClose();
  void OnClosed();

  ExternalMemory memory_;
  LoopTurns turns_;
  std::unique_ptr<emulation::Lockspace> lockspace_;
  int open_error_ = 0;
  std::unique_ptr<EventChannel> events_;
  Napi::FunctionReference on_state_;
  std::unique_ptr<Napi::AsyncContext> state_context_;
  std::unique_ptr<CleanupHook> cleanup_hook_;
  Names names_;
  bool opened_ = false;
  bool closing_ = false;
  bool tearing_down_ = false;  // the environment ends: JavaScript must not be called at all
};

}  // namespace stackglue::binding

#endif  // STACKGLUE_NATIVE_BINDING_FSDLM_CONNECTION_H_
