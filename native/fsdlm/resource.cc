// One lock resource: queues, grant rules, blocking ASTs, value block. See resource.h.
#include "resource.h"

#include <algorithm>
#include <utility>

#include "owner.h"

namespace stackglue::fsdlm {
namespace {

bool MayWait(const Lock& lock) { return (lock.exflags & kLkfNoQueue) == 0; }
bool IsConversion(const Lock& lock) { return lock.grmode != kModeIv; }

// Whether a converting lock may be granted, or be found in a deadlock, before it is the head.
bool IsUnordered(const Lock& lock) {
  return (lock.exflags & (kLkfNoOrder | kLkfHeadQue | kLkfNoDlckWt)) != 0;
}

// modes_require_bast()
bool RequiresBast(const Lock& holder, int wanted) {
  if (IsMiddleConversion(holder.grmode, wanted)) return holder.highbast < kModeEx;
  return holder.highbast < wanted && !Compatible(holder.grmode, wanted);
}

}  // namespace

Resource* Resource::Create(std::string_view name, int master) {
  void* memory = ::operator new(sizeof(Resource) + name.size(), std::nothrow);
  return memory == nullptr ? nullptr : new (memory) Resource(name, master);
}

void Resource::Destroy(Resource* resource) {
  resource->~Resource();
  ::operator delete(resource);
}

Resource::Resource(std::string_view name, int master)
    : master_(master), name_length_(static_cast<uint8_t>(name.size())) {
  if (!name.empty()) std::memcpy(static_cast<void*>(this + 1), name.data(), name.size());
}

void Resource::Attach(Lock* lock) {
  lock->resource = this;
  ++attached_;
}

bool Resource::Detach(Lock* lock) {
  lock->resource = nullptr;
  return --attached_ == 0;
}

bool Resource::Toss() {
  if (!not_valid_ || block_ == nullptr) return false;
  block_->bytes = {};
  block_->exists = false;
  return true;
}

// --- Queues -------------------------------------------------------------------------------------

const Ring<QueueLink>* Resource::RingOf(Lock::Queue queue) const {
  if (queue == Lock::Queue::kGranted) return &granted_;
  if (contention_ == nullptr) return nullptr;
  return queue == Lock::Queue::kConverting ? &contention_->converting : &contention_->waiting;
}

bool Resource::ReserveContention() {
  if (contention_ == nullptr) contention_.reset(new (std::nothrow) Contention);
  return contention_ != nullptr;
}

void Resource::ReleaseContention() {
  if (none_converting() && none_waiting()) contention_.reset();
}

void Resource::CountHeld(int mode, uint32_t count) {
  if (mode <= kModeNl) return;
  if (mode <= kModePr) {
    held_[mode - kModeCr] += count;
  } else {
    uint8_t& held = held_alone_[mode - kModePw];
    held = static_cast<uint8_t>(held + count);
  }
}

void Resource::Count(const Lock& lock, uint32_t count) {
  switch (lock.queue) {
    case Lock::Queue::kNone:
      break;
    case Lock::Queue::kGranted:
      CountHeld(lock.grmode, count);
      break;
    case Lock::Queue::kConverting:
      CountHeld(lock.grmode, count);
      contention_->converting_to[lock.rqmode] += count;
      contention_->converting_from[lock.grmode] += count;
      if (IsUnordered(lock)) contention_->unordered_conversions += count;
      break;
    case Lock::Queue::kWaiting:
      contention_->waiting_for[lock.rqmode] += count;
      if ((lock.exflags & kLkfNoOrder) != 0) contention_->noorder_waiters += count;
      break;
  }
}

void Resource::MoveTo(Lock::Queue queue, Lock* lock) {
  if (lock->queue != Lock::Queue::kNone) {
    Count(*lock, ~uint32_t{0});
    MutableRingOf(lock->queue)->Remove(lock->queue_link());
  }
  lock->queue = queue;
  if (queue == Lock::Queue::kNone) return;
  Ring<QueueLink>* ring = MutableRingOf(queue);
  if (queue != Lock::Queue::kGranted) {
    if ((lock->exflags & kLkfHeadQue) != 0) {
      ring->PushFront(lock->queue_link());
    } else {
      ring->PushBack(lock->queue_link());
    }
  } else {
    // Meant to order the queue by mode, lkb_add_ordered() compares with what the others *want*:
    // mostly nothing, so that the newest comes first.
    QueueLink* at = ring->front();
    while (at != nullptr && ToLock(*at).rqmode >= lock->grmode) at = ring->Next(at);
    if (at == nullptr) {
      ring->PushBack(lock->queue_link());
    } else {
      ring->InsertBefore(at, lock->queue_link());
    }
    if (contention_ != nullptr) contention_->told = kModeIv;
  }
  Count(*lock, 1);
}

// --- Grant rules --------------------------------------------------------------------------------

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

  if (IsConversion(*lock) && MayWait(*lock) && InConversionDeadlock(*lock)) {
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
  if (contention_->noorder_waiters == 0) {
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

uint32_t Resource::GrantedInTheWayOf(int mode, bool and_pr) const {
  uint32_t count = 0;
  for (int held = kModeCr; held <= kModeEx; ++held) {
    if (Compatible(held, mode) && !(and_pr && held == kModePr)) continue;
    count += held <= kModePr ? held_[held - kModeCr] : held_alone_[held - kModePw];
    if (contention_ != nullptr) count -= contention_->converting_from[held];
  }
  return count;
}

template <class F>
void Resource::ForGrantedInTheWayOf(int mode, bool and_pr, F&& visit) {
  uint32_t left = GrantedInTheWayOf(mode, and_pr);
  for (QueueLink* at = granted_.front(); left > 0; at = granted_.Next(at)) {
    Lock& lock = ToLock(*at);
    if (Compatible(lock.grmode, mode) && !(and_pr && lock.grmode == kModePr)) continue;
    visit(lock);
    --left;
  }
}

void Resource::GrantPending(bool recover, CallbackSink* sink) {
  if (contention_ == nullptr) return;
  Blocked blocked;
  GrantConversions(recover, &blocked, sink);
  GrantWaiting(&blocked, sink);
  ReleaseContention();
  if (blocked.high == kModeIv || contention_ == nullptr) return;

  const bool told = contention_->told >= blocked.high;
  if (told && (!blocked.cw || blocked.high == kModeEx)) return;
  ForGrantedInTheWayOf(blocked.high, blocked.cw, [&](Lock& lock) {
    // lock_requires_bast(): CW is in the way of PR though it is the lower one.
    const bool bars_cw = blocked.cw && lock.grmode == kModePr;
    if (bars_cw) {
      if (lock.highbast >= kModeEx) return;
    } else if (lock.highbast >= blocked.high) {
      return;
    }
    sink->QueueBast(&lock, bars_cw && blocked.high == kModePr ? kModeCw : blocked.high);
    lock.highbast = static_cast<int8_t>(blocked.high);
  });
  contention_->told = static_cast<int8_t>(blocked.high);
}

// --- Blocking ASTs ------------------------------------------------------------------------------

void Resource::Tell(Lock* lock, const Lock& waiter, CallbackSink* sink) {
  if (lock == &waiter || !RequiresBast(*lock, waiter.rqmode)) return;
  sink->QueueBast(lock, waiter.rqmode);
  lock->highbast = waiter.rqmode;
}

void Resource::TellConverting(const Lock& waiter, CallbackSink* sink) {
  ForEach(Lock::Queue::kConverting, [&](Lock& lock) { Tell(&lock, waiter, sink); });
}

void Resource::TellGranted(const Lock& waiter, CallbackSink* sink) {
  const int mode = waiter.rqmode;
  const bool inverted = mode == kModeCw || mode == kModePr;
  if (!inverted && contention_ != nullptr && contention_->told >= mode) return;
  ForGrantedInTheWayOf(mode, false, [&waiter, sink](Lock& lock) { Tell(&lock, waiter, sink); });
  if (contention_ == nullptr) return;
  if (waiter.queue != Lock::Queue::kGranted) {
    contention_->told = static_cast<int8_t>(mode);
  } else if (inverted) {
    // One that is itself granted, and was refused, has not been told; others may now count as told
    // of a lower mode than before.
    contention_->told = std::min(contention_->told, static_cast<int8_t>(mode));
  }
}

// --- Requests -----------------------------------------------------------------------------------

bool Resource::Request(Lock* lock, CallbackSink* sink) {
  if (TryMode(lock, true, false, nullptr)) {
    Grant(lock);
    sink->QueueCast(lock, 0);
    return true;
  }
  if (MayWait(*lock)) {
    if (!ReserveContention()) return false;
    MoveTo(Lock::Queue::kWaiting, lock);
    TellGranted(*lock, sink);
    return true;
  }
  sink->QueueCast(lock, -EAGAIN);
  if ((lock->exflags & kLkfNoQueueBast) != 0) {
    TellGranted(*lock, sink);
    TellConverting(*lock, sink);
  }
  return true;
}

bool Resource::Convert(Lock* lock, CallbackSink* sink) {
  const int from = lock->grmode;
  const int to = lock->rqmode;
  const auto grant = [=, this] {
    Grant(lock);
    // A node that is not the master does not wait for the answer, which would bring the flags.
    if (IsRemote(*lock) && IsDownConversion(from, to)) lock->sb_flags = 0;
    sink->QueueCast(lock, 0);
    GrantPending(false, sink);
  };

  bool deadlock = false;
  if (TryMode(lock, true, false, &deadlock)) {
    grant();
    return true;
  }
  if (deadlock && (lock->exflags & kLkfNoDlckWt) == 0) {
    Revert(lock);
    sink->QueueCast(lock, -EDEADLK);
    return true;
  }
  if (MayWait(*lock) && !ReserveContention()) return false;
  if ((lock->sb_flags & kSbfDemoted) != 0) {
    Blocked unused;
    GrantConversions(false, &unused, sink);
    if (MayGrant(*lock, true, false)) {
      grant();
      return true;
    }
  }
  if (MayWait(*lock)) {
    MoveTo(Lock::Queue::kConverting, lock);
    TellGranted(*lock, sink);
    return true;
  }
  sink->QueueCast(lock, -EAGAIN);
  if ((lock->exflags & kLkfNoQueueBast) != 0) {
    TellGranted(*lock, sink);
    TellConverting(*lock, sink);
  }
  return true;
}

void Resource::Unlock(Lock* lock, CallbackSink* sink) {
  MoveBlockAtUnlock(lock);
  MoveTo(Lock::Queue::kNone, lock);
  lock->grmode = lock->believed_mode = kModeIv;
  sink->QueueCast(lock, -kEUnlock);
  GrantPending(false, sink);
}

void Resource::Revert(Lock* lock) {
  Count(*lock, ~uint32_t{0});
  const bool waited = lock->queue == Lock::Queue::kWaiting;
  const Lock::Queue from = lock->queue;
  if (lock->block != nullptr) lock->block->at_master.reset();
  if (from != Lock::Queue::kGranted) MutableRingOf(from)->Remove(lock->queue_link());
  lock->rqmode = kModeIv;
  if (from == Lock::Queue::kGranted) {
    Count(*lock, 1);
    return;
  }
  lock->queue = Lock::Queue::kNone;
  if (waited) {
    lock->grmode = kModeIv;
  } else {
    MoveTo(Lock::Queue::kGranted, lock);
  }
}

void Resource::Cancel(Lock* lock, CallbackSink* sink) {
  if (lock->queue == Lock::Queue::kGranted) return;
  Revert(lock);
  sink->QueueCast(lock, -kECancel);
  GrantPending(false, sink);
  ReleaseContention();
}

// --- Value block --------------------------------------------------------------------------------

bool Resource::IsRemote(const Lock& lock) const { return lock.owner->node() != master_; }

bool Resource::ReserveBlock() {
  if (block_ == nullptr) block_.reset(new (std::nothrow) ResourceBlock);
  return block_ != nullptr;
}

void Resource::Invalidate() {
  not_valid_ = true;
  // Room for what must be kept when the last lock goes; without it, only that is lost.
  (void)ReserveBlock();
}

void Resource::WriteBlock(const LockBlock* from) {
  if (!ReserveBlock()) return;
  block_->bytes = from == nullptr ? ValueBlock{} : from->bytes;
  block_->exists = true;
  ++block_->sequence;
  not_valid_ = false;
}

void Resource::MoveBlock(Lock* lock) {
  const bool asks = (lock->exflags & kLkfValBlk) != 0 && lock->block != nullptr;
  if (lock->block != nullptr) lock->block->sequence_before = lock->block->sequence;
  switch (BlockOperationOf(lock->grmode, lock->rqmode)) {
    case BlockOperation::kRead:
      if (!asks) return;
      if (block_ == nullptr || !block_->exists) {
        // The grant brings the master's copy (set_lvb_lock_pc()).
        if (lock->block->at_master != nullptr) lock->block->bytes = *lock->block->at_master;
        return;
      }
      lock->block->bytes = block_->bytes;
      lock->block->sequence = block_->sequence;
      break;
    case BlockOperation::kWrite:
      if ((lock->exflags & kLkfIvValBlk) != 0) {
        Invalidate();
        return;
      }
      if (!asks) return;
      WriteBlock(lock->block.get());
      // The copy of a node that is not the master is not told the number.
      if (!IsRemote(*lock) && block_ != nullptr) lock->block->sequence = block_->sequence;
      break;
    case BlockOperation::kNone:
      break;
  }
  if (not_valid_) lock->sb_flags |= kSbfValNotValid;
}

void Resource::MoveBlockAtUnlock(Lock* lock) {
  if (lock->grmode < kModePw) return;
  if ((lock->exflags & kLkfIvValBlk) != 0) {
    Invalidate();
    return;
  }
  if ((lock->exflags & kLkfValBlk) == 0) return;
  // A lock that never had a block: its own node writes nothing, a message to the master zeros.
  if (lock->block != nullptr || IsRemote(*lock)) WriteBlock(lock->block.get());
}

bool Resource::Recall(Lock* lock, int held, int wanted) {
  if (!ReserveContention()) return false;
  MoveTo(Lock::Queue::kNone, lock);
  lock->grmode = static_cast<int8_t>(held);
  lock->rqmode = static_cast<int8_t>(wanted);
  lock->sb_flags = 0;
  lock->took_cast = held != kModeIv;
  lock->last_cast_mode = static_cast<int8_t>(std::max(held, kModeNl));
  MoveTo(held == kModeIv ? Lock::Queue::kWaiting : Lock::Queue::kConverting, lock);
  return true;
}

}  // namespace stackglue::fsdlm
