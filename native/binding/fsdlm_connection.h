// JavaScript's hold on one open lockspace of the emulated fs/dlm (lib/native.ts:
// NativeFsdlmConnection). What UserConnection is for the kernel's, with the same methods and
// states.
//
// Threads: the environment's own; the engine only wakes LoopTurns, from any thread.
#ifndef STACKGLUE_NATIVE_BINDING_FSDLM_CONNECTION_H_
#define STACKGLUE_NATIVE_BINDING_FSDLM_CONNECTION_H_

#include <napi.h>

#include <memory>

#include "binding/external_memory.h"
#include "binding/loop_turns.h"
#include "binding/object_memory.h"
#include "binding/script_side.h"
#include "emulation/lockspace.h"

namespace stackglue::binding {

class FsdlmConnection final : public ObjectMemory,
                              public Napi::ObjectWrap<FsdlmConnection>,
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
  // Null: it takes no requests (any more).
  user::LockBook* Book() const;
  static napi_value Request(napi_env env, napi_callback_info info);
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

  void OnOpened();
  static napi_value More(napi_env env, napi_callback_info info);
  void TellNotice(const Notice& notice) override;
  void TellResults(size_t count) override { script_.events()->Deliver(count); }
  void BeginClose();
  void OnClosed();

  ExternalMemory memory_;
  LoopTurns turns_;
  std::unique_ptr<emulation::Lockspace> lockspace_;
  int open_error_ = 0;
  ScriptSide script_;
  bool closing_ = false;
};

}  // namespace stackglue::binding

#endif  // STACKGLUE_NATIVE_BINDING_FSDLM_CONNECTION_H_
