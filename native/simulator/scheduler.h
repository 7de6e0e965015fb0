// Virtual time and the one order in which everything happens: a queue of what is to be done, drawn
// from a seed.
//
// Threads: none of its own; one thread drives a simulation.
//
// Invariants: time never goes back; what is due at the same time happens in the order in which it
// was planned; messages on one link arrive in the order in which they were sent; the same seed and
// the same calls draw the same delays on every machine.
#ifndef STACKGLUE_NATIVE_SIMULATOR_SCHEDULER_H_
#define STACKGLUE_NATIVE_SIMULATOR_SCHEDULER_H_

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <utility>

namespace stackglue::simulator {

// splitmix64: the same everywhere, unlike the distributions of <random>.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t Next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  // 0 to `bound` - 1.
  uint64_t Below(uint64_t bound) { return Next() % bound; }

 private:
  uint64_t state_;
};

class Scheduler {
 public:
  using Task = std::function<void()>;

  Scheduler(uint64_t seed, uint64_t delay_min_us, uint64_t delay_max_us)
      : random_(seed), delay_min_us_(delay_min_us), delay_max_us_(delay_max_us) {}

  uint64_t now_us() const { return now_us_; }
  bool idle() const { return tasks_.empty(); }
  Random* random() { return &random_; }

  // Runs `task` that many microseconds from now.
  void After(uint64_t delay_us, Task task) { Add(now_us_ + delay_us, std::move(task)); }

  // A message on a link: it takes a random time, but does not overtake the one before it.
  // `last_us` is the link's own memory of when that arrives.
  void Send(uint64_t* last_us, Task task) {
    const uint64_t delay = delay_min_us_ + random_.Below(delay_max_us_ - delay_min_us_ + 1);
    *last_us = std::max(*last_us, now_us_ + delay);
    Add(*last_us, std::move(task));
  }

  // Does what is due next; false: nothing is planned.
  bool Step() {
    if (tasks_.empty()) return false;
    auto next = tasks_.extract(tasks_.begin());
    now_us_ = next.key().first;
    next.mapped()();
    return true;
  }

 private:
  void Add(uint64_t when_us, Task task) {
    tasks_.emplace(std::pair(when_us, ++sequence_), std::move(task));
  }

  Random random_;
  const uint64_t delay_min_us_;
  const uint64_t delay_max_us_;
  uint64_t now_us_ = 0;
  uint64_t sequence_ = 0;
  std::map<std::pair<uint64_t, uint64_t>, Task> tasks_;
};

}  // namespace stackglue::simulator

#endif  // STACKGLUE_NATIVE_SIMULATOR_SCHEDULER_H_
