// One lock resource: the emulation of struct dlm_lock_resource (dlm/dlmcommon.h) as its master sees
// it: three queues, a value block, and the rules by which locks are granted.
//
// Threads: guarded by the cluster's mutex.
//
// Invariants:
//  1. The modes of the locks on granted and converting are pairwise compatible.
//  2. After Shuffle() no head of a queue could be granted: README.md, "Grant rules".
//  3. Without a block the value block is 64 zeros.
//  4. It is in its domain's table as long as a lock is attached to it.
//  5. The counters tell how many locks of which modes are queued, so that no queue is searched for
//     what is not there.
#ifndef STACKGLUE_NATIVE_O2DLM_RESOURCE_H_
#define STACKGLUE_NATIVE_O2DLM_RESOURCE_H_

#include <cstring>
#include <memory>
#include <string_view>

#include "lock.h"
#include "util/name_hash.h"

namespace stackglue::o2dlm {

class Domain;

// dlm/dlmcommon.h:dlm_lock_compatible(): NL goes with all, PR with PR, EX with nothing but NL.
constexpr bool Compatible(int existing, int request) {
  if (existing == kModeNl || request == kModeNl) return true;
  return existing == kModePr && request == kModePr;
}

class Resource {
 public:
  // `name` is 1 to kLockNameMax bytes, `hash` its NameHash; `master` is the node that masters the
  // resource.
  Resource(std::string_view name, uint64_t hash, int master)
      : hash_(static_cast<uint32_t>(hash)),
        master_(static_cast<uint8_t>(master)),
        name_length_(static_cast<uint8_t>(name.size())) {
    std::memcpy(name_, name.data(), name.size());
  }
  Resource(const Resource&) = delete;
  Resource& operator=(const Resource&) = delete;

  std::string_view name() const { return {name_, name_length_}; }
  uint32_t hash() const { return hash_; }
  int master() const { return master_; }

  // Counts the locks that belong here. The resource may be forgotten when Detach() returns true.
  void Attach(Lock* lock) {
    lock->resource = this;
    ++attached_;
  }
  [[nodiscard]] bool Detach(Lock* lock) {
    lock->resource = nullptr;
    return --attached_ == 0;
  }

  // Puts `lock` last on a queue, from whichever it is on. kNone: on no queue. It must have the
  // modes that go with the queue that it is on.
  void MoveTo(Lock::Queue queue, Lock* lock) {
    if (lock->queue != Lock::Queue::kNone) {
      Count(*lock, -1);
      MutableRingOf(lock->queue)->Remove(lock->queue_link());
    }
    lock->queue = queue;
    if (queue == Lock::Queue::kNone) return;
    MutableRingOf(queue)->PushBack(lock->queue_link());
    Count(*lock, 1);
  }
  // To the end of granted, in `mode`.
  void Grant(Lock* lock, int mode);
  // From granted to the end of converting, on its way up to `mode`.
  void StartConverting(Lock* lock, int mode);
  // From converting to the end of granted, in the mode that it has.
  void StopConverting(Lock* lock) { Grant(lock, lock->mode); }
  // From granted back to where it waited for its mode: holding `held`, or with kModeInvalid
  // nothing.
  void Recall(Lock* lock, int held);
  // Whether the thread could find something to do here.
  bool has_waiters() const { return !converting_.empty() || !blocked_.empty(); }

  // dlm/dlmlock.c:dlm_can_grant_new_lock(): a new lock waits for granted and converting locks, and
  // for what the converting ones want, but *not* for the blocked queue.
  bool CanGrantNew(int mode) const {
    if (granted_held_.InTheWayOf(mode) + converting_held_.InTheWayOf(mode) > 0) return false;
    if (mode == kModeNl) return true;
    return wanting_ex_ == 0 && (mode == kModePr || wanting_pr_ == 0);
  }

  // dlm/dlmconvert.c:__dlmconvert_master(): whether granted lock `lock` can go up to `mode` at
  // once.
  bool CanConvertUp(const Lock* lock, int mode) const;

  // dlm/dlmthread.c:dlm_shuffle_lists(): grants what can be granted, conversions first, heads only,
  // and queues a BAST for each lock that is in the way of a head. ASTs and BASTs go to `domain`.
  void Shuffle(Domain* domain);

  // The value block: kLvbLen bytes to `out`.
  void ReadBlock(uint8_t* out) const;
  // Makes room, so that WriteBlock() can not fail. False: no memory, nothing changed.
  [[nodiscard]] bool ReserveBlock();
  void WriteBlock(const uint8_t* block);

  // A node died, `new_master` takes over its resources. Decides what is left of the value block,
  // before the dead node's locks are removed. dlm/dlmrecovery.c:dlm_revalidate_lvb(),
  // dlm_prepare_lvb_for_migration(), dlm_process_recovery_data().
  void RecoverBlock(int dead_node, int new_master);
  // Removes a lock that its member leaves behind from its queue; it stays attached. What an EX lock
  // had to write is lost as if its node had died.
  void Drop(Lock* lock);
  // Removes the locks of `node` from the queues; they stay attached.
  // dlm/dlmrecovery.c:dlm_free_dead_locks().
  void DropLocksOf(int node);
  // The master leaves its domain in good order, with none of its own locks left. Picks the new
  // master as dlm/dlmmaster.c:dlm_pick_migration_target() does, and lets the value block survive
  // as dlm/dlmrecovery.c:dlm_process_recovery_data() does.
  void Migrate();
  void set_master(int node) { master_ = static_cast<uint8_t>(node); }

  // A mark for callers that visit the resources of many locks.
  bool dirty() const { return dirty_; }
  void set_dirty(bool dirty) { dirty_ = dirty; }

  // A run of the thread over this resource was put off.
  bool awaits_thread() const { return awaits_thread_; }
  void set_awaits_thread(bool awaits) { awaits_thread_ = awaits; }

  // Calls `visit(Lock&)` for each lock of a queue, oldest first.
  template <class F>
  void ForEach(Lock::Queue queue, F&& visit) const {
    const Ring<QueueLink>& ring = RingOf(queue);
    for (QueueLink* at = ring.front(); at != nullptr; at = ring.Next(at)) {
      visit(static_cast<Lock&>(*at));
    }
  }

  Resource* hash_next = nullptr;

 private:
  // How many locks of a queue hold each mode that can be in another's way. EX is held by one at
  // most.
  struct Held {
    uint32_t pr : 31 = 0;
    uint32_t ex : 1 = 0;

    uint32_t InTheWayOf(int mode) const {
      return mode == kModeNl ? 0 : mode == kModePr ? ex : pr + ex;
    }
    void Add(int mode, int count) {
      if (mode == kModePr) pr = (pr + static_cast<uint32_t>(count)) & 0x7fffffff;
      if (mode == kModeEx) ex = count > 0 ? 1 : 0;
    }
  };

  const Ring<QueueLink>& RingOf(Lock::Queue queue) const {
    return queue == Lock::Queue::kGranted      ? granted_
           : queue == Lock::Queue::kConverting ? converting_
                                               : blocked_;
  }
  Ring<QueueLink>* MutableRingOf(Lock::Queue queue) {
    return const_cast<Ring<QueueLink>*>(&RingOf(queue));
  }
  // Adds `lock`, as it is on its queue, to the counters; or removes it, with -1.
  void Count(const Lock& lock, int count) {
    if (lock.queue == Lock::Queue::kGranted) granted_held_.Add(lock.mode, count);
    if (lock.queue != Lock::Queue::kConverting) return;
    converting_held_.Add(lock.mode, count);
    (lock.convert_mode == kModePr ? wanting_pr_ : wanting_ex_) += static_cast<uint32_t>(count);
  }
  // Queues BASTs for the locks on granted and converting that are in the way of `target`, which
  // wants `mode`; whether there are any.
  bool QueueBasts(Domain* domain, const Lock* target, int mode);
  // The same for `count` locks of one queue.
  static void QueueBasts(Domain* domain, const Ring<QueueLink>& ring, uint32_t count,
                         const Lock* target, int mode);
  void ZeroBlock();

  Ring<QueueLink> granted_;
  Ring<QueueLink> converting_;
  Ring<QueueLink> blocked_;
  std::unique_ptr<ValueBlock> block_;
  uint32_t attached_ = 0;
  uint32_t wanting_pr_ = 0;  // converting to PR
  uint32_t wanting_ex_ = 0;  // converting to EX
  Held granted_held_;
  Held converting_held_;
  const uint32_t hash_;  // the low half of the name's
  uint8_t master_;
  uint8_t name_length_;
  bool dirty_ = false;
  bool awaits_thread_ = false;
  char name_[kLockNameMax];
};

static_assert(sizeof(Resource) <= 104, "an idle resource must stay small");

struct ResourceTraits {
  using Key = std::string_view;
  static uint64_t Hash(std::string_view name) { return NameHash::Of(name); }
  static std::string_view KeyOf(const Resource& resource) { return resource.name(); }
  static uint64_t HashOf(const Resource& resource) { return resource.hash(); }
};

using ResourceTable = HashTable<Resource, ResourceTraits>;

}  // namespace stackglue::o2dlm

#endif  // STACKGLUE_NATIVE_O2DLM_RESOURCE_H_
