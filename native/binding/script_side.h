// What every connection has of JavaScript: the batches and states that it tells of, the calls of
// every lock, and the end of its environment.
//
// Threads: the environment's own. Nothing of it is called inside a call from JavaScript but Open()
// and words(), so no listener runs before the call that caused it has returned.
//
// Invariant: once the environment ends, JavaScript is not called any more.
#ifndef STACKGLUE_NATIVE_BINDING_SCRIPT_SIDE_H_
#define STACKGLUE_NATIVE_BINDING_SCRIPT_SIDE_H_

#include <napi.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "binding/cleanup_hook.h"
#include "binding/event_channel.h"
#include "binding/fast_call.h"

namespace stackglue::binding {

// To be a member of the connection's class.
class ScriptSide {
 public:
  ScriptSide() = default;
  ScriptSide(const ScriptSide&) = delete;
  ScriptSide& operator=(const ScriptSide&) = delete;

  // To be called once, by the constructor of `self`: `info` is that call, as
  // EventChannel::Accepts() wants it. Throws std::bad_alloc; then nothing has the address of
  // `self`, which may go. The object gets the methods `request` and `more`, and `on_teardown` is
  // called when the environment ends, which waits for Close() then.
  template <class Class>
  void Open(const Napi::CallbackInfo& info, Class* self, napi_callback request, napi_callback more,
            std::function<void()> on_teardown) {
    Listen(info, std::move(on_teardown));
    DefineFastCall(info, self, "request", request);
    DefineFastCall(info, self, "more", more);
  }

  // From Open() until Close(); null otherwise.
  EventChannel* events() const { return events_.get(); }
  // What is behind the batch; null when events() is.
  BatchState* words() const { return events_ ? events_->state() : nullptr; }

  // The environment ends.
  bool is_tearing_down() const { return is_tearing_down_; }

  // Calls onState(state, code, number, detail): see lib/native.ts.
  void ReportState(const char* state, int code, int number, const std::string& detail = {});

  // The connection has ended: reports "closed" with `code`, and lets go of JavaScript.
  void Close(int code);

 private:
  void Listen(const Napi::CallbackInfo& info, std::function<void()> on_teardown);

  napi_env env_ = nullptr;
  std::unique_ptr<EventChannel> events_;
  Napi::FunctionReference on_state_;
  std::unique_ptr<Napi::AsyncContext> state_context_;
  std::function<void()> on_teardown_;
  std::unique_ptr<CleanupHook> cleanup_hook_;
  bool is_tearing_down_ = false;
};

}  // namespace stackglue::binding

#endif  // STACKGLUE_NATIVE_BINDING_SCRIPT_SIDE_H_
