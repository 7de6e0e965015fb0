// One lock resource: its queues, and what a request, an unlock and a cancel do to it. See
// resource.h.
#include "resource.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "owner.h"

namespace stackglue::fsdlm {
namespace {

// Whether a converting lock may be granted, or be found in a deadlock, before it is the head.
bool IsUnordered(const Lock& lock) {
  return (lock.exflags & (kLkfNoOrder | kLkfHeadQue | kLkfNoDlckWt)) != 0;
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

bool Resource::IsRemote(const Lock& lock) const { return lock.owner->node() != master_; }

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
      if ((lock.exflags & (kLkfNoOrder | kLkfExpedite)) != 0) {
        contention_->unordered_waiters += count;
      }
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

// --- Requests -----------------------------------------------------------------------------------

bool Resource::Request(Lock* lock, CallbackSink* sink) {
  if (TryMode(lock, true, false, nullptr)) {
    Grant(lock);
    sink->QueueCast(lock, 0);
    return true;
  }
  if (lock->may_wait()) {
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
  if (lock->may_wait() && !ReserveContention()) return false;
  if ((lock->sb_flags & kSbfDemoted) != 0) {
    Blocked unused;
    GrantConversions(false, &unused, sink);
    if (MayGrant(*lock, true, false)) {
      grant();
      return true;
    }
  }
  if (lock->may_wait()) {
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
