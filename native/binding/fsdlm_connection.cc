#include "binding/fsdlm_connection.h"

#include <linux/dlm_device.h>

#include <cerrno>
#include <new>
#include <string>
#include <vector>

#include "binding/arguments.h"
#include "binding/engine_calls.h"
#include "binding/fast_call.h"
#include "binding/lock_calls.h"
#include "fsdlm/inspect.h"
#include "kernel/open_failure.h"

namespace stackglue::binding {

using emulation::Lockspace;

namespace {

kernel::OpenFailure FailureOf(int error) {
  switch (error) {
    case -EEXIST:
      return kernel::OpenFailure::kLockspaceExists;
    case -ENOENT:
      return kernel::OpenFailure::kUnknownLockspace;
    default:
      return kernel::OpenFailure::kFailed;
  }
}

}  // namespace

Napi::Function FsdlmConnection::Define(Napi::Env env) {
  return DefineClass(env, "NativeFsdlmConnection",
                     {
                         InstanceMethod<&FsdlmConnection::DeadlockCancel>("deadlockCancel"),
                         InstanceMethod<&FsdlmConnection::Purge>("purge"),
                         InstanceMethod<&FsdlmConnection::Members>("members"),
                         InstanceMethod<&FsdlmConnection::Membership>("membership"),
                         InstanceMethod<&FsdlmConnection::Versions>("versions"),
                         InstanceMethod<&FsdlmConnection::OwnerPid>("ownerPid"),
                         InstanceMethod<&FsdlmConnection::Begin>("begin"),
                         InstanceMethod<&FsdlmConnection::Close>("close"),
                         InstanceMethod<&FsdlmConnection::Ref>("ref"),
                         InstanceMethod<&FsdlmConnection::Unref>("unref"),
                     });
}

Napi::Value FsdlmConnection::KillNode(const Napi::CallbackInfo& info) {
  return CallKillNode<fsdlm::Cluster>(info, "fsdlmKillNode");
}

Napi::Value FsdlmConnection::Inspect(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsString() || !info[1].IsString()) return ThrowBadArguments(env, "fsdlmInspect");
  const std::shared_ptr<fsdlm::Cluster> cluster =
      fsdlm::Cluster::Named(std::string(info[0].As<Napi::String>()));
  const auto view = fsdlm::InspectLockspace(cluster.get(), std::string(info[1].As<Napi::String>()));
  auto locks = Napi::Array::New(env);
  if (!view) return locks;
  uint32_t count = 0;
  for (const fsdlm::ResourceView& resource : view->resources) {
    const auto append = [&](const char* queue, const std::vector<fsdlm::LockView>& queued) {
      for (const fsdlm::LockView& lock : queued) {
        auto row = Napi::Object::New(env);
        row.Set("resource", resource.name);
        row.Set("id", static_cast<double>(lock.id));
        row.Set("pid", lock.pid);
        row.Set("transactionId", Napi::BigInt::New(env, lock.transaction));
        row.Set("flags", lock.exflags);
        row.Set("queue", queue);
        row.Set("granted", lock.grmode);
        row.Set("wanted", lock.rqmode);
        locks.Set(count++, row);
      }
    };
    append("granted", resource.granted);
    append("converting", resource.converting);
    append("waiting", resource.waiting);
  }
  return locks;
}

FsdlmConnection::FsdlmConnection(const Napi::CallbackInfo& info)
    : ObjectWrap(info), memory_(info.Env(), kConnectionBytes) {
  const Napi::Env env = info.Env();
  if (!EventChannel::Accepts(info)) {
    ThrowBadArguments(env, "NativeFsdlmConnection");
    return;
  }
  const auto given = info[0].As<Napi::Object>();
  const Napi::Value cluster = given.Get("cluster");
  const Napi::Value name = given.Get("name");
  const auto node = ReadInteger<int32_t>(given.Get("node"));
  const Napi::Value create = given.Get("create");
  const Napi::Value exclusive = given.Get("exclusive");
  if (!cluster.IsString() || !name.IsString() || !node || !create.IsBoolean() ||
      !exclusive.IsBoolean()) {
    ThrowBadArguments(env, "NativeFsdlmConnection");
    return;
  }

  // All that needs memory comes first: when this throws the object is gone, so nothing may have its
  // address yet.
  std::string cluster_name;
  std::string lockspace_name;
  try {
    cluster_name = cluster.As<Napi::String>();
    lockspace_name = name.As<Napi::String>();
    script_.Open(info, this, &Request, &More, [this] { BeginClose(); });
  } catch (const std::bad_alloc&) {
    ThrowOutOfMemory(env);
    return;
  }
  uv_loop_t* loop = nullptr;
  napi_get_uv_event_loop(env, &loop);
  if (!turns_.Open(loop, [this] { OnOpened(); })) {
    ThrowOutOfMemory(env);
    return;
  }
  ObjectWrap::Ref();  // until the handles are closed
  fsdlm::Company company = fsdlm::Company::kAny;
  if (!create.As<Napi::Boolean>()) {
    company = fsdlm::Company::kNeeded;
  } else if (exclusive.As<Napi::Boolean>()) {
    company = fsdlm::Company::kNone;
  }
  open_error_ = Lockspace::Open(cluster_name, lockspace_name, *node, company, &turns_,
                                turns_.order(), &lockspace_);
  if (lockspace_) turns_.Start(lockspace_.get(), this, script_.events()->batch());
  // Not from inside the constructor: the loop's next turn tells.
  turns_.Wake();
}

FsdlmConnection::~FsdlmConnection() = default;

user::LockBook* FsdlmConnection::Book() const {
  return lockspace_ ? lockspace_->OpenBook() : nullptr;
}

napi_value FsdlmConnection::Request(napi_env env, napi_callback_info info) {
  auto* self = CalledObject<FsdlmConnection>(env, info);
  TakeRequest(env, self->script_.words(), self->Book(), kUserUnmade);
  return nullptr;
}

Napi::Value FsdlmConnection::DeadlockCancel(const Napi::CallbackInfo& info) {
  return CallDeadlockCancel(info, Book());
}

Napi::Value FsdlmConnection::Purge(const Napi::CallbackInfo& info) {
  return CallPurge(info, lockspace_.get());
}

Napi::Value FsdlmConnection::Members(const Napi::CallbackInfo& info) {
  return MembersArray(info.Env(), lockspace_ ? lockspace_->Nodes() : std::vector<int>());
}

// An emulated cluster always has a quorum.
Napi::Value FsdlmConnection::Membership(const Napi::CallbackInfo& info) {
  return MembershipArray(info.Env(), lockspace_ ? lockspace_->ring() : 0, true);
}

// The interface that is emulated; there is no library whose version could be another.
Napi::Value FsdlmConnection::Versions(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  auto both = Napi::Array::New(env, 2);
  for (uint32_t i = 0; i < 2; ++i) {
    auto version = Napi::Array::New(env, 3);
    version.Set(0U, Napi::Number::New(env, DLM_DEVICE_VERSION_MAJOR));
    version.Set(1U, Napi::Number::New(env, DLM_DEVICE_VERSION_MINOR));
    version.Set(2U, Napi::Number::New(env, DLM_DEVICE_VERSION_PATCH));
    both.Set(i, version);
  }
  return both;
}

Napi::Value FsdlmConnection::OwnerPid(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), lockspace_ ? lockspace_->owner_pid() : 0);
}

void FsdlmConnection::Begin(const Napi::CallbackInfo&) { turns_.Begin(); }

void FsdlmConnection::Close(const Napi::CallbackInfo&) { BeginClose(); }

void FsdlmConnection::Ref(const Napi::CallbackInfo&) { turns_.SetReferenced(true); }

void FsdlmConnection::Unref(const Napi::CallbackInfo&) { turns_.SetReferenced(false); }

void FsdlmConnection::OnOpened() {
  if (open_error_ != 0) {
    script_.ReportState("failed", static_cast<int>(FailureOf(open_error_)), -open_error_);
    BeginClose();
  } else {
    script_.ReportState("open", lockspace_->this_node(), 0);
  }
}

napi_value FsdlmConnection::More(napi_env env, napi_callback_info info) {
  auto* self = CalledObject<FsdlmConnection>(env, info);
  return ResultNumber(env, static_cast<int64_t>(self->turns_.More()));
}

void FsdlmConnection::TellNotice(const Notice& notice) {
  script_.ReportState("notice", static_cast<int>(notice.kind), notice.node);
}

void FsdlmConnection::BeginClose() {
  if (closing_) return;
  closing_ = true;
  turns_.End();
  lockspace_.reset();  // after this the engine wakes nobody
  turns_.Close([this] { OnClosed(); });
}

void FsdlmConnection::OnClosed() {
  script_.Close(0);
  ObjectWrap::Unref();
}

}  // namespace stackglue::binding
