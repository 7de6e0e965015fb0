// One lock: the emulation of struct dlm_lock (dlm/dlmcommon.h) and of what the engine must know of
// its lock status block.
//
// Threads: guarded by the cluster's mutex.
//
// Invariants:
//  1. `queue` names the resource's queue that the lock is linked on; kNone: linked on none.
//  2. `convert_mode` is kModeInvalid unless `queue` is kConverting.
//  3. `highest_blocked` is kModeInvalid unless the BAST is pending (its BastLink is linked).
//  4. A lock on a queue has a resource. A lock on no queue owes its last unlock AST and is deleted
//     when that is taken.
//  5. A lock whose lock AST is pending is on the granted queue.
#ifndef STACKGLUE_NATIVE_O2DLM_LOCK_H_
#define STACKGLUE_NATIVE_O2DLM_LOCK_H_

#include "event_queue.h"
#include "o2dlm.h"
#include "util/intrusive_hash.h"

namespace stackglue::o2dlm {

class MemberImpl;
class Resource;

// The place of a lock on one of its resource's queues (struct dlm_lock.list).
struct QueueLink : ListNode {};

struct Lock : QueueLink, AstLink, BastLink {
  // enum dlm_lockres_list of dlm/dlmcommon.h, and none.
  enum class Queue : uint8_t { kNone, kGranted, kConverting, kBlocked };

  Lock(MemberImpl* owner, LockId lock_id, uint64_t cookie, int lock_mode)
      : mode(static_cast<int8_t>(lock_mode)), member(owner), id(lock_id), astarg(cookie) {}

  QueueLink* queue_link() { return this; }
  AstLink* ast() { return this; }
  BastLink* bast() { return this; }
  const AstLink* ast() const { return this; }
  const BastLink* bast() const { return this; }

  // The lock AST was queued and is not taken yet (dlm/dlmunlock.c: the lock is `in_use`).
  bool ast_pending() const { return ast()->linked() && ast()->kind == Event::Kind::kLockAst; }
  bool bast_pending() const { return bast()->linked(); }

  // The small fields come first: they fit in the tail of the last base.
  int8_t mode;  // dlm_migratable_lock.type: the mode granted, or asked for while blocked
  int8_t convert_mode = kModeInvalid;
  int8_t highest_blocked = kModeInvalid;
  Queue queue = Queue::kNone;
  // DLM_LKSB_GET_LVB: the pending request's AST brings the value block.
  bool get_lvb : 1 = false;
  // The lock status block holds what the resource's value block holds, for all the engine knows.
  // This is what a value block is rebuilt from when its master is lost.
  bool has_block : 1 = false;

  Lock* hash_next = nullptr;
  MemberImpl* const member;
  Resource* resource = nullptr;
  const LockId id;
  const uint64_t astarg;
};

static_assert(sizeof(Lock) <= 104, "an idle lock must stay small");

struct LockTraits {
  using Key = LockId;
  // Ids are counted up, so they spread by themselves, and neighbours stay neighbours.
  static uint64_t Hash(LockId id) { return id; }
  static LockId KeyOf(const Lock& lock) { return lock.id; }
};

using LockTable = HashTable<Lock, LockTraits>;

}  // namespace stackglue::o2dlm

#endif  // STACKGLUE_NATIVE_O2DLM_LOCK_H_
