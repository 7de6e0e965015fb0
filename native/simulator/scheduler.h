// Virtual time and the one order in which everything happens: a queue of what is to be done.
//
// Threads: none of its own; one thread drives a simulation.
//
// Invariants: time never goes back; what is due at the same time happens in the order in which it
// was planned; messages on one link arrive in the order in which they were sent.
#ifndef STACKGLUE_NATIVE_SIMULATOR_SCHEDULER_H_
#define STACKGLUE_NATIVE_SIMULATOR_SCHEDULER_H_

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <utility>

#include "simulator/history.h"

namespace stackglue::simulator {

class Scheduler {
 public:
  using Task = std::function<void()>;
  // Names what is planned, as long as it is.
  using Plan = std::pair<uint64_t, uint64_t>;

  // `history` makes the choices and outlives this.
  Scheduler(History* history, uint64_t delay_min_us, uint64_t delay_max_us)
      : history_(history), delay_min_us_(delay_min_us), delay_max_us_(delay_max_us) {}

  uint64_t now_us() const { return now_us_; }
  bool idle() const { return tasks_.empty(); }

  // Runs `task` that many microseconds from now.
  Plan After(uint64_t delay_us, Task task) { return Add(now_us_ + delay_us, std::move(task)); }
  void Cancel(const Plan& plan) { tasks_.erase(plan); }

  // A message on a link: it takes a random time, but does not overtake the one before it.
  // `last_us` is the link's own memory of when that arrives.
  Plan Send(uint64_t* last_us, Task task) {
    const uint64_t delay = delay_min_us_ + history_->Choose(delay_max_us_ - delay_min_us_ + 1);
    *last_us = std::max(*last_us, now_us_ + delay);
    return Add(*last_us, std::move(task));
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
  Plan Add(uint64_t when_us, Task task) {
    const Plan plan(when_us, ++sequence_);
    tasks_.emplace(plan, std::move(task));
    return plan;
  }

  History* const history_;
  const uint64_t delay_min_us_;
  const uint64_t delay_max_us_;
  uint64_t now_us_ = 0;
  uint64_t sequence_ = 0;
  std::map<Plan, Task> tasks_;
};

}  // namespace stackglue::simulator

#endif  // STACKGLUE_NATIVE_SIMULATOR_SCHEDULER_H_
