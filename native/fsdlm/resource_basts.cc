// Who is told that a lock of his is in the way. See resource.h, and README.md, "Blocking ASTs".
#include <algorithm>

#include "resource.h"

namespace stackglue::fsdlm {
namespace {

// modes_require_bast()
bool RequiresBast(const Lock& holder, int wanted) {
  if (IsMiddleConversion(holder.grmode, wanted)) return holder.highbast < kModeEx;
  return holder.highbast < wanted && !Compatible(holder.grmode, wanted);
}

}  // namespace

uint32_t Resource::GrantedInTheWayOf(int mode, bool and_pr) const {
  uint32_t count = 0;
  for (int held = kModeCr; held <= kModeEx; ++held) {
    if (Compatible(held, mode) && !(and_pr && held == kModePr)) continue;
    count += held <= kModePr ? held_[held - kModeCr] : held_alone_[held - kModePw];
    if (contention_ != nullptr) count -= contention_->converting_from[held];
  }
  return count;
}

template <class F>
void Resource::ForGrantedInTheWayOf(int mode, bool and_pr, F&& visit) {
  uint32_t left = GrantedInTheWayOf(mode, and_pr);
  for (QueueLink* at = granted_.front(); left > 0; at = granted_.Next(at)) {
    Lock& lock = ToLock(*at);
    if (Compatible(lock.grmode, mode) && !(and_pr && lock.grmode == kModePr)) continue;
    visit(lock);
    --left;
  }
}

void Resource::Tell(Lock* lock, const Lock& waiter, CallbackSink* sink) {
  if (lock == &waiter || !RequiresBast(*lock, waiter.rqmode)) return;
  sink->QueueBast(lock, waiter.rqmode);
  lock->highbast = waiter.rqmode;
}

void Resource::TellConverting(const Lock& waiter, CallbackSink* sink) {
  ForEach(Lock::Queue::kConverting, [&](Lock& lock) { Tell(&lock, waiter, sink); });
}

void Resource::TellGranted(const Lock& waiter, CallbackSink* sink) {
  const int mode = waiter.rqmode;
  const bool inverted = mode == kModeCw || mode == kModePr;
  if (!inverted && contention_ != nullptr && contention_->told >= mode) return;
  ForGrantedInTheWayOf(mode, false, [&waiter, sink](Lock& lock) { Tell(&lock, waiter, sink); });
  if (contention_ == nullptr) return;
  if (waiter.queue != Lock::Queue::kGranted) {
    contention_->told = static_cast<int8_t>(mode);
  } else if (inverted) {
    // One that is itself granted, and was refused, has not been told; others may now count as told
    // of a lower mode than before.
    contention_->told = std::min(contention_->told, static_cast<int8_t>(mode));
  }
}

void Resource::TellBlocked(const Blocked& blocked, CallbackSink* sink) {
  if (blocked.high == kModeIv || contention_ == nullptr) return;

  const bool told = contention_->told >= blocked.high;
  if (told && (!blocked.cw || blocked.high == kModeEx)) return;
  ForGrantedInTheWayOf(blocked.high, blocked.cw, [&](Lock& lock) {
    // lock_requires_bast(): CW is in the way of PR though it is the lower one.
    const bool bars_cw = blocked.cw && lock.grmode == kModePr;
    if (bars_cw) {
      if (lock.highbast >= kModeEx) return;
    } else if (lock.highbast >= blocked.high) {
      return;
    }
    sink->QueueBast(&lock, bars_cw && blocked.high == kModePr ? kModeCw : blocked.high);
    lock.highbast = static_cast<int8_t>(blocked.high);
  });
  contention_->told = static_cast<int8_t>(blocked.high);
}

}  // namespace stackglue::fsdlm
