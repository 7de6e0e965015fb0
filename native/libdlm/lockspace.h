// One open lockspace of the kernel's DLM and the locks that this process has in it.
//
// Threads: the lockspace has a thread of its own, which alone makes the calls that can wait for the
// cluster: it opens the lockspace, writes the requests, in order, and closes it. Everything else
// here runs on the event loop's thread ("the loop" below), which never waits: it queues requests
// and reads results that are ready. The Waker is called on either thread.
//
// Invariants:
// 1. A request for a lock is only queued while nothing that is under way can end the lock. The
// kernel
//    gives the id of a lock that has ended to anybody's next lock, from 6.12 on before the last
//    result was read, and lets anybody cancel it: a cancel that comes too late would hit a
//    stranger's lock. So a request that ends by itself (NOQUEUE) is never cancelled, and nothing is
//    asked for behind a cancel or an unlock.
// 2. A record in locks_ is released only after JavaScript has been told of its end.
// 3. Every accepted request ends in exactly one completion, except a cancel that came too late,
// which
//    fs/dlm ends in none (fs/dlm/lock.c:dlm_user_cancel).
#ifndef STACKGLUE_NATIVE_LIBDLM_LOCKSPACE_H_
#define STACKGLUE_NATIVE_LIBDLM_LOCKSPACE_H_

#include <sys/types.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "libdlm/device_protocol.h"
#include "libdlm/library.h"
#include "libdlm/membership.h"
#include "libdlm/open_failure.h"
#include "util/event_record.h"
#include "util/slot_table.h"
#include "util/status_block.h"

namespace stackglue::libdlm {

// Asks the loop to call Lockspace::Collect() and look at Lockspace::state() soon.
class Waker {
 public:
  virtual ~Waker() = default;
  virtual void Wake() noexcept = 0;
};

class Lockspace {
 public:
  struct Options {
    std::string name;     // at most DLM_LOCKSPACE_LEN bytes
    std::string library;  // path of libdlm; empty: the usual names
    bool create = true;   // create the lockspace where this process may, else only open it
    mode_t mode = 0600;   // of the device, when it is created
  };

  enum class State { kOpening, kOpen, kFailed, kClosing, kClosed };

  // Starts the thread, which opens the lockspace; `waker` outlives this object.
  // Throws std::system_error when no thread can be had.
  Lockspace(Options options, Waker* waker);

  // Waits for the thread, so only in state kFailed or kClosed is it quick.
  ~Lockspace();

  State state() const { return state_.load(std::memory_order_acquire); }

  // What became of opening; meaningful once state() is no longer kOpening.
  const OpenResult& open_result() const { return open_result_; }

  // The lockspace's device and the membership watch, for the loop to poll; valid in kOpen.
  int device_fd() const { return device_fd_; }
  int membership_fd() const { return membership_.fd(); }
  int this_node() const { return this_node_; }

  // The requests return 0 (Lock: the lock's index) once queued, or a negative errno with nothing
  // changed. `flags` are the kernel's DLM_LKF_*. Loop only.
  int64_t Lock(int mode, uint32_t flags, std::string_view name, StatusBlock status_block);
  int Convert(uint32_t index, int mode, uint32_t flags);
  int Unlock(uint32_t index, uint32_t flags);

  // Gathers up to kBatchMax events that are ready, status blocks already written; the events of
  // departed nodes go to `departures` and must be delivered first. After delivery call
  // ReleaseEnded(). Returns how many, 0 when nothing is ready. Loop only.
  size_t Collect(EventRecord* events, std::vector<Membership::Departure>* departures);
  void ReleaseEnded();

  // Queues the end: the requests before it are still written, locks that are left are dropped by
  // the kernel, and the state becomes kClosed. Idempotent. Loop only.
  void Close();

 private:
  enum class Operation : uint8_t { kNone, kLock, kConvert, kUnlock };

  struct LockRecord {
    // generation << 32 | kernel lock id (0: not known yet). The only field that both threads use;
    // generation 0 means that the lock has ended.
    std::atomic<uint64_t> identity{0};
    StatusBlock status_block;
    Operation operation = Operation::kNone;
    bool unlocking = false;
    // A cancel of the operation has been asked for.
    bool cancelling = false;
    // The last operation ended otherwise although a cancel of it was asked for, and the kernel may
    // still wait for the master's answer to that cancel.
    bool cancel_lost = false;
    // This conversion to NL is ours, and the unlock that was asked for follows it.
    bool unlock_follows = false;
    // The last request had VALBLK, so that fs/dlm would write the value block at unlock ...
    bool kernel_has_valblk = false;
    // ... and some request had it, so that fs/dlm has memory for a value block at all.
    bool kernel_has_lvb = false;
    int8_t granted_mode = -1;
    int8_t requested_mode = -1;
    uint32_t request_flags = 0;
    uint64_t completed_in_batch = 0;
  };

  struct QueuedRequest {
    Request request;
    LockRecord* record = nullptr;
    Cookie cookie;
    Operation operation = Operation::kNone;
    bool cancel = false;
    // The kernel may answer EBUSY until the master has answered a cancel that was too late.
    bool after_lost_cancel = false;
    // The kernel completes it in the call itself and sends no result: adopting an orphan.
    bool immediate = false;
  };

  // What the kernel answered to a request that will have no result of its own.
  struct Answer {
    Cookie cookie;
    Operation operation = Operation::kNone;
    int status = 0;
  };

  // The lockspace's thread.
  void Run();
  OpenResult Open();
  bool OpenHandle(const Library& library, OpenResult* result);
  bool IsKernelLockspace();
  bool IsClosing();
  void Serve();
  void Submit(QueuedRequest* queued);
  bool AwaitCancelAnswer(const QueuedRequest& queued);
  void Shut();

  // The loop.
  void Enqueue(QueuedRequest queued);
  void EnqueueConvert(uint32_t index, LockRecord* record, int mode, uint32_t flags,
                      Operation operation);
  void EnqueueUnlock(uint32_t index, LockRecord* record, uint32_t flags);
  size_t TakeAnswers(EventRecord* events);
  bool ReadResults(EventRecord* events, size_t* count);
  bool HandleResult(const Result& result, EventRecord* event);
  bool HandleCompletion(const Result& result, LockRecord* record, EventRecord* event);
  void End(uint32_t index, LockRecord* record, EventRecord* event);

  const Options options_;
  Waker* const waker_;
  std::atomic<State> state_{State::kOpening};

  // Written by the thread before state_ becomes kOpen or kFailed.
  OpenResult open_result_;
  const Library* library_ = nullptr;
  LockspaceHandle handle_ = nullptr;
  bool created_ = false;
  int device_fd_ = -1;
  int this_node_ = 0;
  Membership membership_;

  // Guarded by queue_mutex_.
  std::mutex queue_mutex_;
  std::condition_variable queue_filled_;
  std::vector<QueuedRequest> queue_;
  bool closing_ = false;

  // Guarded by answers_mutex_.
  std::mutex answers_mutex_;
  std::vector<Answer> answers_;

  // Loop only.
  SlotTable<LockRecord> locks_;
  std::vector<uint32_t> ended_;
  uint64_t batch_ = 0;
  // A result that would have been its lock's second in a batch waits here for the next one.
  alignas(8) uint8_t held_bytes_[kResultMax];
  size_t held_size_ = 0;

  std::thread thread_;  // last: it uses all of the above
};

}  // namespace stackglue::libdlm

#endif  // STACKGLUE_NATIVE_LIBDLM_LOCKSPACE_H_
