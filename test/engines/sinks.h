// What the tests of both engines are woken by.
#ifndef STACKGLUE_TEST_ENGINES_SINKS_H_
#define STACKGLUE_TEST_ENGINES_SINKS_H_

#include <atomic>
#include <condition_variable>
#include <mutex>

#include "util/event_sink.h"

namespace stackglue::test {

class CountingSink final : public EventSink {
 public:
  void OnEventsPending() noexcept override { ++wakes; }
  std::atomic<int> wakes{0};
};

// Lets its owner sleep until there are events.
class WaitingSink final : public EventSink {
 public:
  void OnEventsPending() noexcept override {
    const std::lock_guard<std::mutex> guard(mutex_);
    pending_ = true;
    wake_.notify_one();
  }
  void Wait() {
    std::unique_lock<std::mutex> guard(mutex_);
    wake_.wait(guard, [this] { return pending_; });
    pending_ = false;
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  bool pending_ = false;
};

}  // namespace stackglue::test

#endif  // STACKGLUE_TEST_ENGINES_SINKS_H_
