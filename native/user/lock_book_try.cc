// New locks with NOQUEUE, by steps: fs/dlm frees a new lock whose request is refused while the call
// that made it still puts it on its process's list (native/KERNELS.md). A conversion that is
// refused leaves its lock, so that is what is refused here:
//
//      kNull  ---- cancelled: others wait ----------------------------------> -EAGAIN
//        |  NL granted
//      kWanted  ---- granted ------------------------------------------------> granted
//        |  refused
//      kAlternative (ALTPR, ALTCW) ---- granted ------------------------------> granted, ALTMODE
//        |  refused
//      kGiveBack  ---- NL unlocked -------------------------------------------> -EAGAIN
//
// The program is told what one request would have come to, once, and when nothing of it is left.
// What it asks meanwhile is answered as for a request that waits: the record's operation stays
// kLock and its flags are the program's.
//
// Where those who wait are to be minded, NL waits behind them, because it has no EXPEDITE; so it is
// cancelled as soon as the master is known to have answered, as any new lock is (the probe of
// LockBook's invariant 3). That ends it if it waits, and does nothing if it does not.
#include <linux/dlm.h>
#include <linux/dlmconstants.h>

#include <cerrno>

#include "user/lock_book.h"

namespace stackglue::user {

// The first step has been put.
void LockBook::BeginSteps(uint32_t index, LockRecord* record, int mode, uint32_t flags,
                          uint64_t xid) {
  record->step = Step::kNull;
  record->wanted_mode = static_cast<int8_t>(mode);
  record->xid = xid;
  if (!MindsWhoWaits(mode, flags)) return;
  try {
    SubmitAfterProbe(index, record, DLM_LKF_CANCEL);
  } catch (...) {
    // Nobody's any more: it is given back when it is granted.
    record->step = Step::kNone;
    record->is_probe = true;
    throw;
  }
  record->cancelling = true;
}

// Whether `result` is what the program is told; otherwise the next step has been put.
bool LockBook::EndsSteps(uint32_t index, LockRecord* record, Result* result) {
  const bool granted = result->status == 0;
  const Step step = record->step;
  record->step = Step::kNone;
  if (!granted) result->sb_flags = 0;
  switch (step) {
    case Step::kNull:
      if (result->status == -DLM_ECANCEL) result->status = -EAGAIN;
      if (!granted) return true;
      record->granted_mode = DLM_LOCK_NL;
      if (record->awaits_probe && HasProbe(*record)) {
        // Goes on when the probe is being given back; nothing is to be cancelled.
        record->step = Step::kNull;
        return false;
      }
      // Otherwise it has no use for the next probe any more.
      if (record->awaits_probe) record->awaits_probe = record->cancelling = false;
      // A cancel that has been put is too late, and the next step may have to wait for its answer.
      record->cancel_lost = record->cancelling;
      record->cancelling = false;
      Try(index, record, Step::kWanted, record->wanted_mode);
      return false;
    case Step::kWanted: {
      if (granted) return true;
      const int alternative = AlternativeOf(record->wanted_mode, record->request_flags);
      if (alternative == record->wanted_mode || result->status != -EAGAIN) break;
      Try(index, record, Step::kAlternative, alternative);
      return false;
    }
    case Step::kAlternative:
      if (!granted) break;
      result->sb_flags |= DLM_SBF_ALTMODE;
      return true;
    default:
      record->granted_mode = -1;
      result->status = record->refusal;
      return true;
  }
  GiveBack(index, record, result->status);
  return false;
}

// The call that was to make a step has failed.
bool LockBook::HandleRefusedStep(const Answer& answer, LockRecord* record, EventRecord* event) {
  const uint32_t index = answer.cookie.index;
  if (answer.operation == Operation::kConvert) {
    GiveBack(index, record, answer.status);
    return false;
  }
  record->awaits_probe = false;
  Complete(record, record->step == Step::kGiveBack ? record->refusal : answer.status, 0, event);
  End(index, record, event);
  return true;
}

void LockBook::Try(uint32_t index, LockRecord* record, Step step, int mode) {
  const uint32_t flags = record->request_flags;
  SubmitConvert(index, record, mode, FlagsOfSecondStep(mode, flags), record->xid);
  record->step = step;
  record->operation = Pending::kLock;
  record->request_flags = flags;
}

void LockBook::GiveBack(uint32_t index, LockRecord* record, int refusal) {
  SubmitUnlock(index, record, 0);
  record->step = Step::kGiveBack;
  record->refusal = refusal;
}

}  // namespace stackglue::user
