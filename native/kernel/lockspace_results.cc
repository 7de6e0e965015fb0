// The results of a lockspace: the kernel's, read from the device, and the submitter's answers. See
// lockspace.h.
#include <unistd.h>

#include <atomic>

#include "kernel/lockspace.h"

namespace stackglue::kernel {
namespace {

// So many rounds are not looked at after one that was looked at in vain.
constexpr int kUnluckyRounds = 32;

}  // namespace

size_t Lockspace::Collect(EventRecord* events) {
  if (!IsWatching()) return 0;
  size_t count = 0;
  if (state_ == State::kOpen) {
    book_.BeginBatch();
    count = TakeAnswers(events);
    while (count < kBatchMax && ReadResult(events, &count)) {
    }
    if (was_awaited_ && count == 0) luck_ = -kUnluckyRounds;
    was_awaited_ = false;
  }
  // After the results, never before: see lockspace_watch.h.
  Look();
  return count;
}

size_t Lockspace::CollectLost(EventRecord* events) {
  if (!is_lost_) return 0;
  book_.BeginBatch();
  return book_.EndLost(events, kBatchMax);
}

bool Lockspace::IsWorthMore() {
  if (!Serves() || book_.results_due() == 0) return false;
  // Whose results come from other nodes is not found here; look again only once in a while.
  if (luck_ < 0) {
    ++luck_;
    return false;
  }
  if (submission_ != Submission::kLoop) {
    if (!Submitter::CanSpin()) return false;
    // A local lock's result is there as soon as its call has returned.
    const SubmitArea& area = *port_->area();
    const uint32_t put = area.requests_put.load(std::memory_order_relaxed);
    if (!Submitter::SpinUntil(
            [&area, put] { return area.requests_taken.load(std::memory_order_acquire) == put; })) {
      luck_ = -kUnluckyRounds;
      return false;
    }
  }
  was_awaited_ = true;
  return true;
}

size_t Lockspace::TakeAnswers(EventRecord* events) {
  SubmitArea* area = port_->area();
  size_t count = 0;
  uint32_t taken = area->answers_taken.load(std::memory_order_relaxed);
  const uint32_t put = area->answers_put.load(std::memory_order_acquire);
  // More than there is room for: what the keeper wrote there is no count.
  if (put - taken > SubmitArea::kSlots) return 0;
  if (taken == put) return 0;
  for (; taken != put && count < kBatchMax; ++taken) {
    if (HandleAnswer(area->answers[taken % SubmitArea::kSlots], &events[count])) ++count;
  }
  area->answers_taken.store(taken, std::memory_order_release);
  Kick();  // the submitter may have waited for a slot
  if (taken != put) Signal();
  return count;
}

bool Lockspace::HandleAnswer(const user::Answer& answer, EventRecord* event) {
  if (answer.operation != Operation::kPurge) return book_.HandleAnswer(answer, event);
  *event = {};
  event->kind = EventKind::kCall;
  event->index = static_cast<int32_t>(answer.cookie.index);
  event->value = answer.status;
  return true;
}

// Reads one result and appends its event, if it makes one. False: no more in this batch.
bool Lockspace::ReadResult(EventRecord* events, size_t* count) {
  if (held_size_ == 0) {
    // Not in vain: the poll tells of what nobody has asked for.
    if (*count > 0 && book_.results_due() == 0 && !was_blocking_) return false;
    const ssize_t size = read(port_->device_fd(), held_bytes_, sizeof held_bytes_);
    if (size <= 0) return false;
    held_size_ = static_cast<size_t>(size);
  }
  Result result;
  if (DecodeResult(held_bytes_, held_size_, &result)) {
    was_blocking_ = result.blocking;
    switch (book_.TurnOf(result)) {
      case user::LockBook::Turn::kNow:
        break;
      case user::LockBook::Turn::kNextBatch:
        Signal();
        return false;
      case user::LockBook::Turn::kAfterAnswer:
        return false;  // the answer signals
    }
    if (book_.HandleResult(result, &events[*count])) ++*count;
  }
  held_size_ = 0;
  return true;
}

}  // namespace stackglue::kernel
