// One lock resource: queues, grant rules, value block. See resource.h.
#include "resource.h"

#include <algorithm>
#include <cstring>
#include <random>

#include "domain.h"
#include "member.h"

namespace stackglue::o2dlm {
namespace {

Lock& ToLock(QueueLink& link) { return static_cast<Lock&>(link); }
const Lock& ToLock(const QueueLink& link) { return static_cast<const Lock&>(link); }

bool HoldsValue(const Lock& lock) { return lock.mode == kModePr || lock.mode == kModeEx; }

uint64_t ProcessSeed() noexcept {
  try {
    std::random_device device;
    return (static_cast<uint64_t>(device()) << 32) ^ device();
  } catch (...) {
    static const char anchor = 0;
    return reinterpret_cast<uintptr_t>(&anchor);  // the loader's randomness, better than none
  }
}

// Multiplies and folds the product.
uint64_t Mix(uint64_t a, uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

}  // namespace

uint64_t ResourceTraits::Hash(std::string_view name) {
  static const uint64_t seed = ProcessSeed();
  uint64_t hash = seed ^ (name.size() * 0x9e3779b97f4a7c15u);
  while (!name.empty()) {
    uint64_t word = 0;
    const size_t taken = std::min(name.size(), sizeof word);
    std::memcpy(&word, name.data(), taken);
    name.remove_prefix(taken);
    hash = Mix(hash ^ word ^ 0xa0761d6478bd642fu, seed ^ 0xe7037ed1a0b428dbu);
  }
  return Mix(hash, 0x8ebc6af09c88c6e3u);
}

Resource::Resource(std::string_view name, int master)
    : master_(static_cast<uint8_t>(master)), name_length_(static_cast<uint8_t>(name.size())) {
  std::memcpy(name_, name.data(), name.size());
}

void Resource::Attach(Lock* lock) {
  lock->resource = this;
  ++attached_;
}

bool Resource::Detach(Lock* lock) {
  lock->resource = nullptr;
  return --attached_ == 0;
}

const List<QueueLink>* Resource::QueueList(Lock::Queue queue) const {
  switch (queue) {
    case Lock::Queue::kGranted:
      return &granted_;
    case Lock::Queue::kConverting:
      return &converting_;
    case Lock::Queue::kBlocked:
      return &blocked_;
    case Lock::Queue::kNone:
      break;
  }
  return nullptr;
}

void Resource::MoveTo(Lock::Queue queue, Lock* lock) {
  lock->queue = queue;
  if (queue == Lock::Queue::kNone) {
    lock->queue_link()->Unlink();
    return;
  }
  const_cast<List<QueueLink>*>(QueueList(queue))->PushBack(lock->queue_link());
}

bool Resource::CanGrantNew(int mode) const {
  for (const QueueLink& link : granted_) {
    if (!Compatible(ToLock(link).mode, mode)) return false;
  }
  for (const QueueLink& link : converting_) {
    if (!Compatible(ToLock(link).mode, mode)) return false;
    if (!Compatible(ToLock(link).convert_mode, mode)) return false;
  }
  return true;
}

bool Resource::CanConvertUp(const Lock* lock, int mode) const {
  for (const QueueLink& link : granted_) {
    if (&ToLock(link) != lock && !Compatible(ToLock(link).mode, mode)) return false;
  }
  for (const QueueLink& link : converting_) {
    if (!Compatible(ToLock(link).mode, mode)) return false;
    if (!Compatible(ToLock(link).convert_mode, mode)) return false;
  }
  return true;
}

bool Resource::QueueBasts(Domain* domain, List<QueueLink>* queue, const Lock* target, int mode) {
  bool in_the_way = false;
  for (QueueLink& link : *queue) {
    Lock& lock = ToLock(link);
    if (&lock == target || Compatible(lock.mode, mode)) continue;
    in_the_way = true;
    domain->QueueBast(&lock, mode);
  }
  return in_the_way;
}

void Resource::Shuffle(Domain* domain) {
  bool can_grant = true;
  while (true) {
    if (QueueLink* head = converting_.front()) {
      Lock* target = &ToLock(*head);
      if (QueueBasts(domain, &granted_, target, target->convert_mode)) can_grant = false;
      if (QueueBasts(domain, &converting_, target, target->convert_mode)) can_grant = false;
      if (can_grant) {
        target->mode = target->convert_mode;
        target->convert_mode = kModeInvalid;
        MoveTo(Lock::Queue::kGranted, target);
        domain->QueueAst(target);
        continue;
      }
    }

    // A conversion that waits bars the blocked queue, but the locks in the way of that queue's head
    // are told nevertheless.
    QueueLink* head = blocked_.front();
    if (head == nullptr) return;
    Lock* target = &ToLock(*head);
    if (QueueBasts(domain, &granted_, target, target->mode)) can_grant = false;
    if (QueueBasts(domain, &converting_, target, target->mode)) can_grant = false;
    if (!can_grant) return;
    MoveTo(Lock::Queue::kGranted, target);
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
  for (QueueLink& link : granted_) ToLock(link).has_block = false;
  for (QueueLink& link : converting_) ToLock(link).has_block = false;
}

void Resource::RecoverBlock(int dead_node, int new_master) {
  bool lost = false;
  if (master_ != dead_node) {
    // The master knows what the dead node held. EX may have had a value that was never written.
    for (const List<QueueLink>* queue : {&granted_, &converting_}) {
      for (const QueueLink& link : *queue) {
        const Lock& lock = ToLock(link);
        if (lock.member->node() == dead_node && lock.mode == kModeEx) lost = true;
      }
    }
  } else {
    // The block died with its master. It is rebuilt from the status blocks of PR and EX locks that
    // other survivors report to the new master; the new master does not report to itself.
    lost = true;
    for (const List<QueueLink>* queue : {&granted_, &converting_}) {
      for (const QueueLink& link : *queue) {
        const Lock& lock = ToLock(link);
        const int node = lock.member->node();
        if (node == dead_node || node == new_master) continue;
        if (HoldsValue(lock) && lock.has_block) lost = false;
      }
    }
  }
  if (lost) ZeroBlock();
}

void Resource::DropLocksOf(int node) {
  for (List<QueueLink>* queue : {&granted_, &converting_, &blocked_}) {
    queue->ForEachSafe([this, node](QueueLink* link) {
      Lock* lock = &ToLock(*link);
      if (lock->member->node() == node) MoveTo(Lock::Queue::kNone, lock);
    });
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
  for (const List<QueueLink>* queue : {&granted_, &converting_}) {
    for (const QueueLink& link : *queue) {
      const Lock& lock = ToLock(link);
      if (!HoldsValue(lock)) continue;
      if (lock.has_block) sent = true;
      if (lock.member->node() != master_) taken = true;
    }
  }
  if (!sent || !taken) ZeroBlock();
}

}  // namespace stackglue::o2dlm
