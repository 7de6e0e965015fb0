// One lock resource: queues, grant rules, value block. See resource.h.
#include "resource.h"

#include <cstring>

#include "domain.h"
#include "member.h"

namespace stackglue::o2dlm {
namespace {

Lock& ToLock(QueueLink& link) { return static_cast<Lock&>(link); }
const Lock& ToLock(const QueueLink& link) { return static_cast<const Lock&>(link); }

bool HoldsValue(const Lock& lock) { return lock.mode == kModePr || lock.mode == kModeEx; }

}  // namespace

void Resource::Grant(Lock* lock, int mode) {
  MoveTo(Lock::Queue::kNone, lock);
  lock->mode = static_cast<int8_t>(mode);
  lock->convert_mode = kModeInvalid;
  MoveTo(Lock::Queue::kGranted, lock);
}

void Resource::StartConverting(Lock* lock, int mode) {
  MoveTo(Lock::Queue::kNone, lock);
  lock->convert_mode = static_cast<int8_t>(mode);
  MoveTo(Lock::Queue::kConverting, lock);
}

void Resource::Recall(Lock* lock, int held) {
  if (held == kModeInvalid) {
    MoveTo(Lock::Queue::kBlocked, lock);
    return;
  }
  const int wanted = lock->mode;
  Grant(lock, held);
  StartConverting(lock, wanted);
}

bool Resource::CanConvertUp(const Lock* lock, int mode) const {
  const uint32_t own = Compatible(lock->mode, mode) ? 0 : 1;
  if (granted_held_.InTheWayOf(mode) + converting_held_.InTheWayOf(mode) > own) return false;
  return wanting_ex_ == 0 && (mode == kModePr || wanting_pr_ == 0);
}

bool Resource::QueueBasts(Domain* domain, const Lock* target, int mode) {
  const bool counts_itself = target->queue == Lock::Queue::kConverting;
  const uint32_t own = counts_itself && !Compatible(target->mode, mode) ? 1 : 0;
  const uint32_t granted = granted_held_.InTheWayOf(mode);
  const uint32_t converting = converting_held_.InTheWayOf(mode) - own;
  QueueBasts(domain, granted_, granted, target, mode);
  QueueBasts(domain, converting_, converting, target, mode);
  return granted + converting > 0;
}

void Resource::QueueBasts(Domain* domain, const Ring<QueueLink>& ring, uint32_t count,
                          const Lock* target, int mode) {
  // Oldest first. A single one is mostly the last that was granted.
  const bool from_back = count == 1;
  QueueLink* at = from_back ? ring.back() : ring.front();
  for (; count > 0; at = from_back ? ring.Prev(at) : ring.Next(at)) {
    Lock& lock = ToLock(*at);
    if (&lock == target || Compatible(lock.mode, mode)) continue;
    domain->QueueBast(&lock, mode);
    --count;
  }
}

void Resource::Shuffle(Domain* domain) {
  bool can_grant = true;
  while (true) {
    if (QueueLink* head = converting_.front()) {
      Lock* target = &ToLock(*head);
      if (QueueBasts(domain, target, target->convert_mode)) can_grant = false;
      if (can_grant) {
        Grant(target, target->convert_mode);
        domain->QueueAst(target);
        continue;
      }
    }

    // A conversion that waits bars the blocked queue, but the locks in the way of that queue's head
    // are told nevertheless.
    QueueLink* head = blocked_.front();
    if (head == nullptr) return;
    Lock* target = &ToLock(*head);
    if (QueueBasts(domain, target, target->mode)) can_grant = false;
    if (!can_grant) return;
    Grant(target, target->mode);
    domain->QueueAst(target);
  }
}

void Resource::ReadBlock(uint8_t* out) const {
  if (block_ == nullptr) {
    std::memset(out, 0, kLvbLen);
  } else {
    std::memcpy(out, block_->data(), kLvbLen);
  }
}

bool Resource::ReserveBlock() {
  if (block_ == nullptr) block_.reset(new (std::nothrow) ValueBlock{});
  return block_ != nullptr;
}

void Resource::WriteBlock(const uint8_t* block) { std::memcpy(block_->data(), block, kLvbLen); }

void Resource::ZeroBlock() {
  block_.reset();
  for (const Lock::Queue queue : {Lock::Queue::kGranted, Lock::Queue::kConverting}) {
    ForEach(queue, [](Lock& lock) { lock.has_block = false; });
  }
}

void Resource::RecoverBlock(int dead_node, int new_master) {
  bool lost = false;
  if (master_ != dead_node) {
    // The master knows what the dead node held. EX may have had a value that was never written.
    ForEach(Lock::Queue::kGranted, [dead_node, &lost](const Lock& lock) {
      if (lock.member->node() == dead_node && lock.mode == kModeEx) lost = true;
    });
  } else {
    // The block died with its master. It is rebuilt from the status blocks of PR and EX locks that
    // other survivors report to the new master; the new master does not report to itself.
    lost = true;
    for (const Lock::Queue queue : {Lock::Queue::kGranted, Lock::Queue::kConverting}) {
      ForEach(queue, [=, &lost](const Lock& lock) {
        const int node = lock.member->node();
        if (node == dead_node || node == new_master) return;
        if (HoldsValue(lock) && lock.has_block) lost = false;
      });
    }
  }
  if (lost) ZeroBlock();
}

void Resource::Drop(Lock* lock) {
  if (lock->queue == Lock::Queue::kGranted && lock->mode == kModeEx) ZeroBlock();
  MoveTo(Lock::Queue::kNone, lock);
}

void Resource::DropLocksOf(int node) {
  for (const Ring<QueueLink>* ring : {&granted_, &converting_, &blocked_}) {
    for (QueueLink* at = ring->front(); at != nullptr;) {
      QueueLink* next = ring->Next(at);
      Lock* lock = &ToLock(*at);
      if (lock->member->node() == node) MoveTo(Lock::Queue::kNone, lock);
      at = next;
    }
  }
}

void Resource::Migrate() {
  const QueueLink* first = granted_.front();
  if (first == nullptr) first = converting_.front();
  if (first == nullptr) first = blocked_.front();
  if (first == nullptr) return;
  set_master(ToLock(*first).member->node());

  // The old master sends the block that PR and EX locks have seen. The target takes it over only
  // along with such a lock of a third node.
  bool sent = false;
  bool taken = false;
  for (const Lock::Queue queue : {Lock::Queue::kGranted, Lock::Queue::kConverting}) {
    ForEach(queue, [this, &sent, &taken](const Lock& lock) {
      if (!HoldsValue(lock)) return;
      if (lock.has_block) sent = true;
      if (lock.member->node() != master_) taken = true;
    });
  }
  if (!sent || !taken) ZeroBlock();
}

}  // namespace stackglue::o2dlm
