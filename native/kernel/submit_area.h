// The memory through which requests go from the loop to whoever makes the calls into the kernel
// (the submitter: a thread of this process, the keeper process, or the loop itself), and refusals
// come back.
//
// Two rings, each with one writer and one reader, that may lie in memory shared by two processes:
// no pointers, and indexes that only grow. A ring's slots from `taken` to `put` are its reader's,
// the others its writer's.
//
// Who acts on a slot copies it first and checks the copy: the other process may have rights that
// are not the same any more (README.md, "Who trusts whom").
//
// Threads: the members say who writes them.
#ifndef STACKGLUE_NATIVE_KERNEL_SUBMIT_AREA_H_
#define STACKGLUE_NATIVE_KERNEL_SUBMIT_AREA_H_

#include <fcntl.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "kernel/device_protocol.h"
#include "user/request.h"

namespace stackglue::kernel {

using user::Operation;

struct SubmitRequest {
  Cookie cookie;
  // 0: not known to the loop yet; the submitter has it from the call that made the lock.
  uint32_t lock_id;
  Operation operation;
  // The kernel may answer EBUSY until the master has answered a cancel that was too late.
  bool after_lost_cancel;
  // For kPurge: the process to be purged, and whether the purge is of this node (or of all).
  bool purges_this_node;
  int32_t purged_pid;
  Request request;
};

struct SubmitArea {
  // Large enough for what one batch of events makes a program ask for.
  static constexpr uint32_t kSlots = 256;
  // Indexes of locks are below this: a process with so many had 8 GiB of them.
  static constexpr uint32_t kIndexMax = 1u << 24;

  // The loop writes.
  alignas(64) std::atomic<uint32_t> requests_put{0};
  // The lockspace is stopped: a call would wait in the kernel, so none is made.
  std::atomic<uint32_t> paused{0};
  // No more requests come: the submitter ends when it has made the calls that are due.
  std::atomic<uint32_t> closing{0};
  // The submitter ends at once.
  std::atomic<uint32_t> abandoned{0};
  alignas(64) std::atomic<uint32_t> answers_taken{0};

  // The submitter writes.
  alignas(64) std::atomic<uint32_t> requests_taken{0};
  std::atomic<uint32_t> answers_put{0};
  // It has ended, and will not touch the device again.
  std::atomic<uint32_t> ended{0};
  // Whose locks they are to the kernel: the number of the thread that makes the calls; 0 where that
  // cannot be seen.
  std::atomic<uint32_t> owner_pid{0};

  // Both write, and it is the word that the submitter sleeps on: 1 while it does.
  alignas(64) std::atomic<uint32_t> asleep{0};
  // The loop has requests that found no slot: 1 asks for a signal when there are some.
  std::atomic<uint32_t> wants_slots{0};

  alignas(64) SubmitRequest requests[kSlots];
  user::Answer answers[kSlots];
};

// Of the memory file, so that nobody can take memory away that the other still reads.
inline constexpr int kAreaSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

static_assert(std::atomic<uint32_t>::is_always_lock_free, "the area is shared between processes");

}  // namespace stackglue::kernel

#endif  // STACKGLUE_NATIVE_KERNEL_SUBMIT_AREA_H_
