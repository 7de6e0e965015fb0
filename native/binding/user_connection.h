// JavaScript's hold on one lockspace of the kernel's DLM (lib/native.ts: NativeUserConnection).
//
// Threads: the environment's own; nothing here waits.
//
//                    constructor: Lockspace, keeper and signal polled
//                         |
//                      opening --- OnState: kFailed -------------------+
//                         |                                           |
//                 OnState: kOpen, StartPolls                           |
//                         |                                           |
//                       open --- Close(), CleanupHook ---> closing     |
//                                            (BeginClose)     |        |
//                                OnState: kClosed, or OnTime           |
//                                                             v        v
//                                             Finish(): handles closed, Lockspace deleted
//                                                             |
//                                       OnHandleClosed (last): "closed" reported, Unref
#ifndef STACKGLUE_NATIVE_BINDING_USER_CONNECTION_H_
#define STACKGLUE_NATIVE_BINDING_USER_CONNECTION_H_

#include <napi.h>
#include <uv.h>

#include <memory>
#include <optional>

#include "binding/external_memory.h"
#include "binding/object_memory.h"
#include "binding/script_side.h"
#include "kernel/lockspace.h"
#include "order/delivery.h"

namespace stackglue::binding {

class UserConnection final : public ObjectMemory,
                             public Napi::ObjectWrap<UserConnection>,
                             private order::EventListener {
 public:
  static Napi::Function Define(Napi::Env env);

  // new (options, batch, onEvents, onState): see lib/native.ts.
  explicit UserConnection(const Napi::CallbackInfo& info);
  ~UserConnection() override;

 private:
  // Null: it takes no requests any more.
  kernel::Lockspace* OpenLockspace() const { return silent_ ? nullptr : lockspace_.get(); }
  user::LockBook* Book() const { return OpenLockspace() ? lockspace_->OpenBook() : nullptr; }
  static napi_value Request(napi_env env, napi_callback_info info);
  static napi_value More(napi_env env, napi_callback_info info);
  void AfterRequest();
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

  // A descriptor of the lockspace that the loop polls.
  struct Poll {
    uv_poll_t handle{};
    bool is_open = false;
  };

  void OnKeeper();
  void OnSignal();
  void OnTime();
  void OnState();
  void HoldBack();
  void TellNotice(const Notice& notice) override;
  void TellResults(size_t count) override { script_.events()->Deliver(count); }
  void BeginClose(int deadline_ms);
  void Finish();
  void OnHandleClosed();
  void ArmTimer();
  void SetReferenced(bool referenced);

  template <void (UserConnection::*OnReadable)()>
  void StartPoll(Poll* poll, int fd);
  template <void (UserConnection::*OnReadable)()>
  void ResumePoll(Poll* poll);
  void StopPoll(Poll* poll);
  template <typename Handle>
  void CloseHandle(Handle* handle);
  template <typename Visit>
  void ForEachPoll(Visit visit);

  ExternalMemory memory_;
  order::EventOrder order_{order::Clock::Steady()};
  std::unique_ptr<kernel::Lockspace> lockspace_;
  // As long as JavaScript may be told.
  std::optional<order::Delivery> delivery_;
  ScriptSide script_;

  uv_loop_t* loop_ = nullptr;
  Poll keeper_poll_;
  Poll signal_poll_;
  Poll device_poll_;
  Poll watch_poll_;
  uv_timer_t timer_{};
  uint64_t deadline_ = 0;  // of closing, in the loop's time; 0: none
  int open_handles_ = 0;
  bool opened_ = false;
  bool finishing_ = false;
  bool timed_out_ = false;
  bool drops_later_ = false;  // the locks, when the connection was closed
  bool silent_ = false;       // close was asked for: no event reaches JavaScript any more
  bool referenced_ = true;

  bool is_held_ = false;  // results: the device is not polled
};

}  // namespace stackglue::binding

#endif  // STACKGLUE_NATIVE_BINDING_USER_CONNECTION_H_
