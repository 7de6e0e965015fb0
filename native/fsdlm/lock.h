// One lock: the emulation of struct dlm_lkb (fs/dlm/dlm_internal.h), of the process's copy and the
// master's at once, and of what a process's struct dlm_user_args keeps for it.
//
// Threads: guarded by the cluster's mutex.
//
// Invariants:
//  1. `queue` names the resource's queue that the lock is on; kNone: on none, and then it is at the
//     end of its life (DLM_IFL_ENDOFLIFE): it owes its last completion, or is an orphan whose
//     request was cancelled.
//  2. `grmode` is kModeIv while the lock is not granted nor converting.
//  3. Callbacks that are pending have room; a completion always finds room (ReserveCast()).
#ifndef STACKGLUE_NATIVE_FSDLM_LOCK_H_
#define STACKGLUE_NATIVE_FSDLM_LOCK_H_

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <new>

#include "fsdlm.h"
#include "modes.h"
#include "util/intrusive_list.h"

namespace stackglue::fsdlm {

class Resource;
class Owner;

// The place of a lock on one of its resource's queues (struct dlm_lkb.lkb_statequeue).
struct QueueLink : ListNode {};
// The place on its process's list of locks, or its node's list of orphans (lkb_ownqueue).
struct OwnLink : ListNode {};

// A callback that is pending, in 16 bits.
struct Callback {
  bool is_bast = false;
  int8_t mode = kModeIv;
  uint8_t sb_flags = 0;
  int status = 0;

  uint16_t Pack() const;
  static Callback Unpack(uint16_t bits);
};

// A lock's own copy of the value block (struct dlm_lksb.sb_lvbptr), and which version it is.
struct LockBlock {
  ValueBlock bytes{};
  uint32_t sequence = 0;
  uint32_t sequence_before = 0;  // the last grant: what its node has of it when that is lost
  // What a master on another node has of it, for the request under way: what was sent with that.
  // Null: the same as `bytes`, which a call that is refused changes, too.
  std::unique_ptr<ValueBlock> at_master;
};

struct Lock : QueueLink, OwnLink {
  enum class Queue : uint8_t { kNone, kGranted, kConverting, kWaiting };

  Lock(Owner* process, uint64_t cookie, uint32_t flags, int mode)
      : rqmode(static_cast<int8_t>(mode)), exflags(flags), owner(process), astarg(cookie) {}
  ~Lock() {
    if (callback_capacity_ > kInlineCallbacks) delete[] callbacks_.heap;
  }

  QueueLink* queue_link() { return this; }
  OwnLink* own_link() { return this; }

  // Whether its request waits for what is in its way.
  bool may_wait() const { return (exflags & kLkfNoQueue) == 0; }

  // fs/dlm/ast.c:dlm_add_lkb_callback(). A blocking AST is not added behind one of the same mode,
  // or of a higher one above PR. Whether it was added.
  bool AddBast(int mode) noexcept;
  // Needs ReserveCast() once for each request.
  void AddCast(int status) noexcept;
  // Makes room for one more completion; false: no memory.
  [[nodiscard]] bool ReserveCast() noexcept;
  bool has_callbacks() const { return callback_count_ > 0; }
  Callback TakeCallback();
  void DropCallbacks() { callback_count_ = 0; }

  // fs/dlm/user.c:lkb_is_endoflife()
  static bool IsEnd(const Callback& cast) {
    return !cast.is_bast &&
           (cast.status == -kEUnlock || (cast.mode == kModeIv && cast.status != 0));
  }

  // The small fields come first: they fit in the tail of the last base.
  int8_t grmode = kModeIv;
  int8_t rqmode;  // stays what it was after a conversion that was refused
  int8_t highbast = 0;
  Queue queue = Queue::kNone;
  uint8_t sb_flags = 0;
  int8_t last_cast_mode = kModeNl;  // of the last completion that was taken
  // The mode that the lock's node takes it to hold: what it held before the master, on another
  // node, demoted it while it waited. kModeIv: the same as grmode.
  int8_t believed_mode = kModeIv;
  bool took_cast : 1 = false;
  bool wants_bast : 1 = true;
  bool has_events : 1 = false;  // it is on its member's list
  bool silent : 1 = false;      // DLM_IFL_DEAD

 private:
  static constexpr uint16_t kInlineCallbacks = 4;

  bool Grow(size_t capacity) noexcept;
  void Append(uint16_t packed) { callbacks()[callback_count_++] = packed; }
  uint16_t* callbacks() {
    return callback_capacity_ > kInlineCallbacks ? callbacks_.heap : callbacks_.inside;
  }

  uint16_t callback_count_ = 0;
  uint16_t callback_capacity_ = kInlineCallbacks;

 public:
  uint32_t exflags;  // of the last request, and those of an unlock or cancel since

 private:
  union {
    uint16_t inside[kInlineCallbacks];
    uint16_t* heap;
  } callbacks_{};

 public:
  Owner* owner;
  Resource* resource = nullptr;
  Lock* next_with_events = nullptr;  // on its member's list
  LockId id = 0;
  uint64_t astarg;  // an orphan's: the pid of the process that it was left by
  std::unique_ptr<LockBlock> block;
};

static_assert(sizeof(Lock) <= 104, "an idle lock must stay small");

// The lock that is in a queue by this link.
inline Lock& ToLock(QueueLink& link) { return static_cast<Lock&>(link); }

}  // namespace stackglue::fsdlm

#endif  // STACKGLUE_NATIVE_FSDLM_LOCK_H_
