// What becomes of one lock resource when a node dies: its locks, a new master, the value block. See
// resource.h.
#include <algorithm>
#include <utility>

#include "owner.h"
#include "resource.h"

namespace stackglue::fsdlm {

void Resource::RecoverFrom(int gone_node) {
  const bool master_is_gone = master_ == gone_node;
  bool held_block = false;
  bool removed = false;
  for (const Lock::Queue queue :
       {Lock::Queue::kGranted, Lock::Queue::kConverting, Lock::Queue::kWaiting}) {
    const Ring<QueueLink>* ring = RingOf(queue);
    for (QueueLink* at = ring == nullptr ? nullptr : ring->front(); at != nullptr;) {
      QueueLink* next = ring->Next(at);
      Lock* lock = &ToLock(*at);
      if (lock->owner->node() == gone_node) {
        if ((lock->exflags & kLkfValBlk) != 0 && lock->grmode >= kModePw) held_block = true;
        MoveTo(Lock::Queue::kNone, lock);
        removed = true;
      }
      at = next;
    }
  }
  ReleaseContention();
  if (master_is_gone) {
    Remaster(gone_node);
    needs_grant_ = has_waiters();
  } else {
    if (held_block) Invalidate();
    if (removed) needs_grant_ = true;
  }
}

void Resource::Remaster(int gone_node) {
  int lowest = 0;
  for (const Lock::Queue queue :
       {Lock::Queue::kGranted, Lock::Queue::kConverting, Lock::Queue::kWaiting}) {
    ForEach(queue, [&lowest, gone_node](const Lock& lock) {
      const int node = lock.owner->node();
      if (node != gone_node && (lowest == 0 || node < lowest)) lowest = node;
    });
  }
  master_ = lowest;
  block_.reset();
  not_valid_ = false;
  if (lowest == 0) return;

  // What their nodes know is all that is left of locks.
  for (const Lock::Queue queue :
       {Lock::Queue::kGranted, Lock::Queue::kConverting, Lock::Queue::kWaiting}) {
    ForEach(queue, [this](Lock& lock) {
      if (lock.block != nullptr) lock.block->at_master.reset();
      if (lock.believed_mode == kModeIv || !HasRoomFor(lock.believed_mode)) return;
      Count(lock, ~uint32_t{0});
      lock.grmode = std::exchange(lock.believed_mode, kModeIv);
      Count(lock, 1);
      lock.sb_flags &= static_cast<uint8_t>(~kSbfDemoted);
    });
  }

  // The new master's own locks are where they were. Those of the others come afterwards, node by
  // node and queue by queue, each to the end of its queue or, with HEADQUE, to its head.
  for (const Lock::Queue queue :
       {Lock::Queue::kGranted, Lock::Queue::kConverting, Lock::Queue::kWaiting}) {
    Ring<QueueLink>* ring = MutableRingOf(queue);
    if (ring == nullptr) continue;
    Ring<QueueLink> others;
    for (QueueLink* at = ring->front(); at != nullptr;) {
      QueueLink* next = ring->Next(at);
      Lock* lock = &ToLock(*at);
      if (lock->owner->node() != master_) {
        MoveTo(Lock::Queue::kNone, lock);
        others.PushBack(at);
      }
      at = next;
    }
    while (!others.empty()) {
      int node = ToLock(*others.front()).owner->node();
      for (QueueLink* at = others.front(); at != nullptr; at = others.Next(at)) {
        node = std::min(node, ToLock(*at).owner->node());
      }
      for (QueueLink* at = others.front(); at != nullptr;) {
        QueueLink* next = others.Next(at);
        Lock* lock = &ToLock(*at);
        if (lock->owner->node() == node) {
          others.Remove(at);
          lock->highbast = 0;
          lock->sb_flags = 0;  // no part of what it is told (pack_rcom_lock())
          MoveTo(queue, lock);
        }
        at = next;
      }
    }
  }
  if (contention_ != nullptr) {
    contention_->reordered = true;
    contention_->told = kModeIv;
  }
  RecoverBlock();
}

void Resource::RecoverBlock() {
  const Lock* strong = nullptr;
  const Lock* newest = nullptr;
  uint32_t sequence = 0;
  bool found = false;
  for (const Lock::Queue queue : {Lock::Queue::kGranted, Lock::Queue::kConverting}) {
    ForEach(queue, [&](const Lock& lock) {
      if (strong != nullptr || (lock.exflags & kLkfValBlk) == 0) return;
      found = true;
      const uint32_t its = lock.block == nullptr ? 0 : lock.block->sequence;
      if (lock.grmode > kModeCr) {
        strong = &lock;
      } else if (static_cast<int32_t>(its - sequence) >= 0) {
        newest = &lock;
        sequence = its;
      }
    });
  }
  if (!found) return;
  if (strong == nullptr) not_valid_ = true;
  if (!ReserveBlock()) return;
  const Lock* from = strong != nullptr ? strong : newest;
  block_->exists = true;
  if (from != nullptr && from->block != nullptr) {
    block_->bytes = from->block->bytes;
    block_->sequence = from->block->sequence;
  }
}

}  // namespace stackglue::fsdlm
