#include "kernel/submitter.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <new>
#include <thread>

#include "kernel/kernel_thread_id.h"

namespace stackglue::kernel {
namespace {

// One round trip to a master; also how often a lost cancel is looked for.
constexpr std::chrono::microseconds kCancelTick{100};

void FutexWait(std::atomic<uint32_t>* word, uint32_t expected) {
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(word), FUTEX_WAIT, expected, nullptr, nullptr, 0);
}

void FutexWake(std::atomic<uint32_t>* word) {
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(word), FUTEX_WAKE, 1, nullptr, nullptr, 0);
}

// Whether a request is one that the loop may have encoded; whoever writes to the area may be
// another process.
bool IsSound(const SubmitRequest& queued) {
  const Request& request = queued.request;
  // A purge has a ticket there.
  const bool names_lock = queued.operation != Operation::kPurge;
  if (names_lock && queued.cookie.index >= SubmitArea::kIndexMax) return false;
  if (request.size < sizeof(dlm_write_request) || request.size > sizeof request.bytes) return false;
  uint8_t command = 0;
  std::memcpy(&command, request.bytes + offsetof(dlm_write_request, cmd), sizeof command);
  switch (queued.operation) {
    case Operation::kLock:
    case Operation::kAdopt:
    case Operation::kConvert:
      return command == DLM_USER_LOCK;
    case Operation::kUnlock:
      return command == DLM_USER_UNLOCK;
    case Operation::kCancel:
      return command == DLM_USER_UNLOCK || command == DLM_USER_DEADLOCK;
    case Operation::kPurge:
      return command == DLM_USER_PURGE;
    case Operation::kNone:
      break;
  }
  return false;
}

// Of this node's processes: 0, or the refusal.
int MayPurge(int32_t pid) {
  if (pid == 0) return 0;
  const uint32_t own = KernelThreadId();
  if (own == 0) return -EOPNOTSUPP;  // it may be ours
  return static_cast<uint32_t>(pid) == own ? -EINVAL : 0;
}

// 0 or more, or a negative errno.
int Write(int device_fd, const Request& request) {
  ssize_t written;
  do {
    written = write(device_fd, request.bytes, request.size);
  } while (written < 0 && errno == EINTR);
  return written < 0 ? -errno : static_cast<int>(written);
}

// What a request's status is to those who asked. ENOENT may be the lock's, or the orphan's that was
// to be adopted; but where the lockspace itself has gone, there is no connection any more.
int StatusOf(int device_fd, int status) {
  if (status == -ENODEV) return -ENOTCONN;
  if (status != -ENOENT) return status;
  Request nothing;
  nothing.EncodeNothing();
  return Write(device_fd, nothing) == -EINVAL ? status : -ENOTCONN;
}

}  // namespace

Submitter::Submitter(SubmitArea* area, int device_fd, int signal_fd)
    : area_(area), device_fd_(device_fd), signal_fd_(signal_fd) {
  area_->owner_pid.store(KernelThreadId(), std::memory_order_release);
}

bool Submitter::CanSpin() {
  static const bool has_processors = [] {
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 1;
  }();
  return has_processors;
}

void Submitter::Wake(SubmitArea* area) {
  // Pairs with WaitForWork(): either this sees that it sleeps, or it sees what was written before.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (area->asleep.load(std::memory_order_relaxed) != 0 && area->asleep.exchange(0) != 0) {
    FutexWake(&area->asleep);
  }
}

void Submitter::Serve() {
  area_->owner_pid.store(KernelThreadId(), std::memory_order_release);
  while (WaitForWork()) {
    const uint32_t taken = area_->requests_taken.load(std::memory_order_relaxed);
    if (Submit(taken) == Progress::kBusy) {
      std::this_thread::sleep_for(kCancelTick);
      continue;  // by way of WaitForWork(), which heeds a stop and the end
    }
    area_->requests_taken.store(taken + 1, std::memory_order_release);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (area_->wants_slots.load(std::memory_order_relaxed) != 0 &&
        area_->wants_slots.exchange(0) != 0) {
      Signal();
    }
  }
}

void Submitter::End() {
  area_->ended.store(1, std::memory_order_release);
  Signal();
}

bool Submitter::ServeOnce() {
  while (MayTake()) {
    const uint32_t taken = area_->requests_taken.load(std::memory_order_relaxed);
    if (Submit(taken) == Progress::kBusy) return true;
    area_->requests_taken.store(taken + 1, std::memory_order_release);
  }
  return false;
}

// Whether there is a request to be made, and an answer's slot for what comes of it.
bool Submitter::MayTake() const {
  if (area_->paused.load(std::memory_order_acquire) != 0 ||
      area_->abandoned.load(std::memory_order_acquire) != 0) {
    return false;
  }
  const uint32_t taken = area_->requests_taken.load(std::memory_order_relaxed);
  if (area_->requests_put.load(std::memory_order_acquire) == taken) return false;
  if (area_->closing.load(std::memory_order_acquire) != 0) return true;  // nobody reads answers
  return area_->answers_put.load(std::memory_order_relaxed) -
             area_->answers_taken.load(std::memory_order_acquire) <
         SubmitArea::kSlots;
}

// True: there is a request to be made. False: the end.
bool Submitter::WaitForWork() {
  const auto is_over = [this] {
    if (area_->abandoned.load(std::memory_order_acquire) != 0) return true;
    return area_->closing.load(std::memory_order_acquire) != 0 &&
           area_->requests_put.load(std::memory_order_acquire) ==
               area_->requests_taken.load(std::memory_order_relaxed);
  };
  for (;;) {
    if (is_over()) return false;
    if (MayTake()) return true;
    if (CanSpin() && SpinUntil([this] { return MayTake(); })) continue;
    area_->asleep.store(1, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (!MayTake() && !is_over()) FutexWait(&area_->asleep, 1);
    area_->asleep.store(0, std::memory_order_relaxed);
  }
}

Submitter::Progress Submitter::Submit(uint32_t slot) {
  // A copy, so that what is checked is what is sent.
  SubmitRequest copy = area_->requests[slot % SubmitArea::kSlots];
  std::atomic_signal_fence(std::memory_order_seq_cst);
  SubmitRequest* const queued = &copy;
  const Cookie cookie = queued->cookie;
  const bool makes_lock = queued->operation == Operation::kLock;
  // Or the loop knows its id when it asks for more: nothing is asked for behind either.
  const bool ends_lock =
      queued->operation == Operation::kUnlock || queued->operation == Operation::kCancel;
  int status = 0;
  if (!IsSound(*queued)) {
    status = -EINVAL;
  } else if (makes_lock) {
    queued->request.set_lock_id(0);
    status = MakeRoomFor(cookie.index);
  } else if (queued->operation == Operation::kPurge) {
    // To the kernel its own number would mean all locks of this connection, and it would tell
    // nobody (fs/dlm/lock.c:dlm_user_purge).
    if (queued->purges_this_node) status = MayPurge(queued->purged_pid);
  } else if (queued->operation != Operation::kAdopt) {
    uint32_t lock_id = queued->lock_id;
    if (lock_id == 0) lock_id = made_.IdOf(cookie);
    // The request that should have made it was refused.
    if (lock_id == 0) status = -ENOENT;
    queued->request.set_lock_id(lock_id);
  }
  if (status == 0) {
    status = StatusOf(device_fd_, Write(device_fd_, queued->request));
    if (status == -EBUSY && queued->after_lost_cancel &&
        area_->closing.load(std::memory_order_acquire) == 0 &&
        area_->abandoned.load(std::memory_order_acquire) == 0) {
      // A lost cancel has no result, so there is nothing to wait for but its effect.
      return Progress::kBusy;
    }
  }
  if (makes_lock && status > 0) {
    made_.Put(cookie, static_cast<uint32_t>(status));
  } else if (makes_lock || queued->lock_id != 0 || (ends_lock && status >= 0)) {
    made_.Forget(cookie);
  }
  switch (queued->operation) {
    case Operation::kAdopt:
    case Operation::kPurge:
      Answer(*queued, status);
      break;
    case Operation::kCancel:
      break;
    default:
      if (status < 0) Answer(*queued, status);
  }
  return Progress::kDone;
}

// For the id of a lock that is about to be made. 0, or the refusal.
int Submitter::MakeRoomFor(uint32_t index) {
  try {
    made_.MakeRoomFor(index);
  } catch (const std::bad_alloc&) {
    return -ENOMEM;
  }
  return 0;
}

void Submitter::Answer(const SubmitRequest& queued, int status) {
  if (area_->closing.load(std::memory_order_acquire) != 0) return;
  const uint32_t put = area_->answers_put.load(std::memory_order_relaxed);
  user::Answer& answer = area_->answers[put % SubmitArea::kSlots];
  answer.cookie = queued.cookie;
  answer.operation = queued.operation;
  answer.status = std::min(status, 0);
  answer.lock_id = status > 0 ? static_cast<uint32_t>(status) : 0;
  area_->answers_put.store(put + 1, std::memory_order_release);
  Signal();
}

void Submitter::Signal() const {
  const uint64_t one = 1;
  // It can only fail when the loop has been signalled more often than it can count.
  [[maybe_unused]] const ssize_t written = write(signal_fd_, &one, sizeof one);
}

}  // namespace stackglue::kernel
