// One lock resource as its master sees it: the emulation of struct dlm_rsb (fs/dlm/dlm_internal.h),
// with the rules by which locks are granted and blocking ASTs are sent (fs/dlm/lock.c). Each idea
// has a file: resource.cc the queues and the requests, resource_grants.cc what is granted,
// resource_basts.cc who is told of what waits, resource_block.cc the value block,
// resource_recovery.cc what a death changes.
//
// Threads: guarded by the cluster's mutex.
//
// Invariants:
//  1. The modes of the locks on granted and converting are pairwise compatible, but for those that
//     were demoted by a master that is gone: README.md, rule 20.
//  2. After GrantPending() no lock that waits could be granted: README.md, "Grant rules".
//  3. The counters tell how many locks of which modes are queued, so that no queue is searched for
//     what is not there. Waiting_ exists while a lock is converting or waiting.
//  4. It is in its lockspace's table as long as a lock is attached to it, or it is tossed.
#ifndef STACKGLUE_NATIVE_FSDLM_RESOURCE_H_
#define STACKGLUE_NATIVE_FSDLM_RESOURCE_H_

#include <limits>
#include <memory>
#include <string_view>

#include "lock.h"
#include "util/name_hash.h"

namespace stackglue::fsdlm {

// What receives the callbacks that a resource decides on.
class CallbackSink {
 public:
  // fs/dlm/lock.c:queue_cast(), queue_bast()
  virtual void QueueCast(Lock* lock, int status) = 0;
  virtual void QueueBast(Lock* lock, int mode) = 0;

 protected:
  ~CallbackSink() = default;
};

// A resource's value block (res_lvbptr), and its place among those that no lock uses any more.
struct ResourceBlock : ListNode {
  ValueBlock bytes{};
  uint32_t sequence = 0;
  bool exists = false;  // res_lvbptr: somebody wrote it
  Resource* tossed = nullptr;
  uint64_t tossed_at_ms = 0;
};

class Resource {
 public:
  // Null: no memory. The name lies behind the object.
  static Resource* Create(std::string_view name, int master);
  static void Destroy(Resource* resource);
  Resource(const Resource&) = delete;
  Resource& operator=(const Resource&) = delete;

  std::string_view name() const { return {reinterpret_cast<const char*>(this + 1), name_length_}; }
  // The node that masters it; 0: none of its locks is on a queue, and the next one decides.
  int master() const { return master_; }
  void set_master(int node) { master_ = node; }
  // Whether messages go between the lock's node and the master.
  bool IsRemote(const Lock& lock) const;

  // Counts the locks that belong here. Nothing belongs here any more when Detach() returns true.
  void Attach(Lock* lock);
  [[nodiscard]] bool Detach(Lock* lock);
  bool unused() const { return attached_ == 0; }

  // do_request(), do_convert(), do_unlock(), do_cancel() with their effects. The requests leave in
  // the lock what validate_lock_args() would. Request() and Convert() return false, having changed
  // nothing but the lock, when there was no memory to let it wait.
  [[nodiscard]] bool Request(Lock* lock, CallbackSink* sink);
  [[nodiscard]] bool Convert(Lock* lock, CallbackSink* sink);
  void Unlock(Lock* lock, CallbackSink* sink);
  void Cancel(Lock* lock, CallbackSink* sink);

  // A granted lock waits again, as it did before its grant. False: no memory.
  [[nodiscard]] bool Recall(Lock* lock, int held, int wanted);

  // The lock goes without a word; nobody is granted anything.
  void Drop(Lock* lock) { MoveTo(Lock::Queue::kNone, lock); }

  // fs/dlm/lock.c:grant_pending_locks(). `recover`: conversions in whatever order.
  void GrantPending(bool recover, CallbackSink* sink);

  // A node is gone, and its locks are still here. Removes them, chooses a new master if it was the
  // master, rebuilds the queues as that would find them, and decides about the value block.
  // fs/dlm/lock.c:dlm_recover_purge(); fs/dlm/recover.c:dlm_recover_masters(),
  // dlm_recover_locks(), recover_lvb().
  void RecoverFrom(int gone_node);
  // RecoverFrom() found something that GrantPending() must look at.
  bool needs_grant() const { return needs_grant_; }
  void set_needs_grant(bool needs) { needs_grant_ = needs; }

  bool has_waiters() const { return contention_ != nullptr; }
  bool block_valid() const { return !not_valid_; }
  const ResourceBlock* block() const { return block_.get(); }
  ResourceBlock* block() { return block_.get(); }
  // Nothing uses it any more: its block goes (fs/dlm/lock.c:toss_rsb(), 6.12: deactivate_rsb()).
  // Whether something is left that would be lost if it were forgotten: that the block is invalid.
  [[nodiscard]] bool Toss();

  // Calls `visit(Lock&)` for each lock of a queue, the head first.
  template <class F>
  void ForEach(Lock::Queue queue, F&& visit) const {
    const Ring<QueueLink>* ring = RingOf(queue);
    if (ring == nullptr) return;
    for (QueueLink* at = ring->front(); at != nullptr; at = ring->Next(at)) {
      visit(static_cast<Lock&>(*at));
    }
  }

  Resource* hash_next = nullptr;

 private:
  // What only a resource with waiters needs.
  struct Contention {
    Ring<QueueLink> converting;
    Ring<QueueLink> waiting;
    uint32_t converting_to[kModeCount] = {};
    uint32_t converting_from[kModeCount] = {};
    uint32_t waiting_for[kModeCount] = {};
    // Converting locks that may be granted out of turn, or stand in each other's way: the whole
    // queue is looked at as long as there are any.
    uint32_t unordered_conversions = 0;
    // Likewise. With EXPEDITE one waits only when its grant was lost with the master.
    uint32_t unordered_waiters = 0;
    // Every granted lock in the way of this mode has been told of it, or of a higher one.
    int8_t told = kModeIv;
    bool reordered = false;  // by recovery
  };
  // Of all that wait and cannot be granted.
  struct Blocked {
    int high = kModeIv;
    bool cw = false;
  };

  explicit Resource(std::string_view name, int master);
  ~Resource() = default;

  const Ring<QueueLink>* RingOf(Lock::Queue queue) const;
  Ring<QueueLink>* MutableRingOf(Lock::Queue queue) {
    return const_cast<Ring<QueueLink>*>(RingOf(queue));
  }
  // add_lkb(), del_lkb(). Converting and waiting need ReserveContention() first.
  void MoveTo(Lock::Queue queue, Lock* lock);
  void Count(const Lock& lock, uint32_t count);
  void CountHeld(int mode, uint32_t count);
  bool HasRoomFor(int mode) const {
    return mode < kModePw || held_alone_[mode - kModePw] < std::numeric_limits<uint8_t>::max();
  }
  [[nodiscard]] bool ReserveContention();
  void ReleaseContention();
  bool none_converting() const { return contention_ == nullptr || contention_->converting.empty(); }
  bool none_waiting() const { return contention_ == nullptr || contention_->waiting.empty(); }
  bool IsHead(const Ring<QueueLink>& ring, const Lock* lock) const {
    return static_cast<const Lock*>(ring.front()) == lock;
  }

  // Whether another lock is held in a mode that does not go with what `lock` wants.
  bool Conflicts(const Lock& lock) const;
  // _can_be_granted()
  bool MayGrant(const Lock& lock, bool now, bool recover) const;
  // can_be_granted(). Sets `*deadlock` when the lock would wait for one that waits for it.
  bool TryMode(Lock* lock, bool now, bool recover, bool* deadlock);
  // The part of it that is about ALTPR and ALTCW.
  bool TryOtherMode(Lock* lock, bool now);
  // conversion_deadlock_detect()
  bool InConversionDeadlock(const Lock& lock) const;
  // grant_lock(): value block, mode, queue.
  void Grant(Lock* lock);
  void GrantConversions(bool recover, Blocked* blocked, CallbackSink* sink);
  bool GrantConversionsOnce(bool recover, Blocked* blocked, bool* demoted, CallbackSink* sink);
  void GrantWaiting(Blocked* blocked, CallbackSink* sink);
  // How many granted locks do not go with `mode`; `and_pr`: PR counts whatever `mode` is.
  uint32_t GrantedInTheWayOf(int mode, bool and_pr) const;
  // Calls `visit(Lock&)` for those, the head first, and looks no further than the last one.
  template <class F>
  void ForGrantedInTheWayOf(int mode, bool and_pr, F&& visit);
  // send_blocking_asts()
  void TellGranted(const Lock& waiter, CallbackSink* sink);
  void TellConverting(const Lock& waiter, CallbackSink* sink);
  static void Tell(Lock* lock, const Lock& waiter, CallbackSink* sink);
  // The last part of grant_pending_locks(): for all that could not be granted.
  void TellBlocked(const Blocked& blocked, CallbackSink* sink);
  // revert_lock()
  void Revert(Lock* lock);

  // set_lvb_lock(), set_lvb_unlock()
  void MoveBlock(Lock* lock);
  void MoveBlockAtUnlock(Lock* lock);
  void WriteBlock(const LockBlock* from);
  bool ReserveBlock();
  void Invalidate();
  void Remaster(int gone_node);
  void RecoverBlock();

  Ring<QueueLink> granted_;
  std::unique_ptr<Contention> contention_;
  std::unique_ptr<ResourceBlock> block_;
  int master_;
  uint32_t attached_ = 0;
  // Locks that are granted or converting, by the mode they hold: CR, CW, PR, PW, EX.
  uint32_t held_[3] = {};
  uint8_t held_alone_[2] = {};  // more than one only as in README.md, rule 20
  bool not_valid_ : 1 = false;  // RSB_VALNOTVALID
  bool needs_grant_ : 1 = false;
  uint8_t name_length_;
};

static_assert(sizeof(Resource) <= 64, "an idle resource must stay small");

struct ResourceTraits {
  using Key = std::string_view;
  static uint64_t Hash(std::string_view name) { return NameHash::Of(name); }
  static std::string_view KeyOf(const Resource& resource) { return resource.name(); }
};

}  // namespace stackglue::fsdlm

#endif  // STACKGLUE_NATIVE_FSDLM_RESOURCE_H_
