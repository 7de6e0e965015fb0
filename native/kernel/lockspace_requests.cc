// The way of a request from the lock book to the submitter: slots of the area, and what waits where
// there are none. See lockspace.h.
#include <atomic>
#include <cerrno>

#include "kernel/lockspace.h"

namespace stackglue::kernel {
namespace {

// So many requests of a batch are handed over before its end: early enough that a submitter on
// another processor has work, rarely enough that one on the same processor does not get in the way.
constexpr uint32_t kKickEvery = 16;

}  // namespace

void Lockspace::Put(const user::Order& order) {
  SubmitRequest* queued = Reserve(order.operation, order.cookie);
  queued->lock_id = order.lock_id;
  queued->after_lost_cancel = order.after_lost_cancel;
  Request* request = &queued->request;
  switch (order.operation) {
    case Operation::kLock:
    case Operation::kAdopt:
      request->EncodeLock(order.cookie, order.mode, order.flags, order.xid, order.name);
      break;
    case Operation::kConvert:
      request->EncodeConvert(order.cookie, order.mode, order.flags, order.xid, order.lvb);
      break;
    case Operation::kCancel:
      if (order.breaks_deadlock) {
        request->EncodeDeadlockCancel(order.cookie);
        break;
      }
      [[fallthrough]];
    default:
      request->EncodeUnlock(order.cookie, order.flags, order.lvb);
  }
  Commit();
}

int Lockspace::Purge(int32_t node, int32_t pid, uint32_t ticket) {
  if (!Serves()) return -ENOTCONN;
  SubmitRequest* request = Reserve(Operation::kPurge, {ticket, 0});
  request->request.EncodePurge(node, pid);
  request->purges_this_node = node == 0 || node == this_node();
  request->purged_pid = pid;
  Commit();
  return 0;
}

// ---- Handing over ----

bool Lockspace::HasRoom() const {
  const SubmitArea& area = *port_->area();
  return area.requests_put.load(std::memory_order_relaxed) -
             area.requests_taken.load(std::memory_order_acquire) <
         SubmitArea::kSlots;
}

// A place for a request, to be filled in and then committed.
SubmitRequest* Lockspace::Reserve(Operation operation, Cookie cookie) {
  SubmitRequest* request;
  if (waiting_.empty() && HasRoom()) {
    SubmitArea* area = port_->area();
    request =
        &area->requests[area->requests_put.load(std::memory_order_relaxed) % SubmitArea::kSlots];
  } else {
    request = &waiting_.emplace_back();
  }
  request->cookie = cookie;
  request->lock_id = 0;
  request->operation = operation;
  request->after_lost_cancel = false;
  return request;
}

void Lockspace::Commit() {
  SubmitArea* area = port_->area();
  if (waiting_.empty()) {
    area->requests_put.store(area->requests_put.load(std::memory_order_relaxed) + 1,
                             std::memory_order_release);
  } else {
    FillSlots();
  }
  if (!in_batch_ || submission_ == Submission::kLoop || ++unkicked_ >= kKickEvery) Kick();
}

void Lockspace::FillSlots() {
  SubmitArea* area = port_->area();
  while (!waiting_.empty()) {
    if (!HasRoom()) {
      area->wants_slots.store(1, std::memory_order_relaxed);
      std::atomic_thread_fence(std::memory_order_seq_cst);
      if (!HasRoom()) break;
    }
    const uint32_t put = area->requests_put.load(std::memory_order_relaxed);
    area->requests[put % SubmitArea::kSlots] = waiting_.front();
    waiting_.pop_front();
    area->requests_put.store(put + 1, std::memory_order_release);
  }
  if (state_ == State::kClosing && waiting_.empty()) {
    area->closing.store(1, std::memory_order_release);
  }
}

void Lockspace::Kick() {
  unkicked_ = 0;
  if (submission_ended_) return;
  if (submission_ != Submission::kLoop) {
    Submitter::Wake(port_->area());
    return;
  }
  do {
    FillSlots();
    submitter_is_busy_ = submitter_->ServeOnce();
  } while (!submitter_is_busy_ && !waiting_.empty() && HasRoom());
  // What is left waits for the lockspace to run, or for the loop to take answers.
  if (state_ == State::kClosing && !submitter_is_busy_ && waiting_.empty() &&
      port_->area()->requests_put.load() == port_->area()->requests_taken.load()) {
    EndSubmission();
  }
}

void Lockspace::EndTelling() {
  in_batch_ = false;
  if (unkicked_ > 0) Kick();
}

}  // namespace stackglue::kernel
