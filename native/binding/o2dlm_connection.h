// JavaScript's hold on one member of an o2dlm domain (lib/native.ts: NativeO2dlmConnection).
//
// Threads: the environment's own; the engine only calls OnEventsPending(), from any thread.
#ifndef STACKGLUE_NATIVE_BINDING_O2DLM_CONNECTION_H_
#define STACKGLUE_NATIVE_BINDING_O2DLM_CONNECTION_H_

#include <napi.h>
#include <uv.h>

#include <array>
#include <memory>

#include "binding/cleanup_hook.h"
#include "binding/event_channel.h"
#include "o2dlm/o2dlm.h"
#include "util/slot_table.h"
#include "util/status_block.h"

namespace stackglue::binding {

class O2dlmConnection final : public Napi::ObjectWrap<O2dlmConnection>, private o2dlm::EventSink {
 public:
  static Napi::Function Define(Napi::Env env);

  // o2dlmKillNode(cluster, node): 0 or a negative errno.
  static Napi::Value KillNode(const Napi::CallbackInfo& info);

  // new (options, batch, onEvents, onClosed): see lib/native.ts. Joins the domain.
  explicit O2dlmConnection(const Napi::CallbackInfo& info);
  ~O2dlmConnection() override;

 private:
  struct LockRecord {
    o2dlm::LockId id = 0;
    StatusBlock status_block;
    uint64_t completed_in_batch = 0;
  };

  Napi::Value Lock(const Napi::CallbackInfo& info);
  Napi::Value Convert(const Napi::CallbackInfo& info);
  Napi::Value Unlock(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);
  void Ref(const Napi::CallbackInfo& info);
  void Unref(const Napi::CallbackInfo& info);
  Napi::Value JoinStatus(const Napi::CallbackInfo& info);
  Napi::Value Version(const Napi::CallbackInfo& info);

  void OnEventsPending() noexcept override { uv_async_send(&wake_); }
  void Drain();
  bool HandleEvent(const o2dlm::Event& event, EventRecord* record);
  void BeginClose();
  void OnClosed();

  std::shared_ptr<o2dlm::Cluster> cluster_;
  std::unique_ptr<o2dlm::Member> member_;
  o2dlm::ProtocolVersion version_;
  int join_status_ = 0;
  std::unique_ptr<EventChannel> events_;
  Napi::FunctionReference on_closed_;
  std::unique_ptr<Napi::AsyncContext> closed_context_;
  std::unique_ptr<CleanupHook> cleanup_hook_;
  uv_async_t wake_{};
  bool closing_ = false;
  bool tearing_down_ = false;

  SlotTable<LockRecord> locks_;
  uint64_t batch_number_ = 0;
  std::array<EventRecord, kBatchMax> batch_;
  // An event that would have been its lock's second completion in a batch waits here.
  o2dlm::Event held_;
  bool has_held_ = false;
};

}  // namespace stackglue::binding

#endif  // STACKGLUE_NATIVE_BINDING_O2DLM_CONNECTION_H_
