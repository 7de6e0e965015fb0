#include "binding/script_side.h"

#include <utility>

namespace stackglue::binding {

void ScriptSide::Listen(const Napi::CallbackInfo& info, std::function<void()> on_teardown) {
  env_ = info.Env();
  // All that needs memory comes first, the hook, which has this object's address, last of it.
  events_ =
      std::make_unique<EventChannel>(info[1].As<Napi::Int32Array>(), info[2].As<Napi::Function>());
  state_context_ = std::make_unique<Napi::AsyncContext>(env_, "stackglue:connection");
  on_teardown_ = std::move(on_teardown);
  cleanup_hook_ = std::make_unique<CleanupHook>(env_, [this] {
    is_tearing_down_ = true;
    on_teardown_();
  });
  on_state_ = Napi::Persistent(info[3].As<Napi::Function>());
}

void ScriptSide::ReportState(const char* state, int code, int number, const std::string& detail) {
  if (is_tearing_down_) return;
  const Napi::HandleScope scope(env_);
  CallAsTask(on_state_, *state_context_,
             {Napi::String::New(env_, state), Napi::Number::New(env_, code),
              Napi::Number::New(env_, number), Napi::String::New(env_, detail)});
}

void ScriptSide::Close(int code) {
  if (!is_tearing_down_) {
    const Napi::HandleScope scope(env_);
    ReportState("closed", code, 0);
    events_.reset();
    on_state_.Reset();
    state_context_.reset();
  }
  cleanup_hook_->Done();
}

}  // namespace stackglue::binding
