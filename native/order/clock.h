// The time, for what waits only so long: a clock that tests can set.
//
// Threads: any.
#ifndef STACKGLUE_NATIVE_ORDER_CLOCK_H_
#define STACKGLUE_NATIVE_ORDER_CLOCK_H_

#include <chrono>
#include <cstdint>

namespace stackglue::order {

class Clock {
 public:
  virtual ~Clock() = default;
  // Milliseconds since some moment, never less than before.
  virtual int64_t NowMs() const = 0;

  // CLOCK_MONOTONIC. It goes on while this process is stopped, and while its loop is busy.
  static const Clock* Steady();
};

inline const Clock* Clock::Steady() {
  class SteadyClock final : public Clock {
   public:
    int64_t NowMs() const override {
      const auto now = std::chrono::steady_clock::now().time_since_epoch();
      return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
    }
  };
  static const SteadyClock clock;
  return &clock;
}

}  // namespace stackglue::order

#endif  // STACKGLUE_NATIVE_ORDER_CLOCK_H_
