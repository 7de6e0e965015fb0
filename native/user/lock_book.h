// What a program has asked of fs/dlm for each of its locks, what it may ask next, and what it is
// told of what comes back: the rules of stack `user`, whoever takes the requests to whichever DLM.
//
// Threads: one owner, one thread.
//
// Invariants:
// 1. A request for a lock is only put while nothing that is under way can end the lock. The kernel
//    gives the id of a lock that has ended to anybody's next lock, from 6.12 on before the last
//    result was read, and lets anybody cancel it: a cancel that comes too late would hit a
//    stranger's lock. So a request that ends by itself (NOQUEUE) is never cancelled, and nothing is
//    asked for behind a cancel or an unlock.
// 2. A record is released only after JavaScript has been told of its end.
// 3. A cancel of a new lock is put only when the kernel knows who the resource's master is.
//    fs/dlm has all requests for a resource wait behind the first while it asks the directory for
//    the master. If the first is cancelled meanwhile, and another node is the master, it forgets
//    those behind it: they are never sent (fs/dlm/lock.c:receive_lookup_reply, which does not call
//    confirm_master). So a lock of our own goes first, a probe: NL with EXPEDITE waits for nobody
//    but the master, and is given back after the cancel. Nobody is told of it. It was put after the
//    request that is to be cancelled, and one resource has one at a time (lock_book_probe.cc).
// 4. No new lock is put whose request can end by itself: NOQUEUE goes by steps, as the kernel may
//    free what ends so too early (native/KERNELS.md; lock_book_try.cc).
// 5. Every accepted request ends in exactly one completion, except a cancel that came too late,
//    which fs/dlm ends in none (fs/dlm/lock.c:dlm_user_cancel).
// 6. results_due() is the sum over the records in use. A lock that ends takes with it what it alone
//    had to come: an unlock by force of what waits ends both requests in one result.
#ifndef STACKGLUE_NATIVE_USER_LOCK_BOOK_H_
#define STACKGLUE_NATIVE_USER_LOCK_BOOK_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "order/clock.h"
#include "user/lock_rules.h"
#include "user/probe_table.h"
#include "user/request.h"
#include "util/event_record.h"
#include "util/slot_table.h"

namespace stackglue::user {

// What whoever carries the requests of a lock keeps with it; empty for a new lock.
struct CarrierMemory {
  uint64_t id = 0;
  bool has_transaction = false;
};

// One request on its way to fs/dlm; what it points to lives as long as the call that is given it.
struct Order {
  Operation operation = Operation::kNone;
  Cookie cookie;
  CarrierMemory* memory = nullptr;
  uint32_t lock_id = 0;            // 0: not known yet
  bool after_lost_cancel = false;  // see SubmitRequest
  bool breaks_deadlock = false;    // kCancel: as dlm_ls_deadlock_cancel does
  int mode = 0;
  uint32_t flags = 0;            // DLM_LKF_*
  uint64_t xid = 0;              // kLock, kAdopt, kConvert: the transaction
  std::string_view name;         // kLock, kAdopt
  const uint8_t* lvb = nullptr;  // kConvert, kUnlock: kLvbLen bytes
};

class LockBook {
 public:
  // Takes orders to fs/dlm, in order. A refusal comes back through HandleAnswer(), everything else
  // through HandleResult(), neither from inside Put().
  class Carrier {
   public:
    // May throw std::bad_alloc, and then has taken nothing.
    virtual void Put(const Order& order) = 0;

   protected:
    ~Carrier() = default;
  };

  // `clock` outlives it.
  LockBook(Carrier* carrier, const order::Clock* clock) : carrier_(carrier), clock_(clock) {
    ended_.reserve(kBatchMax);
  }
  LockBook(const LockBook&) = delete;
  LockBook& operator=(const LockBook&) = delete;

  // The requests return 0 (Lock: the lock's index) once put, or a negative errno with nothing
  // changed; so do they when they throw std::bad_alloc. `flags` are the kernel's DLM_LKF_*. `lvb`:
  // the program's value block, kLvbLen bytes, which only matter with VALBLK.
  int64_t Lock(int mode, uint32_t flags, uint64_t xid, std::string_view name);
  int Convert(uint32_t index, int mode, uint32_t flags, uint64_t xid, const uint8_t* lvb);
  int Unlock(uint32_t index, uint32_t flags, const uint8_t* lvb);
  // The operation that the lock waits for ends with -EDEADLK, unless its grant is faster.
  int DeadlockCancel(uint32_t index);

  // How many requests have a result to come.
  size_t results_due() const { return results_due_; }

  // A batch of events begins: a lock has one completion in it at most.
  void BeginBatch() { ++batch_; }
  // What is to be done with a result that has come.
  enum class Turn {
    kNow,
    kNextBatch,    // the batch tells of a completion of its lock already
    kAfterAnswer,  // the answer that its lock exists is a moment away
  };
  Turn TurnOf(const Result& result);
  // Each returns whether there is an event to tell.
  bool HandleAnswer(const Answer& answer, EventRecord* event);
  bool HandleResult(const Result& result, EventRecord* event);
  // The batch has been delivered.
  void ReleaseEnded();
  // The lockspace is gone, and nothing comes back any more: ends up to `max` of what is under way
  // with -ENOTCONN, in the order in which it was asked for; each in a completion, an unlock in its
  // own event. Between BeginBatch() and ReleaseEnded(); 0: nothing is left. What comes back after
  // that is told to nobody.
  size_t EndLost(EventRecord* events, size_t max);
  // To be called now and then while the lockspace runs. Puts the cancels whose probes have not been
  // granted for kProbeMs by the clock: then the request that went first was another process's, and
  // cancelled (by its end, or by libdlm), and ours is among those that fs/dlm has forgotten.
  void LookAfterProbes();
  // The lockspace runs again, so the master answers from now on.
  void RestartProbes();
  static constexpr int64_t kProbeMs = 5000;

 private:
  enum class Pending : uint8_t { kNone, kLock, kConvert };
  // The step of a new lock with NOQUEUE that is under way; see lock_book_try.cc.
  enum class Step : uint8_t { kNone, kNull, kWanted, kAlternative, kGiveBack };

  struct LockRecord {
    std::string_view name_view() const { return {name.data(), name_size}; }
    void SetName(std::string_view given) {
      name_size = static_cast<uint8_t>(given.size());
      std::memcpy(name.data(), given.data(), given.size());
    }

    CarrierMemory carrier;
    uint32_t lock_id = 0;   // 0: not known yet
    uint32_t sb_flags = 0;  // as the program was told last
    uint32_t request_flags = 0;
    uint32_t completed_in_batch = 0;
    Pending operation = Pending::kNone;
    Step step = Step::kNone;
    int8_t granted_mode = EventRecord::kNoMode;
    // Of the step, where there are some.
    int8_t requested_mode = -1;
    int8_t wanted_mode = -1;
    bool unlocking : 1 = false;
    // A cancel of the operation has been asked for.
    bool cancelling : 1 = false;
    // That cancel was to break a deadlock.
    bool breaking_deadlock : 1 = false;
    // The last operation ended otherwise although a cancel of it was asked for, and the kernel may
    // still wait for the master's answer to that cancel.
    bool cancel_lost : 1 = false;
    // This conversion to NL is ours, and the unlock that was asked for follows it.
    bool unlock_follows : 1 = false;
    // A cancel, or an unlock by force, is put when the probe is granted.
    bool awaits_probe : 1 = false;
    bool is_probe : 1 = false;
    // A conversion with CONVDEADLK was not granted: the lock may be left in NL, and fs/dlm does not
    // say so.
    bool maybe_demoted : 1 = false;
    // It has ended; JavaScript is about to be told.
    bool ended : 1 = false;
    // How many results of its requests are still to come.
    uint8_t due = 0;
    uint8_t name_size = 0;
    uint32_t unlock_flags = 0;   // of what awaits the probe
    int refusal = 0;             // of the step before kGiveBack
    uint64_t xid = 0;            // of steps
    uint64_t probes_before = 0;  // how many probes the book had put when the lock was asked for
    ValueBlockMemory memory;
    uint64_t asked = 0;  // which request of all it was that is under way
    // Before the request that is under way, for one that the kernel refuses.
    ValueBlockMemory memory_before;
    // The program's value block, as it was given with the last request that had VALBLK.
    std::array<uint8_t, kLvbLen> given_lvb{};
    // The resource's value block as this lock last read or wrote it. It is sent with conversions
    // that do not write: fs/dlm takes what they send for the resource's block when the master dies.
    std::array<uint8_t, kLvbLen> known_lvb{};
    // Of kLock, while it is under way; not cleared for the next lock.
    std::array<char, kResourceNameMax> name;
  };

  Order OrderFor(uint32_t index, LockRecord* record, Operation operation) const;
  void AddDue(LockRecord* record);
  void TakeDue(LockRecord* record);
  static bool CanCancel(const LockRecord& record);
  static void Take(uint32_t flags, const uint8_t* lvb, LockRecord* record);
  void SubmitConvert(uint32_t index, LockRecord* record, int mode, uint32_t flags, uint64_t xid);
  void SubmitUnlock(uint32_t index, LockRecord* record, uint32_t flags);
  void SubmitUnlockBySteps(uint32_t index, LockRecord* record, uint32_t flags);
  int Cancel(uint32_t index, LockRecord* record, uint32_t flags, bool breaks_deadlock);
  void SubmitAfterProbe(uint32_t index, LockRecord* record, uint32_t flags);
  static bool IsBehind(const Probe& probe, const LockRecord& record);
  bool HasProbe(const LockRecord& record) const;
  void PutProbe(Probe* probe);
  void SubmitAwaiting(uint32_t index, LockRecord* record);
  void SubmitRiders(const Probe& probe, bool by_steps);
  void EndProbe(Probe* probe);
  Probe* ProbeAt(uint32_t index, const LockRecord& record) const;
  void HandleProbeResult(const Result& result, LockRecord* record);
  void HandleRefusedProbe(uint32_t index, const LockRecord& record);
  bool HandleCompletion(Result result, LockRecord* record, EventRecord* event);
  void BeginSteps(uint32_t index, LockRecord* record, int mode, uint32_t flags, uint64_t xid);
  bool EndsSteps(uint32_t index, LockRecord* record, Result* result);
  bool HandleRefusedStep(const Answer& answer, LockRecord* record, EventRecord* event);
  void Try(uint32_t index, LockRecord* record, Step step, int mode);
  void GiveBack(uint32_t index, LockRecord* record, int refusal);
  static int ToldMode(const LockRecord& record);
  void Complete(LockRecord* record, int status, uint32_t sb_flags, EventRecord* event);
  void End(uint32_t index, LockRecord* record, EventRecord* event);

  Carrier* const carrier_;
  const order::Clock* const clock_;
  SlotTable<LockRecord> locks_;
  size_t results_due_ = 0;
  bool is_lost_ = false;
  uint64_t last_asked_ = 0;
  std::vector<uint32_t> ended_;
  ProbeTable probes_;
  uint64_t probes_put_ = 0;
  uint32_t batch_ = 0;
};

}  // namespace stackglue::user

#endif  // STACKGLUE_NATIVE_USER_LOCK_BOOK_H_
