#include "user/lock_book.h"

#include <linux/dlm.h>
#include <linux/dlmconstants.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace stackglue::user {
namespace {

// The kernel's own numbers (fs/dlm: DLM_ECANCEL, DLM_EUNLOCK in <linux/dlmconstants.h>).
constexpr int kStatusCanceled = -DLM_ECANCEL;
constexpr int kStatusUnlocked = -DLM_EUNLOCK;

}  // namespace

Order LockBook::OrderFor(uint32_t index, LockRecord* record, Operation operation) const {
  Order order;
  order.operation = operation;
  order.cookie = {index, locks_.generation(index)};
  order.memory = &record->carrier;
  order.lock_id = record->lock_id;
  order.after_lost_cancel = record->cancel_lost;
  return order;
}

void LockBook::AddDue(LockRecord* record) {
  ++results_due_;
  ++record->due;
}

void LockBook::TakeDue(LockRecord* record) {
  if (record->due == 0) return;
  --results_due_;
  --record->due;
}

// ---- Requests ----

int64_t LockBook::Lock(int mode, uint32_t flags, uint64_t xid, std::string_view name) {
  if (name.size() > kResourceNameMax || (flags & DLM_LKF_CONVERT) != 0) return -EINVAL;
  if (!AreLockFlagsValid(mode, flags)) return -EINVAL;

  const uint32_t index = locks_.Acquire();
  LockRecord* record = locks_.Find(index);
  *record = LockRecord{};
  const bool adopts = (flags & DLM_LKF_ORPHAN) != 0;
  const bool has_steps = IsTriedBySteps(flags);
  Order order = OrderFor(index, record, adopts ? Operation::kAdopt : Operation::kLock);
  order.mode = has_steps ? DLM_LOCK_NL : mode;
  order.flags = has_steps ? FlagsOfFirstStep(mode, flags) : flags;
  order.xid = xid;
  order.name = name;
  try {
    carrier_->Put(order);
  } catch (...) {
    locks_.Release(index);
    throw;
  }
  if (!adopts) AddDue(record);
  record->probes_before = probes_put_;
  record->asked = ++last_asked_;
  record->operation = Pending::kLock;
  record->memory.Take(order.flags);
  record->requested_mode = static_cast<int8_t>(order.mode);
  record->request_flags = flags;
  record->SetName(name);
  if (has_steps) BeginSteps(index, record, mode, flags, xid);
  // Whether an orphan has a value block was decided by whoever made it.
  if (adopts) record->memory.lvb = false;
  return index;
}

int LockBook::Convert(uint32_t index, int mode, uint32_t flags, uint64_t xid, const uint8_t* lvb) {
  if (!AreLockFlagsValid(mode, flags | DLM_LKF_CONVERT)) return -EINVAL;
  LockRecord* record = locks_.Find(index);
  if (record == nullptr || record->ended) return -EINVAL;
  // fs/dlm/lock.c:validate_lock_args
  if (record->operation != Pending::kNone || record->unlocking) return -EBUSY;
  if ((flags & DLM_LKF_QUECVT) != 0 && !CanQueueConversion(record->granted_mode, mode)) {
    return -EINVAL;
  }

  Take(flags, lvb, record);
  SubmitConvert(index, record, mode, flags, xid);
  record->asked = ++last_asked_;
  return 0;
}

// The program's value block is sent as it is when the request is made, at whichever step.
void LockBook::Take(uint32_t flags, const uint8_t* lvb, LockRecord* record) {
  if ((flags & DLM_LKF_VALBLK) != 0) std::memcpy(record->given_lvb.data(), lvb, kLvbLen);
}

void LockBook::SubmitConvert(uint32_t index, LockRecord* record, int mode, uint32_t flags,
                             uint64_t xid) {
  const bool writes = (flags & DLM_LKF_VALBLK) != 0 && WritesValueBlock(record->granted_mode, mode);
  Order order = OrderFor(index, record, Operation::kConvert);
  order.mode = mode;
  order.flags = flags | DLM_LKF_CONVERT;
  order.xid = xid;
  order.lvb = writes ? record->given_lvb.data() : record->known_lvb.data();
  carrier_->Put(order);
  AddDue(record);
  if (writes) record->known_lvb = record->given_lvb;
  record->operation = Pending::kConvert;
  record->cancelling = record->cancel_lost = false;
  record->requested_mode = static_cast<int8_t>(mode);
  record->request_flags = flags;
  record->memory_before = record->memory;
  record->memory.Take(flags);
}

// Whether there is something to cancel that may be cancelled, by invariant 1.
bool LockBook::CanCancel(const LockRecord& record) {
  return user::CanCancel(record.operation != Pending::kNone, record.operation == Pending::kLock,
                         record.request_flags, record.cancelling);
}

int LockBook::Unlock(uint32_t index, uint32_t flags, const uint8_t* lvb) {
  if (!AreUnlockFlagsValid(flags)) return -EINVAL;
  LockRecord* record = locks_.Find(index);
  if (record == nullptr || record->ended) return -EINVAL;

  if (record->unlocking) return -EBUSY;
  if ((flags & DLM_LKF_CANCEL) != 0) return Cancel(index, record, flags, false);
  if (record->operation == Pending::kNone) {
    Take(flags, lvb, record);
    SubmitUnlockBySteps(index, record, flags);
  } else {
    // Without FORCEUNLOCK fs/dlm refuses only while a message is under way, which is nothing that a
    // caller can know; with it, there is no going through NL any more.
    const bool force = (flags & DLM_LKF_FORCEUNLOCK) != 0;
    const bool through_null = UnlocksThroughNull(record->granted_mode, flags, record->memory);
    if (!force || through_null || !CanCancel(*record)) return -EBUSY;
    Take(flags, lvb, record);
    SubmitAfterProbe(index, record, flags);
  }
  record->unlocking = true;
  record->asked = ++last_asked_;
  return 0;
}

void LockBook::SubmitUnlockBySteps(uint32_t index, LockRecord* record, uint32_t flags) {
  if (!UnlocksThroughNull(record->granted_mode, flags, record->memory)) {
    SubmitUnlock(index, record, flags);
    return;
  }
  SubmitConvert(index, record, DLM_LOCK_NL, flags & DLM_LKF_VALBLK, 0);
  record->unlock_follows = true;
}

void LockBook::SubmitUnlock(uint32_t index, LockRecord* record, uint32_t flags) {
  Order order = OrderFor(index, record, Operation::kUnlock);
  order.flags = flags;
  order.lvb = record->given_lvb.data();
  carrier_->Put(order);
  AddDue(record);
}

int LockBook::DeadlockCancel(uint32_t index) {
  LockRecord* record = locks_.Find(index);
  if (record == nullptr || record->ended) return -EINVAL;
  if (record->unlocking) return -EBUSY;
  return Cancel(index, record, DLM_LKF_CANCEL, true);
}

int LockBook::Cancel(uint32_t index, LockRecord* record, uint32_t flags, bool breaks_deadlock) {
  if (!CanCancel(*record)) return 0;
  record->breaking_deadlock = breaks_deadlock;
  SubmitAfterProbe(index, record, flags);
  record->cancelling = true;
  return 0;
}

// ---- What comes back ----

LockBook::Turn LockBook::TurnOf(const Result& result) {
  const LockRecord* record = locks_.Find(result.cookie.index, result.cookie.generation);
  if (record == nullptr) return Turn::kNow;
  if (!result.blocking && record->completed_in_batch == batch_) return Turn::kNextBatch;
  const bool is_adopted =
      record->operation == Pending::kLock && (record->request_flags & DLM_LKF_ORPHAN) != 0;
  return is_adopted ? Turn::kAfterAnswer : Turn::kNow;
}

bool LockBook::HandleAnswer(const Answer& answer, EventRecord* event) {
  *event = {};
  event->index = static_cast<int32_t>(answer.cookie.index);
  LockRecord* record = locks_.Find(answer.cookie.index, answer.cookie.generation);
  if (is_lost_ || record == nullptr || record->ended) return false;
  if (answer.operation != Operation::kAdopt) TakeDue(record);
  if (record->is_probe) {
    HandleRefusedProbe(answer.cookie.index, *record);
    return false;
  }
  if (record->step != Step::kNone) return HandleRefusedStep(answer, record, event);
  // It has changed nothing.
  if (answer.operation == Operation::kConvert) record->memory = record->memory_before;
  // An unlock may begin with a conversion.
  if (answer.operation == Operation::kUnlock || record->unlock_follows) {
    // By force, of what waits: the loss that was met is about to end both, in one event: EndLost().
    const bool waits = record->operation != Pending::kNone && !record->unlock_follows;
    if (answer.status == -ENOTCONN && waits) return false;
    event->kind = EventKind::kUnlock;
    event->value = answer.status;
    event->mode = ToldMode(*record);
    record->unlocking = false;
    if (record->unlock_follows) {
      record->unlock_follows = false;
      record->operation = Pending::kNone;
    }
    return true;
  }
  if (answer.status == 0) {
    record->granted_mode = record->requested_mode;
    record->lock_id = answer.lock_id;
  }
  // A conversion that was refused has changed nothing, these included.
  const uint32_t sb_flags = answer.operation == Operation::kConvert ? record->sb_flags : 0;
  Complete(record, answer.status, sb_flags, event);
  if (answer.status != 0 && answer.operation != Operation::kConvert) {
    End(answer.cookie.index, record, event);
  }
  return true;
}

bool LockBook::HandleResult(const Result& result, EventRecord* event) {
  LockRecord* record = locks_.Find(result.cookie.index, result.cookie.generation);
  // A record that ended in this batch is still in the table, but no longer the kernel's.
  if (is_lost_ || record == nullptr || record->ended) return false;
  if (record->is_probe) {
    if (!result.blocking) HandleProbeResult(result, record);
    return false;
  }
  *event = {};
  event->index = static_cast<int32_t>(result.cookie.index);
  if (result.blocking) {
    event->kind = EventKind::kBlocking;
    event->value = result.blocked_mode;
    // Nobody can let go any sooner of what is being unlocked.
    return !record->unlock_follows;
  }
  return HandleCompletion(result, record, event);
}

bool LockBook::HandleCompletion(Result result, LockRecord* record, EventRecord* event) {
  const uint32_t index = result.cookie.index;
  TakeDue(record);
  record->lock_id = result.lock_id;
  if (record->step != Step::kNone && !EndsSteps(index, record, &result)) return false;
  const bool granted = result.status == 0;
  // Not put yet, so the cancel changes nothing; an unlock by force is one like any other now.
  const bool unlocks_now = granted && record->awaits_probe && record->unlocking;
  if (record->awaits_probe) record->awaits_probe = record->cancelling = false;
  const int mode_before = record->granted_mode;
  int status = result.status;
  if (record->cancelling && (status == kStatusCanceled || status == -EDEADLK)) {
    status = StatusOfCancelled(status, record->breaking_deadlock);
    record->cancelling = false;
  }
  record->cancel_lost = record->cancelling;
  record->cancelling = record->breaking_deadlock = false;
  if (granted) {
    record->granted_mode = record->requested_mode;
    record->maybe_demoted = false;
    if ((result.sb_flags & DLM_SBF_ALTMODE) != 0) {
      record->granted_mode = static_cast<int8_t>(
          (record->request_flags & DLM_LKF_ALTPR) != 0 ? DLM_LOCK_PR : DLM_LOCK_CW);
    }
  } else if ((result.sb_flags & DLM_SBF_DEMOTED) != 0) {
    record->granted_mode = DLM_LOCK_NL;
  } else if (record->operation == Pending::kConvert) {
    record->maybe_demoted =
        record->maybe_demoted || (record->request_flags & DLM_LKF_CONVDEADLK) != 0;
  }

  if (record->unlock_follows && result.status != kStatusUnlocked) {
    record->unlock_follows = false;
    record->operation = Pending::kNone;
    if (granted) {
      SubmitUnlock(index, record, 0);
      return false;
    }
    record->unlocking = false;
    event->kind = EventKind::kUnlock;
    event->value = result.status;
    event->mode = ToldMode(*record);
    return true;
  }

  Complete(record, status, result.sb_flags, event);
  // With an unlock by force under way the kernel has put that one's block in its place, or will.
  if (granted && !record->unlocking && result.lvb != nullptr &&
      (record->request_flags & DLM_LKF_VALBLK) != 0 &&
      ReadsValueBlock(mode_before, record->granted_mode)) {
    std::memcpy(record->known_lvb.data(), result.lvb, kLvbLen);
    event->SetBlock(result.lvb, kLvbLen);
  }
  // fs/dlm/user.c:lkb_is_endoflife
  if (result.status == kStatusUnlocked || (!granted && record->granted_mode < 0)) {
    End(index, record, event);
  }
  if (unlocks_now) SubmitUnlockBySteps(index, record, record->unlock_flags);
  return true;
}

// The mode that the program may count on.
int LockBook::ToldMode(const LockRecord& record) {
  const bool is_held = record.granted_mode >= DLM_LOCK_NL;
  return is_held && record.maybe_demoted ? DLM_LOCK_NL : record.granted_mode;
}

// The request that is under way has ended so, and the program is told.
void LockBook::Complete(LockRecord* record, int status, uint32_t sb_flags, EventRecord* event) {
  record->operation = Pending::kNone;
  record->completed_in_batch = batch_;
  record->sb_flags = sb_flags;
  event->kind = EventKind::kCompletion;
  event->value = status;
  event->flags = sb_flags;
  event->lock_id = record->lock_id;
  event->mode = ToldMode(*record);
}

void LockBook::End(uint32_t index, LockRecord* record, EventRecord* event) {
  record->ended = true;
  while (record->due > 0) TakeDue(record);
  event->final = 1;
  event->mode = EventRecord::kNoMode;
  ended_.push_back(index);
}

void LockBook::ReleaseEnded() {
  for (const uint32_t index : ended_) locks_.Release(index);
  ended_.clear();
}

size_t LockBook::EndLost(EventRecord* events, size_t max) {
  is_lost_ = true;
  std::vector<std::pair<uint64_t, uint32_t>> due;
  locks_.ForEach([&due](uint32_t index, const LockRecord& record) {
    const bool is_due = record.operation != Pending::kNone || record.unlocking;
    if (is_due && !record.is_probe && !record.ended) due.emplace_back(record.asked, index);
  });
  std::sort(due.begin(), due.end());
  if (due.size() > max) due.resize(max);
  results_due_ = 0;
  size_t count = 0;
  for (const auto& [asked, index] : due) {
    LockRecord* record = locks_.Find(index);
    EventRecord* event = &events[count++];
    *event = {};
    event->index = static_cast<int32_t>(index);
    const bool is_new = record->operation == Pending::kLock;
    if (record->unlocking) {
      event->kind = EventKind::kUnlock;
      event->value = -ENOTCONN;
    } else {
      Complete(record, -ENOTCONN, record->sb_flags, event);
    }
    event->mode = EventRecord::kNoMode;
    record->operation = Pending::kNone;
    record->unlocking = record->unlock_follows = record->cancelling = record->awaits_probe = false;
    if (is_new) End(index, record, event);
  }
  return count;
}

}  // namespace stackglue::user
