#include "binding/user_connection.h"

#include <linux/dlm.h>

#include <algorithm>
#include <cerrno>
#include <new>

#include "binding/arguments.h"
#include "binding/fast_call.h"
#include "binding/lock_calls.h"

namespace stackglue::binding {

using kernel::Lockspace;

namespace {

// How long the end of an environment waits for a lockspace that is not known to be stopped. What it
// is waited for: that nobody else finds our locks held when the process has ended.
constexpr int kTeardownMs = 1000;

// The device is polled, so what is left over brings the next turn by itself.
constexpr order::Delivery::Limits kLimits{kBatchMax, 16, false};

Napi::Value VersionArray(Napi::Env env, const uint32_t (&version)[3]) {
  auto array = Napi::Array::New(env, 3);
  for (uint32_t i = 0; i < 3; ++i) array.Set(i, Napi::Number::New(env, version[i]));
  return array;
}

}  // namespace

Napi::Function UserConnection::Define(Napi::Env env) {
  return DefineClass(env, "NativeUserConnection",
                     {
                         InstanceMethod<&UserConnection::DeadlockCancel>("deadlockCancel"),
                         InstanceMethod<&UserConnection::Purge>("purge"),
                         InstanceMethod<&UserConnection::Members>("members"),
                         InstanceMethod<&UserConnection::Membership>("membership"),
                         InstanceMethod<&UserConnection::Versions>("versions"),
                         InstanceMethod<&UserConnection::OwnerPid>("ownerPid"),
                         InstanceMethod<&UserConnection::Begin>("begin"),
                         InstanceMethod<&UserConnection::Close>("close"),
                         InstanceMethod<&UserConnection::Ref>("ref"),
                         InstanceMethod<&UserConnection::Unref>("unref"),
                     });
}

UserConnection::UserConnection(const Napi::CallbackInfo& info)
    : ObjectWrap(info), memory_(info.Env(), kConnectionBytes) {
  const Napi::Env env = info.Env();
  if (!EventChannel::Accepts(info)) {
    ThrowBadArguments(env, "NativeUserConnection");
    return;
  }
  const auto given = info[0].As<Napi::Object>();
  const Napi::Value name = given.Get("name");
  const Napi::Value library = given.Get("library");
  const Napi::Value create = given.Get("create");
  const auto mode = ReadInteger<uint32_t>(given.Get("mode"));
  const auto flags = ReadInteger<uint32_t>(given.Get("flags"));
  const auto submission = ReadInteger<uint32_t>(given.Get("submission"));
  // Also what cannot be read because the worker thread is being ended, and then has no value at
  // all.
  if (!name.IsString() || !library.IsString() || !create.IsBoolean() || !mode || !flags ||
      !submission || *submission > static_cast<uint32_t>(Lockspace::Submission::kKeeper)) {
    ThrowBadArguments(env, "NativeUserConnection");
    return;
  }
  Lockspace::Options options;
  options.create = create.As<Napi::Boolean>();
  options.mode = static_cast<mode_t>(*mode);
  options.flags = *flags;
  options.submission = static_cast<Lockspace::Submission>(*submission);

  // All that needs memory comes first: when this throws the object is gone, so nothing may have its
  // address yet.
  try {
    options.name = name.As<Napi::String>();
    options.library = library.As<Napi::String>();
    lockspace_ = std::make_unique<Lockspace>(options, &order_);
    script_.Open(info, this, &Request, &More, [this] { BeginClose(kTeardownMs); });
  } catch (const std::bad_alloc&) {
    lockspace_.reset();
    ThrowOutOfMemory(env);
    return;
  }
  order::EventListener* const listener = this;
  delivery_.emplace(&order_, lockspace_.get(), listener, script_.events()->batch(), kLimits);
  napi_get_uv_event_loop(env, &loop_);
  ObjectWrap::Ref();  // until the last handle is closed
  uv_timer_init(loop_, &timer_);
  timer_.data = this;
  open_handles_ = 1;
  uv_unref(reinterpret_cast<uv_handle_t*>(&timer_));
  if (lockspace_->state() == Lockspace::State::kFailed) {
    // Not from inside the constructor: the loop's next turn tells.
    uv_ref(reinterpret_cast<uv_handle_t*>(&timer_));
    ArmTimer();
    return;
  }
  StartPoll<&UserConnection::OnKeeper>(&keeper_poll_, lockspace_->keeper_fd());
  StartPoll<&UserConnection::OnSignal>(&signal_poll_, lockspace_->signal_fd());
}

UserConnection::~UserConnection() = default;

// With Submission::kLoop the call has been made, and the kernel may have been too busy for it.
void UserConnection::AfterRequest() {
  if (lockspace_ && lockspace_->is_submitter_busy()) ArmTimer();
}

napi_value UserConnection::Request(napi_env env, napi_callback_info info) {
  auto* self = CalledObject<UserConnection>(env, info);
  TakeRequest(env, self->script_.words(), self->Book(), kUserUnmade);
  self->AfterRequest();
  return nullptr;
}

Napi::Value UserConnection::DeadlockCancel(const Napi::CallbackInfo& info) {
  const Napi::Value result = CallDeadlockCancel(info, Book());
  AfterRequest();
  return result;
}

Napi::Value UserConnection::Purge(const Napi::CallbackInfo& info) {
  const Napi::Value result = CallPurge(info, OpenLockspace());
  AfterRequest();
  return result;
}

Napi::Value UserConnection::Members(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  auto members = Napi::Array::New(env);
  if (!lockspace_) return members;
  uint32_t count = 0;
  for (const auto& [node, since_s] : lockspace_->members()) {
    auto member = Napi::Array::New(env, 3);
    auto addresses = Napi::Array::New(env);
    uint32_t address_count = 0;
    for (const std::string& address : kernel::Membership::AddressesOf(node)) {
      addresses.Set(address_count++, Napi::String::New(env, address));
    }
    member.Set(0U, Napi::Number::New(env, node));
    member.Set(1U, Napi::String::New(env, lockspace_->NameOf(node)));
    member.Set(2U, addresses);
    members.Set(count++, member);
  }
  return members;
}

Napi::Value UserConnection::Membership(const Napi::CallbackInfo& info) {
  const Lockspace::Ring ring = lockspace_ ? lockspace_->ring() : Lockspace::Ring{};
  return MembershipArray(info.Env(), ring.number, ring.is_quorate);
}

Napi::Value UserConnection::Versions(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const kernel::KeeperVersions versions =
      lockspace_ ? lockspace_->versions() : kernel::KeeperVersions{};
  auto both = Napi::Array::New(env, 2);
  both.Set(0U, VersionArray(env, versions.library));
  both.Set(1U, VersionArray(env, versions.kernel));
  return both;
}

Napi::Value UserConnection::OwnerPid(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), lockspace_ ? lockspace_->owner_pid() : 0);
}

void UserConnection::Begin(const Napi::CallbackInfo&) {
  order_.Begin();
  // Not from inside of the call.
  if (!silent_ && lockspace_ && lockspace_->signal_fd() >= 0) lockspace_->Signal();
}

void UserConnection::Close(const Napi::CallbackInfo& info) {
  const auto deadline_ms = ReadInteger<int32_t>(info[0]);
  if (!deadline_ms || *deadline_ms < 0) {
    ThrowBadArguments(info.Env(), "close");
    return;
  }
  BeginClose(*deadline_ms);
}

void UserConnection::Ref(const Napi::CallbackInfo&) { SetReferenced(true); }

void UserConnection::Unref(const Napi::CallbackInfo&) { SetReferenced(false); }

void UserConnection::OnKeeper() {
  lockspace_->HandleKeeper();
  OnState();
}

void UserConnection::OnSignal() {
  lockspace_->HandleSignal();
  OnState();
}

void UserConnection::OnTime() {
  if (deadline_ != 0 && uv_now(loop_) >= deadline_ &&
      lockspace_->state() == Lockspace::State::kClosing) {
    // What is lost is dropped already; only a call that waits in the kernel has been waited for.
    timed_out_ = !lockspace_->is_lost();
    lockspace_->Abandon();
  } else {
    lockspace_->HandleTime();
  }
  OnState();
}

// Acts on what has become of the lockspace.
void UserConnection::OnState() {
  if (finishing_) return;
  if (lockspace_->keeper_has_ended()) StopPoll(&keeper_poll_);
  if (lockspace_->state() == Lockspace::State::kOpen) {
    if (!opened_) {
      opened_ = true;
      StartPoll<&UserConnection::OnState>(&device_poll_, lockspace_->device_fd());
      StartPoll<&UserConnection::OnState>(&watch_poll_, lockspace_->watch_fd());
      script_.ReportState("open", lockspace_->this_node(), 0);
    }
    if (!silent_) delivery_->Turn();
    if (!silent_) HoldBack();
  }
  // A handler may have begun the end.
  switch (lockspace_->state()) {
    case Lockspace::State::kOpening:
    case Lockspace::State::kOpen:
      break;
    case Lockspace::State::kClosing:
      lockspace_->Look();
      break;
    case Lockspace::State::kFailed:
    case Lockspace::State::kClosed:
      Finish();
      return;
  }
  // Its device is about to be closed.
  if (lockspace_->is_lost()) {
    StopPoll(&device_poll_);
    StopPoll(&watch_poll_);
  }
  ArmTimer();
}

void UserConnection::ArmTimer() {
  const Lockspace::State state = lockspace_->state();
  const bool is_over = state == Lockspace::State::kFailed || state == Lockspace::State::kClosed;
  int wait_ms = is_over ? 0 : lockspace_->HandleTimeInMs();
  if (deadline_ != 0) {
    const uint64_t now = uv_now(loop_);
    const int left_ms = deadline_ > now ? static_cast<int>(deadline_ - now) : 0;
    wait_ms = wait_ms < 0 ? left_ms : std::min(wait_ms, left_ms);
  }
  if (wait_ms < 0) {
    uv_timer_stop(&timer_);
    return;
  }
  // Left running where it comes soon enough: this is called for every event.
  if (uv_is_active(reinterpret_cast<uv_handle_t*>(&timer_)) != 0 &&
      uv_timer_get_due_in(&timer_) <= static_cast<uint64_t>(wait_ms)) {
    return;
  }
  uv_timer_start(
      &timer_, [](uv_timer_t* timer) { static_cast<UserConnection*>(timer->data)->OnTime(); },
      static_cast<uint64_t>(wait_ms), 0);
}

template <typename Visit>
void UserConnection::ForEachPoll(Visit visit) {
  for (Poll* poll : {&keeper_poll_, &signal_poll_, &device_poll_, &watch_poll_}) {
    if (poll->is_open) visit(poll);
  }
}

template <void (UserConnection::*OnReadable)()>
void UserConnection::StartPoll(Poll* poll, int fd) {
  if (uv_poll_init(loop_, &poll->handle, fd) != 0) {
    // No memory. Without this descriptor nothing would come of the connection.
    lockspace_->Abandon();
    ArmTimer();
    return;
  }
  poll->is_open = true;
  ++open_handles_;
  poll->handle.data = this;
  ResumePoll<OnReadable>(poll);
  SetReferenced(referenced_);
}

template <void (UserConnection::*OnReadable)()>
void UserConnection::ResumePoll(Poll* poll) {
  uv_poll_start(&poll->handle, UV_READABLE, [](uv_poll_t* handle, int, int) {
    (static_cast<UserConnection*>(handle->data)->*OnReadable)();
  });
}

void UserConnection::StopPoll(Poll* poll) {
  // Closed, not only stopped: uv_close() takes the number out of epoll once more, and by then it
  // may be another descriptor's.
  if (!poll->is_open) return;
  poll->is_open = false;
  CloseHandle(&poll->handle);
}

// While results are held back the device, which stays readable, is not polled. The keeper's answer,
// the watch or the timer ends it.
void UserConnection::HoldBack() {
  const bool hold = order_.HoldsResults();
  if (hold == is_held_) return;
  is_held_ = hold;
  if (!device_poll_.is_open) return;
  if (hold) {
    uv_poll_stop(&device_poll_.handle);
  } else {
    ResumePoll<&UserConnection::OnState>(&device_poll_);
  }
}

// Asked by JavaScript when it has handled a batch: what the handlers asked for is often granted at
// once, and it is cheaper to look than to come back by way of the loop.
napi_value UserConnection::More(napi_env env, napi_callback_info info) {
  auto* self = CalledObject<UserConnection>(env, info);
  const size_t count = self->delivery_ ? self->delivery_->More() : 0;
  return ResultNumber(env, static_cast<int64_t>(count));
}

void UserConnection::TellNotice(const Notice& notice) {
  if (lockspace_) lockspace_->HandleTold(notice);
  script_.ReportState("notice", static_cast<int>(notice.kind), notice.node);
}

void UserConnection::BeginClose(int deadline_ms) {
  if (silent_) {
    // The environment ends while a disconnect is under way: less time is left.
    if (!finishing_ && script_.is_tearing_down()) {
      deadline_ = std::min(deadline_, uv_now(loop_) + static_cast<uint64_t>(deadline_ms));
      ArmTimer();
    }
    return;
  }
  silent_ = true;
  if (delivery_) delivery_->End();
  if (!lockspace_ || finishing_) return;
  StopPoll(&device_poll_);
  // The end is waited for, whatever was said of the connection: a loop that nothing keeps alive
  // would not turn any more.
  SetReferenced(true);
  uv_ref(reinterpret_cast<uv_handle_t*>(&timer_));
  lockspace_->Close();
  if (script_.is_tearing_down() && lockspace_->is_stopped()) lockspace_->Abandon();
  uv_update_time(loop_);
  deadline_ = std::max<uint64_t>(uv_now(loop_) + static_cast<uint64_t>(deadline_ms), 1);
  // Not OnState(): a handler may have called, and whoever called that one still uses the Lockspace.
  ArmTimer();
}

void UserConnection::Finish() {
  finishing_ = true;
  if (delivery_) delivery_->End();
  if (lockspace_->state() == Lockspace::State::kFailed) {
    const kernel::OpenResult& result = lockspace_->open_result();
    script_.ReportState("failed", static_cast<int>(result.failure), result.error, result.detail);
  }
  ForEachPoll([this](Poll* poll) { CloseHandle(&poll->handle); });
  CloseHandle(&timer_);
  drops_later_ = timed_out_ || lockspace_->drops_later();
  // Whatever still waits for the cluster is the keeper's.
  lockspace_.reset();
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
  script_.Close(drops_later_ ? 1 : 0);
  ObjectWrap::Unref();
}

void UserConnection::SetReferenced(bool referenced) {
  referenced_ = referenced;
  if (finishing_) return;
  ForEachPoll([referenced](Poll* poll) {
    auto* base = reinterpret_cast<uv_handle_t*>(&poll->handle);
    referenced ? uv_ref(base) : uv_unref(base);
  });
}

}  // namespace stackglue::binding
