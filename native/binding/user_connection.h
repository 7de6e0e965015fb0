// JavaScript's hold on one lockspace of the kernel's DLM (lib/native.ts: NativeUserConnection).
//
// Threads: the environment's own; the Lockspace's thread only calls Wake().
//
//                    constructor
//                         |
//                      opening --- Lockspace fails (OnWake) -----------+
//                         |                                           |
//                 OnWake: kOpen, StartPolls                            |
//                         |                                           |
//                       open --- Close(), CleanupHook ---> closing     |
//                                                             |        |
//                                             OnWake: kClosed |        |
//                                                             v        v
//                                             Finish(): thread joined, handles closed
//                                                             |
//                                       OnHandleClosed (last): "closed" reported, Unref
#ifndef STACKGLUE_NATIVE_BINDING_USER_CONNECTION_H_
#define STACKGLUE_NATIVE_BINDING_USER_CONNECTION_H_

#include <napi.h>
#include <uv.h>

#include <array>
#include <memory>
#include <vector>

#include "binding/cleanup_hook.h"
#include "binding/event_channel.h"
#include "libdlm/lockspace.h"

namespace stackglue::binding {

class UserConnection final : public Napi::ObjectWrap<UserConnection>, private libdlm::Waker {
 public:
  static Napi::Function Define(Napi::Env env);

  // new (options, batch, onEvents, onState): see lib/native.ts.
  explicit UserConnection(const Napi::CallbackInfo& info);
  ~UserConnection() override;

 private:
  Napi::Value Lock(const Napi::CallbackInfo& info);
  Napi::Value Convert(const Napi::CallbackInfo& info);
  Napi::Value Unlock(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);
  void Ref(const Napi::CallbackInfo& info);
  void Unref(const Napi::CallbackInfo& info);

  void Wake() noexcept override { uv_async_send(&wake_); }
  void OnWake();
  void StartPolls();
  void StopPolls();
  void Drain();
  void BeginClose();
  void Finish();
  void OnHandleClosed();
  void ReportState(const char* state, int code, int error, const std::string& detail);
  void SetReferenced(bool referenced);

  template <typename Handle>
  void CloseHandle(Handle* handle);
  template <typename Visit>
  void ForEachPoll(Visit visit);

  std::unique_ptr<libdlm::Lockspace> lockspace_;
  std::unique_ptr<EventChannel> events_;
  Napi::FunctionReference on_state_;
  std::unique_ptr<Napi::AsyncContext> state_context_;
  std::unique_ptr<CleanupHook> cleanup_hook_;

  uv_async_t wake_{};
  uv_poll_t device_poll_{};
  uv_poll_t membership_poll_{};
  bool polls_open_ = false;
  int open_handles_ = 0;
  bool opened_ = false;
  bool finishing_ = false;
  bool silent_ = false;        // close was asked for: no event reaches JavaScript any more
  bool tearing_down_ = false;  // the environment ends: JavaScript must not be called at all
  bool referenced_ = true;

  std::array<EventRecord, kBatchMax> batch_;
  std::vector<libdlm::Membership::Departure> departures_;
};

}  // namespace stackglue::binding

#endif  // STACKGLUE_NATIVE_BINDING_USER_CONNECTION_H_
