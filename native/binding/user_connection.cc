#include "binding/user_connection.h"

#include <linux/dlm.h>

#include <cerrno>
#include <new>
#include <system_error>

#include "binding/arguments.h"

namespace stackglue::binding {

using libdlm::Lockspace;

Napi::Function UserConnection::Define(Napi::Env env) {
  return DefineClass(env, "NativeUserConnection",
                     {
                         InstanceMethod<&UserConnection::Lock>("lock"),
                         InstanceMethod<&UserConnection::Convert>("convert"),
                         InstanceMethod<&UserConnection::Unlock>("unlock"),
                         InstanceMethod<&UserConnection::Close>("close"),
                         InstanceMethod<&UserConnection::Ref>("ref"),
                         InstanceMethod<&UserConnection::Unref>("unref"),
                     });
}

UserConnection::UserConnection(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  const Napi::Env env = info.Env();
  if (!EventChannel::Accepts(info)) {
    ThrowBadArguments(env, "NativeUserConnection");
    return;
  }
  const auto given = info[0].As<Napi::Object>();
  const Napi::Value name = given.Get("name");
  const Napi::Value library = given.Get("library");
  const auto mode = ReadInteger<uint32_t>(given.Get("mode"));
  if (!name.IsString() || !library.IsString() || !mode) {
    ThrowBadArguments(env, "NativeUserConnection");
    return;
  }
  Lockspace::Options options;
  options.name = name.As<Napi::String>();
  options.library = library.As<Napi::String>();
  options.create = given.Get("create").ToBoolean();
  options.mode = static_cast<mode_t>(*mode);

  uv_loop_t* loop = nullptr;
  napi_get_uv_event_loop(env, &loop);
  if (uv_async_init(loop, &wake_, [](uv_async_t* handle) {
        static_cast<UserConnection*>(handle->data)->OnWake();
      }) != 0) {
    Napi::Error::New(env, "stackglue addon: no event loop handle").ThrowAsJavaScriptException();
    return;
  }
  wake_.data = this;
  open_handles_ = 1;
  ObjectWrap::Ref();  // until the last handle is closed
  events_ =
      std::make_unique<EventChannel>(info[1].As<Napi::Int32Array>(), info[2].As<Napi::Function>());
  on_state_ = Napi::Persistent(info[3].As<Napi::Function>());
  state_context_ = std::make_unique<Napi::AsyncContext>(env, "stackglue:connection");
  cleanup_hook_ = std::make_unique<CleanupHook>(env, [this] {
    tearing_down_ = true;
    BeginClose();
  });
  try {
    lockspace_ = std::make_unique<Lockspace>(std::move(options), static_cast<Waker*>(this));
  } catch (const std::exception& error) {
    silent_ = true;
    Finish();
    Napi::Error::New(env,
                     std::string("stackglue addon: no thread for the lockspace: ") + error.what())
        .ThrowAsJavaScriptException();
  }
}

UserConnection::~UserConnection() = default;

Napi::Value UserConnection::Lock(const Napi::CallbackInfo& info) {
  const auto status_block = ReadStatusBlock(info[0], info[1]);
  const auto mode = ReadInteger<int32_t>(info[2]);
  const auto flags = ReadInteger<uint32_t>(info[3]);
  LockName name;
  if (!status_block || !mode || !flags || !name.Read(info[4])) {
    return ThrowBadArguments(info.Env(), "lock");
  }
  int64_t result = -ENOTCONN;
  if (lockspace_ && !silent_) {
    try {
      result = lockspace_->Lock(*mode, *flags, name.view(), *status_block);
    } catch (const std::bad_alloc&) {
      result = -ENOMEM;
    }
  }
  return Napi::Number::New(info.Env(), static_cast<double>(result));
}

Napi::Value UserConnection::Convert(const Napi::CallbackInfo& info) {
  const auto index = ReadInteger<uint32_t>(info[0]);
  const auto mode = ReadInteger<int32_t>(info[1]);
  const auto flags = ReadInteger<uint32_t>(info[2]);
  if (!index || !mode || !flags) return ThrowBadArguments(info.Env(), "convert");
  int result = -ENOTCONN;
  if (lockspace_ && !silent_) result = lockspace_->Convert(*index, *mode, *flags);
  return Napi::Number::New(info.Env(), result);
}

Napi::Value UserConnection::Unlock(const Napi::CallbackInfo& info) {
  const auto index = ReadInteger<uint32_t>(info[0]);
  const auto flags = ReadInteger<uint32_t>(info[1]);
  if (!index || !flags) return ThrowBadArguments(info.Env(), "unlock");
  int result = -ENOTCONN;
  if (lockspace_ && !silent_) result = lockspace_->Unlock(*index, *flags);
  return Napi::Number::New(info.Env(), result);
}

void UserConnection::Close(const Napi::CallbackInfo&) { BeginClose(); }

void UserConnection::Ref(const Napi::CallbackInfo&) { SetReferenced(true); }

void UserConnection::Unref(const Napi::CallbackInfo&) { SetReferenced(false); }

void UserConnection::OnWake() {
  if (finishing_ || !lockspace_) return;
  switch (lockspace_->state()) {
    case Lockspace::State::kOpening:
      break;
    case Lockspace::State::kOpen:
      if (!opened_) {
        opened_ = true;
        if (!silent_) {
          StartPolls();
          ReportState("open", lockspace_->this_node(), 0, {});
          break;
        }
      }
      if (!silent_) Drain();
      break;
    case Lockspace::State::kClosing:
      break;
    case Lockspace::State::kFailed:
    case Lockspace::State::kClosed:
      Finish();
      break;
  }
}

template <typename Visit>
void UserConnection::ForEachPoll(Visit visit) {
  if (!polls_open_) return;
  visit(&device_poll_);
  visit(&membership_poll_);
}

void UserConnection::StartPolls() {
  uv_loop_t* loop = wake_.loop;
  // Neither can fail: both descriptors were just opened, and both can be polled.
  uv_poll_init(loop, &device_poll_, lockspace_->device_fd());
  uv_poll_init(loop, &membership_poll_, lockspace_->membership_fd());
  polls_open_ = true;
  open_handles_ += 2;
  ForEachPoll([this](uv_poll_t* poll) {
    poll->data = this;
    uv_poll_start(poll, UV_READABLE, [](uv_poll_t* handle, int, int) {
      static_cast<UserConnection*>(handle->data)->Drain();
    });
  });
  SetReferenced(referenced_);
}

void UserConnection::StopPolls() {
  ForEachPoll([](uv_poll_t* poll) { uv_poll_stop(poll); });
}

void UserConnection::Drain() {
  if (silent_ || finishing_ || !polls_open_) return;
  departures_.clear();
  const size_t count = lockspace_->Collect(batch_.data(), &departures_);

  // A node's death before the grants that its recovery made.
  for (const auto& departure : departures_) {
    if (!departure.died || silent_) continue;
    const EventRecord event{EventKind::kNodeDown, 0, departure.node, 0};
    events_->Deliver(&event, 1);
  }
  if (count > 0 && !silent_) events_->Deliver(batch_.data(), count);
  lockspace_->ReleaseEnded();
}

void UserConnection::BeginClose() {
  if (silent_) return;
  silent_ = true;
  StopPolls();
  if (lockspace_) lockspace_->Close();
}

void UserConnection::Finish() {
  finishing_ = true;
  if (lockspace_ && lockspace_->state() == Lockspace::State::kFailed && !tearing_down_) {
    const libdlm::OpenResult& result = lockspace_->open_result();
    ReportState("failed", static_cast<int>(result.failure), result.error, result.detail);
  }
  ForEachPoll([this](uv_poll_t* poll) { CloseHandle(poll); });
  lockspace_.reset();  // its thread has nothing left to do but return, and then wakes nobody
  CloseHandle(&wake_);
}

template <typename Handle>
void UserConnection::CloseHandle(Handle* handle) {
  handle->data = this;
  uv_close(reinterpret_cast<uv_handle_t*>(handle), [](uv_handle_t* closed) {
    static_cast<UserConnection*>(closed->data)->OnHandleClosed();
  });
}

void UserConnection::OnHandleClosed() {
  if (--open_handles_ > 0) return;
  if (!tearing_down_) {
    const Napi::HandleScope scope(Env());
    ReportState("closed", 0, 0, {});
    events_.reset();
    on_state_.Reset();
    state_context_.reset();
  }
  cleanup_hook_->Done();
  ObjectWrap::Unref();
}

void UserConnection::ReportState(const char* state, int code, int error,
                                 const std::string& detail) {
  const Napi::Env env = Env();
  const Napi::HandleScope scope(env);
  CallAsTask(on_state_, *state_context_,
             {Napi::String::New(env, state), Napi::Number::New(env, code),
              Napi::Number::New(env, error), Napi::String::New(env, detail)});
}

void UserConnection::SetReferenced(bool referenced) {
  referenced_ = referenced;
  if (finishing_) return;
  const auto apply = [referenced](auto* handle) {
    auto* base = reinterpret_cast<uv_handle_t*>(handle);
    referenced ? uv_ref(base) : uv_unref(base);
  };
  apply(&wake_);
  ForEachPoll(apply);
}

}  // namespace stackglue::binding
