// The caller's side of both lock managers. See caller.h.
#include "simulator/caller.h"

#include <cerrno>

#include "fsdlm/modes.h"
#include "o2dlm/o2dlm.h"

namespace stackglue::simulator {
namespace {

using Operation = CallerLock::Operation;
using Way = Verdict::Way;

void BeginRequest(const Request& request, CallerLock* lock) {
  lock->operation = request.kind == Request::Kind::kLock ? Operation::kLock : Operation::kConvert;
  lock->requested = request.mode;
  lock->flags = request.flags;
}

// fs/dlm answers in events. What it answers in the call is a matter of the request alone, and of
// what its own node knows of the lock.
class FsdlmCaller final : public Caller {
 public:
  // fs/dlm/lock.c:dlm_recover_waiters_pre(), recover_convert_waiter(): the node answers unlocks,
  // cancels and conversions downwards itself, and asks the new master the rest again.
  Fate FateOf(const Request& request, const CallerLock& lock) const override {
    if (request.kind == Request::Kind::kUnlock) return lock.in_flight ? Fate::kRedo : Fate::kDone;
    const bool down = request.kind == Request::Kind::kConvert &&
                      fsdlm::IsDownConversion(lock.granted, request.mode);
    return down ? Fate::kDone : Fate::kRedo;
  }

  Verdict Judge(Request* request, CallerLock* lock) const override {
    switch (request->kind) {
      case Request::Kind::kLock:
        if (request->resource.size() > fsdlm::kResourceNameMax) return {Way::kAnswer, -EINVAL};
        if (!ValidRequest(*request)) return {Way::kAnswer, -EINVAL};
        return {};
      case Request::Kind::kConvert:
        if (!ValidRequest(*request) || lock == nullptr) return {Way::kAnswer, -EINVAL};
        if (lock->operation != Operation::kNone || lock->unlocking) return {Way::kAnswer, -EBUSY};
        if ((request->flags & fsdlm::kLkfQueCvt) != 0 &&
            !user::CanQueueConversion(lock->granted, request->mode)) {
          return {Way::kAnswer, -EINVAL};
        }
        PrepareConvert(request, lock);
        return {};
      case Request::Kind::kUnlock:
        return JudgeUnlock(request, lock);
    }
    return {Way::kAnswer, -EINVAL};
  }

  void Begin(const Request& request, CallerLock* lock) const override {
    if (request.kind == Request::Kind::kUnlock) {
      if ((request.flags & fsdlm::kLkfCancel) != 0) {
        lock->cancelling = 1;
        lock->breaking_deadlock = request.breaks_deadlock;
      } else {
        lock->unlocking = true;
      }
      return;
    }
    BeginRequest(request, lock);
    lock->cancelling = 0;
    lock->memory_before = lock->memory;
    lock->memory.Take(request.flags);
    // Whether an orphan has a value block was decided by whoever made it.
    if ((request.flags & fsdlm::kLkfOrphan) != 0) lock->memory.lvb = false;
  }

  Event Refused(const Request& request, int64_t status, CallerLock* lock) const override {
    Event event;
    event.lock = request.lock;
    event.value = status;
    // It has changed nothing.
    if (request.kind == Request::Kind::kConvert) lock->memory = lock->memory_before;
    if (request.kind == Request::Kind::kUnlock) event.kind = Event::Kind::kUnlock;
    event.final = request.kind == Request::Kind::kLock;
    return event;
  }

  bool Hear(Event* event, CallerLock* lock, std::optional<Request>* next) const override {
    // Nobody can let go any sooner of what is being unlocked.
    if (event->kind == Event::Kind::kBlocking) return !lock->unlock_follows;
    if (event->kind == Event::Kind::kUnlock) {
      lock->unlocking = false;
      return true;
    }
    if (lock->cancelling > 0) {
      const int status = static_cast<int>(event->value);
      event->value = user::StatusOfCancelled(status, lock->breaking_deadlock);
    }
    const bool granted = event->value == 0;
    const bool demoted = (event->flags & fsdlm::kSbfDemoted) != 0;
    const int mode_before = lock->granted;
    if (granted) {
      lock->granted = lock->requested;
      if ((event->flags & fsdlm::kSbfAltMode) != 0) {
        lock->granted = (lock->flags & fsdlm::kLkfAltPr) != 0 ? fsdlm::kModePr : fsdlm::kModeCw;
      }
    } else if (demoted) {
      lock->granted = fsdlm::kModeNl;
    }
    lock->operation = Operation::kNone;
    lock->cancelling = 0;
    lock->breaking_deadlock = false;
    if (lock->unlock_follows && event->value != -fsdlm::kEUnlock) {
      lock->unlock_follows = false;
      if (granted) {
        Request unlock;
        unlock.kind = Request::Kind::kUnlock;
        unlock.connection = lock->connection;
        unlock.lock = event->lock;
        *next = std::move(unlock);
        return false;
      }
      lock->unlocking = false;
      event->kind = Event::Kind::kUnlock;
      return true;
    }
    if (granted && event->has_block && (lock->flags & fsdlm::kLkfValBlk) != 0 &&
        user::ReadsValueBlock(mode_before, lock->granted)) {
      lock->known_block = event->block;
    } else {
      event->has_block = false;
    }
    return true;
  }

  // As LockBook::EndLost(): an unlock by force ends what it was to end, too.
  std::vector<Event> EndsOf(const CallerLock& lock) const override {
    if (lock.operation == Operation::kNone && !lock.unlocking) return {};
    Event event;
    event.kind = lock.unlocking ? Event::Kind::kUnlock : Event::Kind::kCompletion;
    event.value = -ENOTCONN;
    event.final = lock.operation == Operation::kLock;
    return {event};
  }

  // fs/dlm/user.c:dlm_user_cancel(): what has ended cannot be cancelled, and its end says so.
  bool TellsRefusal(const Request& request) const override {
    return request.kind != Request::Kind::kUnlock || (request.flags & fsdlm::kLkfCancel) == 0;
  }
  int64_t UnreachableStatus(const Request&) const override { return 0; }
  int64_t DeadStatus() const override { return -ENOTCONN; }

 protected:
  bool IsNotQueued(int64_t status) const override { return status == -EAGAIN; }
  bool MayNotWait(uint32_t flags) const override { return (flags & fsdlm::kLkfNoQueue) != 0; }

 private:
  static bool ValidRequest(const Request& request) {
    const bool convert = request.kind == Request::Kind::kConvert;
    return (request.flags & fsdlm::kLkfConvert) == 0 &&
           user::AreLockFlagsValid(request.mode,
                                   request.flags | (convert ? fsdlm::kLkfConvert : 0U));
  }

  // fs/dlm takes what a conversion sends for the resource's block when the master dies, so one that
  // does not write sends the block as the lock knows it.
  static void PrepareConvert(Request* request, CallerLock* lock) {
    const bool writes = user::WritesValueBlock(lock->granted, request->mode);
    if ((request->flags & fsdlm::kLkfValBlk) != 0 && writes) lock->known_block = request->block;
    request->block = lock->known_block;
    request->block.resize(fsdlm::kLvbLen);
  }

  static Verdict JudgeUnlock(Request* request, CallerLock* lock) {
    if (!user::AreUnlockFlagsValid(request->flags) || lock == nullptr)
      return {Way::kAnswer, -EINVAL};
    if (lock->unlocking) return {Way::kAnswer, -EBUSY};
    const bool busy = lock->operation != Operation::kNone;
    const bool can_cancel = user::CanCancel(busy, lock->operation == Operation::kLock, lock->flags,
                                            lock->cancelling > 0);
    if ((request->flags & fsdlm::kLkfCancel) != 0) {
      return {can_cancel ? Way::kSend : Way::kNothing, 0};
    }
    const bool through_null = user::UnlocksThroughNull(lock->granted, request->flags, lock->memory);
    const bool force = (request->flags & fsdlm::kLkfForceUnlock) != 0;
    if (busy && (!force || through_null || !can_cancel)) {
      return {Way::kAnswer, -EBUSY};
    }
    if (!through_null) return {};
    request->kind = Request::Kind::kConvert;
    request->mode = fsdlm::kModeNl;
    request->flags &= fsdlm::kLkfValBlk;
    PrepareConvert(request, lock);
    lock->unlock_follows = lock->unlocking = true;
    return {};
  }
};

// o2dlm's calls wait for the master's answer. One that a master cannot refuse needs no waiting.
class O2dlmCaller final : public Caller {
 public:
  // fs/ocfs2/dlm/dlmrecovery.c:dlm_move_lockres_to_recovery_list(): what was pending of an unlock
  // or a cancel is committed, of a lock or a conversion undone, and its caller asks again.
  Fate FateOf(const Request& request, const CallerLock& lock) const override {
    return request.kind == Request::Kind::kUnlock && !lock.in_flight ? Fate::kDone : Fate::kRedo;
  }

  Verdict Judge(Request* request, CallerLock* lock) const override {
    const bool is_lock = request->kind == Request::Kind::kLock;
    const bool cancels =
        request->kind == Request::Kind::kUnlock && (request->flags & o2dlm::kLkmCancel) != 0;
    if (!is_lock) {
      if (lock == nullptr) return {Way::kAsk, 0};
      // The kernel's caller would still be waiting for the answer to the one before.
      if (lock->in_flight && !cancels) return Answer(o2dlm::Status::kDenied);
      if (lock->unlocking) {
        return Answer(cancels ? o2dlm::Status::kIvLockId : o2dlm::Status::kDenied);
      }
      if (lock->operation != Operation::kNone && !cancels) return {Way::kAsk, 0};
      if (cancels && lock->cancelling > 0) return {Way::kAsk, 0};
    }
    if (request->kind == Request::Kind::kUnlock) {
      const uint32_t known = o2dlm::kLkmCancel | o2dlm::kLkmValBlk | o2dlm::kLkmInvValBlk;
      return {(request->flags & ~known) == 0 ? Way::kSend : Way::kAsk, 0};
    }
    const bool has_mode = request->mode == o2dlm::kModeNl || request->mode == o2dlm::kModePr ||
                          request->mode == o2dlm::kModeEx;
    const std::string& name = request->resource;
    const bool has_name =
        !is_lock || (!name.empty() && name.size() <= o2dlm::kLockNameMax && name != "$RECOVERY");
    // Flags that the engine takes, but for NOQUEUE.
    const uint32_t plain = o2dlm::kLkmValBlk | o2dlm::kLkmUnlock | o2dlm::kLkmCancel |
                           o2dlm::kLkmInvValBlk | o2dlm::kLkmForce |
                           (is_lock ? o2dlm::kLkmLocal : 0);
    const bool is_plain = (request->flags & ~plain) == 0;
    return {has_mode && has_name && is_plain ? Way::kSend : Way::kAsk, 0};
  }

  void Begin(const Request& request, CallerLock* lock) const override {
    if (request.kind != Request::Kind::kUnlock) {
      BeginRequest(request, lock);
    } else if ((request.flags & o2dlm::kLkmCancel) != 0) {
      ++lock->cancelling;
    } else {
      lock->unlocking = true;
    }
  }

  Event Refused(const Request& request, int64_t status, CallerLock*) const override {
    Event event;
    event.lock = request.lock;
    event.value = status;
    if (request.kind == Request::Kind::kUnlock) event.kind = Event::Kind::kUnlock;
    event.final = request.kind == Request::Kind::kLock;
    return event;
  }

  bool Hear(Event* event, CallerLock* lock, std::optional<Request>*) const override {
    if (event->kind == Event::Kind::kCompletion) {
      if (event->value == 0) lock->granted = lock->requested;
      lock->operation = Operation::kNone;
    } else if (event->kind == Event::Kind::kUnlock) {
      // A cancel that came too late has ended nothing.
      const bool cancelled =
          lock->cancelling > 0 && event->value == static_cast<int64_t>(o2dlm::Status::kNormal);
      if (cancelled) lock->operation = Operation::kNone;
      if (lock->cancelling > 0) {
        --lock->cancelling;
      } else {
        lock->unlocking = false;
      }
    }
    return true;
  }

  // As O2dlmConnection::CollectLost(): a cancel came too late for what ends otherwise.
  std::vector<Event> EndsOf(const CallerLock& lock) const override {
    const auto lost = static_cast<int64_t>(o2dlm::Status::kRecovering);
    const auto too_late = static_cast<int64_t>(o2dlm::Status::kCancelGrant);
    const bool is_requested = lock.operation != Operation::kNone;
    std::vector<Event> events(is_requested ? 1 : 0);
    if (is_requested) events[0].value = lost;
    // A cancel that is under way behind a grant was too late, too.
    Event unlock;
    unlock.kind = Event::Kind::kUnlock;
    unlock.value = too_late;
    events.resize(events.size() + static_cast<size_t>(lock.cancelling), unlock);
    unlock.value = is_requested ? too_late : lost;
    if (lock.unlocking) events.push_back(unlock);
    if (lock.operation == Operation::kLock) events.back().final = true;
    return events;
  }

  bool TellsRefusal(const Request&) const override { return true; }
  int64_t UnreachableStatus(const Request& request) const override {
    const bool no_queue =
        request.kind != Request::Kind::kUnlock && (request.flags & o2dlm::kLkmNoQueue) != 0;
    return static_cast<int64_t>(no_queue ? o2dlm::Status::kNotQueued : o2dlm::Status::kNormal);
  }
  int64_t DeadStatus() const override { return static_cast<int64_t>(o2dlm::Status::kRejected); }

 protected:
  bool IsNotQueued(int64_t status) const override {
    return status == static_cast<int64_t>(o2dlm::Status::kNotQueued);
  }
  bool MayNotWait(uint32_t flags) const override { return (flags & o2dlm::kLkmNoQueue) != 0; }

 private:
  static Verdict Answer(o2dlm::Status status) {
    return {Way::kAnswer, static_cast<int64_t>(status)};
  }
};

}  // namespace

Fate Caller::FateOf(const Event& event, const CallerLock& lock) const {
  // The new master finds who is in whose way by itself.
  if (event.kind == Event::Kind::kBlocking) return Fate::kForget;
  if (event.kind != Event::Kind::kCompletion || lock.operation == Operation::kNone) {
    return Fate::kDone;
  }
  if (IsNotQueued(event.value)) return Fate::kRedo;
  // Only what took away from nobody can be undone: others may have what this lock gave up.
  const bool is_up = event.value == 0 && lock.requested > lock.granted &&
                     !fsdlm::IsMiddleConversion(lock.granted, lock.requested) &&
                     (event.flags & fsdlm::kSbfDemoted) == 0;
  // One that may not wait would be asked for again, and be granted again.
  return is_up && !MayNotWait(lock.flags) ? Fate::kRedo : Fate::kDone;
}

Request Caller::Repeat(uint64_t number, const CallerLock& lock) const {
  Request request;
  request.kind =
      lock.operation == Operation::kLock ? Request::Kind::kLock : Request::Kind::kConvert;
  request.connection = lock.connection;
  request.lock = number;
  request.mode = lock.requested;
  request.flags = lock.flags;
  request.resource = lock.resource;
  request.block = lock.known_block;
  return request;
}

std::unique_ptr<Caller> Caller::Create(Profile profile) {
  if (profile == Profile::kFsdlm) return std::make_unique<FsdlmCaller>();
  return std::make_unique<O2dlmCaller>();
}

}  // namespace stackglue::simulator
