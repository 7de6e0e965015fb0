#include "binding/o2dlm_connection.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "binding/arguments.h"
#include "binding/engine_calls.h"
#include "binding/fast_call.h"
#include "binding/lock_calls.h"

namespace stackglue::binding {
namespace {

// What the requests of a dead node end with, and are refused with: to ocfs2 it means that there is
// no connection.
constexpr auto kLost = static_cast<int32_t>(o2dlm::Status::kRecovering);

// What a call returns that was refused: the negated status of o2dlm; 0 if it was not.
int32_t Refusal(o2dlm::Status status) { return -static_cast<int32_t>(status); }

uint64_t ToAstArg(uint32_t index, uint32_t generation) {
  return (static_cast<uint64_t>(generation) << 32) | index;
}

}  // namespace

Napi::Function O2dlmConnection::Define(Napi::Env env) {
  return DefineClass(env, "NativeO2dlmConnection",
                     {
                         InstanceMethod<&O2dlmConnection::Members>("members"),
                         InstanceMethod<&O2dlmConnection::Membership>("membership"),
                         InstanceMethod<&O2dlmConnection::Begin>("begin"),
                         InstanceMethod<&O2dlmConnection::Close>("close"),
                         InstanceMethod<&O2dlmConnection::Ref>("ref"),
                         InstanceMethod<&O2dlmConnection::Unref>("unref"),
                         InstanceAccessor<&O2dlmConnection::JoinStatus>("joinStatus"),
                         InstanceAccessor<&O2dlmConnection::Version>("version"),
                     });
}

Napi::Value O2dlmConnection::KillNode(const Napi::CallbackInfo& info) {
  return CallKillNode<o2dlm::Cluster>(info, "o2dlmKillNode");
}

O2dlmConnection::O2dlmConnection(const Napi::CallbackInfo& info)
    : ObjectWrap(info), memory_(info.Env(), kConnectionBytes) {
  const Napi::Env env = info.Env();
  if (!EventChannel::Accepts(info)) {
    ThrowBadArguments(env, "NativeO2dlmConnection");
    return;
  }
  const auto given = info[0].As<Napi::Object>();
  const Napi::Value cluster = given.Get("cluster");
  const Napi::Value domain = given.Get("domain");
  const auto node = ReadInteger<int32_t>(given.Get("node"));
  const auto major = ReadInteger<uint8_t>(given.Get("major"));
  const auto minor = ReadInteger<uint8_t>(given.Get("minor"));
  if (!cluster.IsString() || !domain.IsString() || !node || !major || !minor) {
    ThrowBadArguments(env, "NativeO2dlmConnection");
    return;
  }
  version_ = {*major, *minor};

  // All that needs memory comes first: when this throws the object is gone, so nothing may have its
  // address yet.
  std::string cluster_name;
  std::string domain_name;
  try {
    cluster_name = cluster.As<Napi::String>();
    domain_name = domain.As<Napi::String>();
    script_.Open(info, this, &Request, &More, [this] { BeginClose(); });
  } catch (const std::bad_alloc&) {
    ThrowOutOfMemory(env);
    return;
  }
  uv_loop_t* loop = nullptr;
  napi_get_uv_event_loop(env, &loop);
  if (!turns_.Open(loop, {})) {
    ThrowOutOfMemory(env);
    return;
  }
  ObjectWrap::Ref();  // until the handles are closed
  turns_.Start(this, this, script_.events()->batch());
  cluster_ = o2dlm::Cluster::Named(cluster_name);
  join_status_ = cluster_ == nullptr
                     ? -ENOMEM
                     : cluster_->Join(domain_name, *node, &version_, &turns_, &member_);
  if (join_status_ == 0) ring_ = member_->Ring();
  if (join_status_ != 0) {
    BeginClose();
    return;
  }
  member_->WatchNodes();
}

O2dlmConnection::~O2dlmConnection() = default;

napi_value O2dlmConnection::Request(napi_env env, napi_callback_info info) {
  auto* self = CalledObject<O2dlmConnection>(env, info);
  // There always is somebody: it says itself what it is worth.
  constexpr auto kNoMemory = -static_cast<int32_t>(o2dlm::Status::kSysErr);
  TakeRequest(env, self->script_.words(), self, {0, kNoMemory});
  self->CollectEarly();
  return nullptr;
}

int32_t O2dlmConnection::Lock(int32_t mode, uint32_t flags, uint64_t, std::string_view name) {
  if (!member_) return Refusal(o2dlm::Status::kNoLockMgr);
  if (member_->dead()) return -kLost;
  // That is Convert().
  if ((flags & o2dlm::kLkmConvert) != 0) return Refusal(o2dlm::Status::kBadArgs);
  const uint32_t index = locks_.Acquire();
  LockRecord* record = locks_.Find(index);
  *record = {};
  const o2dlm::Status status = member_->Lock(
      mode, flags, name, ToAstArg(index, locks_.generation(index)), nullptr, &record->id);
  if (status != o2dlm::Status::kNormal) {
    locks_.Release(index);
    return Refusal(status);
  }
  record->is_requested = record->is_new = true;
  record->requested_mode = static_cast<int8_t>(mode);
  record->asked = ++last_asked_;
  return static_cast<int32_t>(index);
}

int32_t O2dlmConnection::Convert(uint32_t index, int32_t mode, uint32_t flags, uint64_t,
                                 const uint8_t* block) {
  LockRecord* record = locks_.Find(index);
  if (!member_) return Refusal(o2dlm::Status::kBadArgs);
  if (member_->dead()) return -kLost;
  if (record == nullptr) return Refusal(o2dlm::Status::kBadArgs);
  // The engine takes it to be told.
  if (IsUntold(index, *record)) return Refusal(o2dlm::Status::kDenied);
  o2dlm::LockId id = record->id;
  const o2dlm::Status status = member_->Lock(mode, flags | o2dlm::kLkmConvert, {},
                                             ToAstArg(index, locks_.generation(index)), block, &id);
  if (status == o2dlm::Status::kNormal) {
    record->is_requested = true;
    record->requested_mode = static_cast<int8_t>(mode);
    record->asked = ++last_asked_;
  }
  return Refusal(status);
}

int32_t O2dlmConnection::Unlock(uint32_t index, uint32_t flags, const uint8_t* block) {
  LockRecord* record = locks_.Find(index);
  if (!member_) return Refusal(o2dlm::Status::kBadArgs);
  if (member_->dead()) return -kLost;
  if (record == nullptr) return Refusal(o2dlm::Status::kBadArgs);
  const bool cancels = (flags & o2dlm::kLkmCancel) != 0;
  if (!cancels && IsUntold(index, *record)) return Refusal(o2dlm::Status::kBadParam);
  const o2dlm::Status status = member_->Unlock(record->id, flags, block);
  if (status == o2dlm::Status::kNormal) {
    ++record->unlocks_due;
    if (!record->is_requested) record->asked = ++last_asked_;
  }
  return Refusal(status);
}

bool O2dlmConnection::IsUntold(uint32_t index, const LockRecord& record) const {
  if (record.completed_in_batch == batch_number_ &&
      (turns_.HoldsBatch() || record.place > script_.words()->told)) {
    return true;
  }
  for (size_t at = next_; at < taken_count_; ++at) {
    const o2dlm::Event& event = taken_[at];
    if (event.kind == o2dlm::Event::Kind::kLockAst &&
        event.astarg == ToAstArg(index, locks_.generation(index))) {
      return true;
    }
  }
  return false;
}

void O2dlmConnection::CollectEarly() {
  if (!turns_.MayBeMore()) return;
  BatchState* const state = script_.words();
  if (state->next != 0 || state->told + 1 != static_cast<int32_t>(batch_size_)) return;
  state->next = static_cast<int32_t>(turns_.More());
}

void O2dlmConnection::Begin(const Napi::CallbackInfo&) { turns_.Begin(); }

void O2dlmConnection::Close(const Napi::CallbackInfo&) { BeginClose(); }

void O2dlmConnection::Ref(const Napi::CallbackInfo&) { turns_.SetReferenced(true); }

void O2dlmConnection::Unref(const Napi::CallbackInfo&) { turns_.SetReferenced(false); }

Napi::Value O2dlmConnection::JoinStatus(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), join_status_);
}

Napi::Value O2dlmConnection::Version(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Array version = Napi::Array::New(env, 2);
  version.Set(0u, Napi::Number::New(env, version_.major));
  version.Set(1u, Napi::Number::New(env, version_.minor));
  return version;
}

Napi::Value O2dlmConnection::Members(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!member_) return MembersArray(env, {});
  std::array<int, o2dlm::kMaxNodes> nodes;
  const size_t count = member_->Nodes(nodes.data(), nodes.size());
  return MembersArray(env, {nodes.data(), count});
}

// An emulated cluster always has a quorum.
Napi::Value O2dlmConnection::Membership(const Napi::CallbackInfo& info) {
  return MembershipArray(info.Env(), Ring(), true);
}

// It stays as it was while something is to be told of nodes; 0: dead.
uint64_t O2dlmConnection::Ring() {
  if (!member_ || member_->dead()) return 0;
  const bool is_due = turns_.order()->HasUntoldChange() ||
                      std::any_of(taken_.begin() + next_, taken_.begin() + taken_count_,
                                  [](const auto& each) { return each.TellsOfNode(each.kind); });
  const uint64_t now = is_due ? 0 : member_->Ring();
  if (now != 0) ring_ = now;
  return ring_;
}

napi_value O2dlmConnection::More(napi_env env, napi_callback_info info) {
  auto* self = CalledObject<O2dlmConnection>(env, info);
  return ResultNumber(env, static_cast<int64_t>(self->turns_.More()));
}

void O2dlmConnection::BeginBatch() {
  ++batch_number_;
  script_.words()->told = -1;
}

size_t O2dlmConnection::Collect(EventRecord*) {
  Release();
  size_t count = 0;
  while (count < kBatchMax) {
    if (next_ == taken_count_) {
      // Less than there was room for was all that there was.
      if (count > 0 && taken_count_ < kTakeMax) break;
      next_ = 0;
      taken_count_ = member_->TakeEvents(taken_.data(), kTakeMax);
      if (taken_count_ == 0) break;
    }
    const o2dlm::Event& event = taken_[next_];
    const auto index = static_cast<uint32_t>(event.astarg);
    if (event.kind == o2dlm::Event::Kind::kEviction) {
      ++next_;
      turns_.order()->SeeDeparture(event.value, order::Cause::kFailed);
      continue;
    }
    if (event.kind == o2dlm::Event::Kind::kNodeLeft) {
      ++next_;
      turns_.order()->SeeDeparture(event.value, order::Cause::kLeft);
      continue;
    }
    if (event.kind == o2dlm::Event::Kind::kNodeJoined) {
      ++next_;
      turns_.order()->SeeJoin(event.value);
      continue;
    }
    LockRecord* lock = locks_.Find(index, static_cast<uint32_t>(event.astarg >> 32));
    if (lock == nullptr) {
      ++next_;
      continue;
    }
    if (count == 0) BeginBatch();
    if (lock->completed_in_batch == batch_number_ && event.kind == o2dlm::Event::Kind::kLockAst) {
      break;  // one completion of a lock in a batch: see IsUntold()
    }
    ++next_;
    HandleEvent(event, lock, count++);
    if (event.final) ended_[ended_count_++] = index;
  }
  if (count > 0) batch_size_ = count;
  Look();
  return count;
}

void O2dlmConnection::Look() {
  // A death is told of when it has been recovered from, before the grants that this led to.
  turns_.order()->SeeRecovery();
  if (member_->dead()) turns_.order()->SeeLoss(NoticeKind::kKilled);
}

// A lock or conversion ends in its lock AST; then a cancel of it has nothing to be told, and an
// unlock ends in its own.
size_t O2dlmConnection::CollectLost(EventRecord* events) {
  Release();
  std::vector<std::pair<uint64_t, uint32_t>> due;
  locks_.ForEach([&due](uint32_t index, const LockRecord& lock) {
    if (lock.is_requested || lock.unlocks_due > 0) due.emplace_back(lock.asked, index);
  });
  std::sort(due.begin(), due.end());
  if (!due.empty()) BeginBatch();
  size_t count = 0;
  for (const auto& [asked, index] : due) {
    LockRecord* lock = locks_.Find(index);
    if (lock->is_requested && count < kBatchMax) {
      lock->is_requested = false;
      lock->has_lost_request = true;
      lock->completed_in_batch = batch_number_;
      lock->place = static_cast<int32_t>(count);
      EventRecord* const event = &events[count++];
      *event = {EventKind::kCompletion, static_cast<int32_t>(index), kLost};
      event->lock_id = static_cast<uint32_t>(lock->id);
    }
    const auto status =
        lock->has_lost_request ? static_cast<int32_t>(o2dlm::Status::kCancelGrant) : kLost;
    for (; lock->unlocks_due > 0 && count < kBatchMax; --lock->unlocks_due) {
      events[count++] = {EventKind::kUnlock, static_cast<int32_t>(index), status};
    }
    if (lock->is_requested || lock->unlocks_due > 0) break;  // the next batch's
    if (lock->is_new) {
      lock->is_new = false;
      events[count - 1].final = 1;
      ended_[ended_count_++] = index;
    }
  }
  if (count > 0) batch_size_ = count;
  return count;
}

void O2dlmConnection::TellNotice(const Notice& notice) {
  script_.ReportState("notice", static_cast<int>(notice.kind), notice.node);
}

void O2dlmConnection::Release() {
  for (size_t i = 0; i < ended_count_; ++i) locks_.Release(ended_[i]);
  ended_count_ = 0;
}

void O2dlmConnection::HandleEvent(const o2dlm::Event& event, LockRecord* lock, size_t place) {
  EventRecord* const record = script_.events()->batch() + place;
  record->index = static_cast<int32_t>(static_cast<uint32_t>(event.astarg));
  record->value = event.value;
  record->final = event.final ? 1 : 0;
  record->flags = 0;
  record->has_block = 0;
  switch (event.kind) {
    case o2dlm::Event::Kind::kLockAst:
      record->kind = EventKind::kCompletion;
      lock->is_requested = lock->is_new = false;
      if (event.value == static_cast<int32_t>(o2dlm::Status::kNormal)) {
        lock->granted_mode = lock->requested_mode;
      }
      if (event.has_lvb) record->SetBlock(event.lvb.data(), o2dlm::kLvbLen);
      record->lock_id = static_cast<uint32_t>(lock->id);
      lock->completed_in_batch = batch_number_;
      lock->place = static_cast<int32_t>(place);
      break;
    case o2dlm::Event::Kind::kBlockingAst:
      record->kind = EventKind::kBlocking;
      break;
    case o2dlm::Event::Kind::kUnlockAst:
      record->kind = EventKind::kUnlock;
      --lock->unlocks_due;
      // A cancel that was in time has ended what it was for.
      if (event.value == static_cast<int32_t>(o2dlm::Status::kNormal)) lock->is_requested = false;
      break;
    case o2dlm::Event::Kind::kEviction:
    case o2dlm::Event::Kind::kNodeLeft:
    case o2dlm::Event::Kind::kNodeJoined:
      break;
  }
  record->mode = event.final ? EventRecord::kNoMode : lock->granted_mode;
}

void O2dlmConnection::BeginClose() {
  if (closing_) return;
  closing_ = true;
  turns_.End();
  member_.reset();  // after this the engine wakes nobody
  cluster_.reset();
  turns_.Close([this] { OnClosed(); });
}

void O2dlmConnection::OnClosed() {
  script_.Close(0);
  ObjectWrap::Unref();
}

}  // namespace stackglue::binding
