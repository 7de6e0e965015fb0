// Cancels of new locks, and their unlocks by force, by invariant 3 of LockBook: each waits for a
// probe of its resource, a lock of our own that is granted once the master is known.
//
// One probe serves all that wait for it. It tells of a request only if it was put behind it: the
// kernel, and the master, take them in order, so when the probe is granted, the request is not in
// the kernel's lookup queue any more, and has been granted if nothing was in its way. Requests that
// were put later take the next probe, which goes when this one is done with.
#include <linux/dlm.h>
#include <linux/dlmconstants.h>

#include <vector>

#include "user/lock_book.h"

namespace stackglue::user {

// A cancel, or an unlock by force, of what is under way.
void LockBook::SubmitAfterProbe(uint32_t index, LockRecord* record, uint32_t flags) {
  record->unlock_flags = flags;
  if (record->operation != Pending::kLock) {
    SubmitAwaiting(index, record);
    return;
  }
  const Cookie rider = {index, locks_.generation(index)};
  Probe* probe = probes_.Find(record->name_view());
  if (probe == nullptr) {
    probe = probes_.Add(record->name_view());
    try {
      probe->riders.push_back(rider);
      PutProbe(probe);
    } catch (...) {
      probes_.Remove(probe);
      throw;
    }
  } else {
    (IsBehind(*probe, *record) ? probe->riders : probe->later).push_back(rider);
  }
  record->awaits_probe = true;
}

// Whether the probe was put behind the lock's own request.
bool LockBook::IsBehind(const Probe& probe, const LockRecord& record) {
  return probe.number > record.probes_before;
}

// Whether the probe that the lock waits for has been put.
bool LockBook::HasProbe(const LockRecord& record) const {
  const Probe* probe = probes_.Find(record.name_view());
  return probe != nullptr && IsBehind(*probe, record);
}

void LockBook::PutProbe(Probe* probe) {
  probe->index = Probe::kNoRecord;
  probe->since_ms = clock_->NowMs();
  const uint32_t index = locks_.Acquire();
  LockRecord* record = locks_.Find(index);
  *record = LockRecord{};
  record->is_probe = true;
  record->operation = Pending::kLock;
  record->SetName(probe->name());
  Order order = OrderFor(index, record, Operation::kLock);
  order.mode = DLM_LOCK_NL;
  order.flags = DLM_LKF_EXPEDITE | DLM_LKF_NODLCKWT;
  order.name = probe->name();
  try {
    carrier_->Put(order);
  } catch (...) {
    locks_.Release(index);
    throw;
  }
  AddDue(record);
  probe->index = index;
  probe->number = ++probes_put_;
}

void LockBook::SubmitAwaiting(uint32_t index, LockRecord* record) {
  if ((record->unlock_flags & DLM_LKF_CANCEL) == 0) {
    SubmitUnlock(index, record, record->unlock_flags);
    return;
  }
  Order order = OrderFor(index, record, Operation::kCancel);
  order.flags = record->unlock_flags;
  order.breaks_deadlock = record->breaking_deadlock;
  carrier_->Put(order);
}

// The kernel knows the master, or never will: puts what has waited for that, of the locks that are
// asked for by steps, or of the others.
void LockBook::SubmitRiders(const Probe& probe, bool by_steps) {
  for (const Cookie& lock : probe.riders) {
    LockRecord* record = locks_.Find(lock.index, lock.generation);
    if (record == nullptr || !record->awaits_probe) continue;
    if ((record->step != Step::kNone) != by_steps) continue;
    record->awaits_probe = false;
    if (by_steps && record->granted_mode == DLM_LOCK_NL) {
      record->cancelling = false;
      Try(lock.index, record, Step::kWanted, record->wanted_mode);
    } else {
      SubmitAwaiting(lock.index, record);
    }
  }
}

// The riders have been served: the next probe, if somebody waits for it.
void LockBook::EndProbe(Probe* probe) {
  probe->riders.clear();
  probe->riders.swap(probe->later);
  std::erase_if(probe->riders, [this](const Cookie& lock) {
    const LockRecord* record = locks_.Find(lock.index, lock.generation);
    return record == nullptr || !record->awaits_probe;
  });
  if (probe->riders.empty()) {
    probes_.Remove(probe);
  } else {
    PutProbe(probe);
  }
}

// Whom the lock at `index` is the probe of, or null: it has been given up.
Probe* LockBook::ProbeAt(uint32_t index, const LockRecord& record) const {
  Probe* probe = probes_.Find(record.name_view());
  return probe != nullptr && probe->index == index ? probe : nullptr;
}

void LockBook::HandleProbeResult(const Result& result, LockRecord* record) {
  const uint32_t index = result.cookie.index;
  TakeDue(record);
  Probe* probe = ProbeAt(index, *record);
  // Before the probe is given back, upon which the master would grant what has waited without need:
  // what is to be cancelled, too.
  if (probe != nullptr) SubmitRiders(*probe, false);
  if (result.status == 0) {
    record->lock_id = result.lock_id;
    record->cancel_lost = record->cancelling;
    carrier_->Put(OrderFor(index, record, Operation::kUnlock));
    AddDue(record);
  } else {
    locks_.Release(index);
  }
  if (probe == nullptr) return;
  // Steps are told of when nothing of them is left, so what ends them goes behind the unlock.
  SubmitRiders(*probe, true);
  EndProbe(probe);
}

// The call that was to make it has failed.
void LockBook::HandleRefusedProbe(uint32_t index, const LockRecord& record) {
  Probe* probe = ProbeAt(index, record);
  locks_.Release(index);
  if (probe == nullptr) return;
  SubmitRiders(*probe, false);
  SubmitRiders(*probe, true);
  EndProbe(probe);
}

void LockBook::LookAfterProbes() {
  const int64_t now_ms = clock_->NowMs();
  probes_.ForEachSafe([this, now_ms](Probe* probe) {
    if (now_ms - probe->since_ms < kProbeMs) return;
    const uint32_t index = probe->index;
    SubmitRiders(*probe, false);
    SubmitRiders(*probe, true);
    if (LockRecord* record = locks_.Find(index); record != nullptr) {
      record->unlock_flags = DLM_LKF_CANCEL;
      SubmitAwaiting(index, record);
      record->cancelling = true;
    }
    EndProbe(probe);
  });
}

void LockBook::RestartProbes() {
  const int64_t now_ms = clock_->NowMs();
  probes_.ForEachSafe([now_ms](Probe* probe) { probe->since_ms = now_ms; });
}

}  // namespace stackglue::user
