// Which locks of a resource are granted, and when. See resource.h, and README.md, "Grant rules".
#include <algorithm>

#include "resource.h"

namespace stackglue::fsdlm {
namespace {

bool IsConversion(const Lock& lock) { return lock.grmode != kModeIv; }

}  // namespace

bool Resource::Conflicts(const Lock& lock) const {
  uint32_t others = 0;
  for (int mode = kModeCr; mode <= kModeEx; ++mode) {
    if (Compatible(mode, lock.rqmode)) continue;
    others += mode <= kModePr ? held_[mode - kModeCr] : held_alone_[mode - kModePw];
  }
  const bool own = lock.queue != Lock::Queue::kNone && !Compatible(lock.grmode, lock.rqmode);
  return others > (own ? 1u : 0u);
}

bool Resource::MayGrant(const Lock& lock, bool now, bool recover) const {
  if ((lock.exflags & kLkfExpedite) != 0) return true;
  if (Conflicts(lock)) return false;
  const bool conversion = IsConversion(lock);
  if (conversion && recover) return true;
  if (conversion && now) return (lock.exflags & kLkfQueCvt) == 0 || none_converting();
  if ((lock.exflags & kLkfNoOrder) != 0) return true;
  if (conversion) return IsHead(contention_->converting, &lock);
  if (!none_converting()) return false;
  return now ? none_waiting() : IsHead(contention_->waiting, &lock);
}

bool Resource::InConversionDeadlock(const Lock& lock) const {
  if (none_converting()) return false;
  if (lock.queue != Lock::Queue::kConverting) {
    for (int mode = kModeCr; mode <= kModeEx; ++mode) {
      if (contention_->converting_to[mode] > 0 && !Compatible(lock.grmode, mode)) return true;
    }
    return false;
  }
  bool is_ahead = false;
  const Ring<QueueLink>& ring = contention_->converting;
  for (QueueLink* at = ring.front(); at != nullptr; at = ring.Next(at)) {
    const Lock& other = ToLock(*at);
    if (&other == &lock) {
      is_ahead = true;
    } else if (!Compatible(lock.grmode, other.rqmode)) {
      if (!is_ahead || !Compatible(other.grmode, lock.rqmode)) return true;
    }
  }
  return false;
}

bool Resource::TryMode(Lock* lock, bool now, bool recover, bool* deadlock) {
  if (MayGrant(*lock, now, recover)) return true;

  if (IsConversion(*lock) && lock->may_wait() && InConversionDeadlock(*lock)) {
    if ((lock->exflags & kLkfConvDeadlk) != 0) {
      Count(*lock, ~uint32_t{0});
      lock->grmode = kModeNl;
      Count(*lock, 1);
      lock->sb_flags |= kSbfDemoted;
    } else if (deadlock != nullptr) {
      *deadlock = true;
    }
    return false;
  }
  return TryOtherMode(lock, now);
}

bool Resource::TryOtherMode(Lock* lock, bool now) {
  int other = kModeIv;
  if ((lock->exflags & kLkfAltPr) != 0 && lock->rqmode != kModePr) {
    other = kModePr;
  } else if ((lock->exflags & kLkfAltCw) != 0 && lock->rqmode != kModeCw) {
    other = kModeCw;
  }
  if (other == kModeIv) return false;
  const int8_t wanted = lock->rqmode;
  lock->rqmode = static_cast<int8_t>(other);
  const bool granted = MayGrant(*lock, now, false);
  lock->rqmode = wanted;
  if (!granted) return false;
  Count(*lock, ~uint32_t{0});
  lock->rqmode = static_cast<int8_t>(other);
  Count(*lock, 1);
  lock->sb_flags |= kSbfAltMode;
  return true;
}

void Resource::Grant(Lock* lock) {
  MoveBlock(lock);
  // On its way from a mode to the same one a lock keeps its place. (The kernel then leaves one that
  // came from the converting queue there for ever.)
  if (lock->grmode != lock->rqmode || lock->queue != Lock::Queue::kGranted) {
    MoveTo(Lock::Queue::kNone, lock);
    lock->grmode = lock->rqmode;
    MoveTo(Lock::Queue::kGranted, lock);
  }
  lock->rqmode = kModeIv;
  lock->believed_mode = kModeIv;
  if (lock->block != nullptr) lock->block->at_master.reset();
  lock->highbast = 0;
  if (contention_ != nullptr) contention_->told = kModeIv;
}

bool Resource::GrantConversionsOnce(bool recover, Blocked* blocked, bool* demoted,
                                    CallbackSink* sink) {
  bool granted = false;
  const Ring<QueueLink>& ring = contention_->converting;
  for (QueueLink* at = ring.front(); at != nullptr;) {
    QueueLink* next = ring.Next(at);
    Lock* lock = &ToLock(*at);
    at = next;
    const bool was_demoted = (lock->sb_flags & kSbfDemoted) != 0;
    const int8_t mode = lock->grmode;
    bool deadlock = false;
    if (TryMode(lock, false, recover, &deadlock)) {
      Grant(lock);
      sink->QueueCast(lock, 0);
      granted = true;
    } else if (!was_demoted && (lock->sb_flags & kSbfDemoted) != 0) {
      *demoted = true;
      // No message tells of this; the answer to a conversion does (__receive_convert_reply()).
      if (IsRemote(*lock) && lock->believed_mode == kModeIv) lock->believed_mode = mode;
    } else if (deadlock) {
      if ((lock->exflags & kLkfNoDlckWt) != 0 && lock->highbast < lock->rqmode) {
        sink->QueueBast(lock, lock->rqmode);
        lock->highbast = lock->rqmode;
      }
    } else {
      blocked->high = std::max<int>(blocked->high, lock->rqmode);
      if (lock->rqmode == kModeCw) blocked->cw = true;
    }
  }
  return granted;
}

void Resource::GrantConversions(bool recover, Blocked* blocked, CallbackSink* sink) {
  if (none_converting()) return;
  if (!recover && !contention_->reordered && contention_->unordered_conversions == 0) {
    // Each is granted in its turn, and none can be in a deadlock: it would not have been queued.
    while (QueueLink* head = contention_->converting.front()) {
      Lock* lock = &ToLock(*head);
      if (!MayGrant(*lock, false, false) && !TryOtherMode(lock, false)) break;
      Grant(lock);
      sink->QueueCast(lock, 0);
    }
    for (int mode = kModeNl; mode <= kModeEx; ++mode) {
      if (contention_->converting_to[mode] > 0) blocked->high = std::max(blocked->high, mode);
    }
    if (contention_->converting_to[kModeCw] > 0) blocked->cw = true;
    return;
  }
  bool was_demoted = false;
  while (true) {
    bool demoted = false;
    Blocked found;
    const bool granted = GrantConversionsOnce(recover, &found, &demoted, sink);
    // A grant may allow others, in any place; a demotion is followed up once.
    if (granted) {
      if (found.cw) blocked->cw = true;  // stays said, as in the kernel
      continue;
    }
    if (demoted && !was_demoted) {
      was_demoted = true;
      if (found.cw) blocked->cw = true;
      continue;
    }
    blocked->high = std::max(blocked->high, found.high);
    if (found.cw) blocked->cw = true;
    break;
  }
  if (contention_->converting.empty()) contention_->reordered = false;
}

void Resource::GrantWaiting(Blocked* blocked, CallbackSink* sink) {
  if (none_waiting()) return;
  const Ring<QueueLink>& ring = contention_->waiting;
  if (contention_->unordered_waiters == 0) {
    while (QueueLink* head = ring.front()) {
      Lock* lock = &ToLock(*head);
      if (!TryMode(lock, false, false, nullptr)) break;
      Grant(lock);
      sink->QueueCast(lock, 0);
    }
    for (int mode = kModeNl; mode <= kModeEx; ++mode) {
      if (contention_->waiting_for[mode] > 0) blocked->high = std::max(blocked->high, mode);
    }
    if (contention_->waiting_for[kModeCw] > 0) blocked->cw = true;
    return;
  }
  for (QueueLink* at = ring.front(); at != nullptr;) {
    QueueLink* next = ring.Next(at);
    Lock* lock = &ToLock(*at);
    at = next;
    if (TryMode(lock, false, false, nullptr)) {
      Grant(lock);
      sink->QueueCast(lock, 0);
    } else {
      blocked->high = std::max<int>(blocked->high, lock->rqmode);
      if (lock->rqmode == kModeCw) blocked->cw = true;
    }
  }
}

void Resource::GrantPending(bool recover, CallbackSink* sink) {
  if (contention_ == nullptr) return;
  Blocked blocked;
  GrantConversions(recover, &blocked, sink);
  GrantWaiting(&blocked, sink);
  ReleaseContention();
  TellBlocked(blocked, sink);
}

}  // namespace stackglue::fsdlm
