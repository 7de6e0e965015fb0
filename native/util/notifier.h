// Carries a wake-up from the engine to one member's EventSink, and ends before its member does.
//
// Threads: any. Notify() runs without the cluster's mutex. Silence() waits for a Notify() that is
// under way, so once it returned the sink is not called any more and may be destroyed.
//
// Invariants: mutex_ is held only around the sink's one call, in which the sink must not call back
// into the engine; it is never taken while the cluster's mutex is held. The two mutexes are thus
// never nested and cannot deadlock.
#ifndef STACKGLUE_NATIVE_UTIL_NOTIFIER_H_
#define STACKGLUE_NATIVE_UTIL_NOTIFIER_H_

#include <memory>
#include <mutex>

#include "util/event_sink.h"
#include "util/intrusive_list.h"

namespace stackglue {

class Notifier {
 public:
  // `sink` may be null: the member's owner polls.
  explicit Notifier(EventSink* sink) : sink_(sink) {}
  Notifier(const Notifier&) = delete;
  Notifier& operator=(const Notifier&) = delete;

  void Notify() noexcept {
    const std::lock_guard<std::mutex> guard(mutex_);
    if (sink_ != nullptr) sink_->OnEventsPending();
  }

  void Silence() noexcept {
    const std::lock_guard<std::mutex> guard(mutex_);
    sink_ = nullptr;
  }

 private:
  std::mutex mutex_;
  EventSink* sink_;  // guarded by mutex_
};

// The part of UnlockAndWake() that is seldom needed, kept out of its callers.
template <class Member, class Mutex>
[[gnu::noinline]] void UnlockToWakeEach(List<Member>* to_wake, Mutex* mutex) noexcept {
  while (Member* member = to_wake->PopFront()) {
    // A copy, because the member may go away as soon as the mutex is free.
    const std::shared_ptr<Notifier> notifier = member->notifier();
    const bool more = !to_wake->empty();
    mutex->unlock();
    notifier->Notify();
    if (!more) return;
    mutex->lock();
  }
  mutex->unlock();
}

// Lets the engine's mutex go and wakes the members of the list, one after the other. The mutex is
// free while it wakes; the list was seen empty when it returns.
template <class Member, class Mutex>
void UnlockAndWake(List<Member>* to_wake, Mutex* mutex) noexcept {
  if (to_wake->empty()) {
    mutex->unlock();
  } else {
    UnlockToWakeEach(to_wake, mutex);
  }
}

}  // namespace stackglue

#endif  // STACKGLUE_NATIVE_UTIL_NOTIFIER_H_
