#include "kernel/rings.h"

#include <algorithm>
#include <utility>

namespace stackglue::kernel {

void Rings::Hear(uint64_t ring, std::set<int> nodes) {
  if (ring <= last_) return;
  heard_.push_back({ring, std::move(nodes)});
  last_ = ring;
  for (Asked& asked : asked_) Settle(&asked);
  // In a part of the cluster that nobody puts right: somebody is lacking in all of them.
  if (heard_.size() > kHeardMax) heard_.erase(heard_.begin() + 1);
}

void Rings::Ask(int node, bool has_joined) {
  asked_.push_back({node, has_joined, false});
  Settle(&asked_.back());
}

void Rings::Settle(Asked* asked) const {
  if (heard_.empty()) return;
  asked->is_settled |= (heard_.back().nodes.count(asked->node) != 0) == asked->has_joined;
}

void Rings::HandleAnswer() {
  if (!asked_.empty()) asked_.pop_front();
}

void Rings::Forget() {
  heard_.clear();
  is_shown_ = false;
}

uint64_t Rings::Shown(const std::set<int>& nodes) {
  const auto lacks_nobody = [&nodes](const Ring& ring) {
    return std::includes(ring.nodes.begin(), ring.nodes.end(), nodes.begin(), nodes.end());
  };
  // One after the other: who is in the newest may have been gone in between.
  while (!is_shown_ && !heard_.empty()) {
    is_shown_ = lacks_nobody(heard_.front());
    if (!is_shown_) {
      if (heard_.size() == 1) break;
      heard_.pop_front();
    }
  }
  while (is_shown_ && heard_.size() > 1 && lacks_nobody(heard_[1])) heard_.pop_front();
  if (!is_shown_ || heard_.empty()) return 0;
  const bool is_current = std::all_of(asked_.begin(), asked_.end(),
                                      [](const Asked& asked) { return asked.is_settled; });
  return is_current ? heard_.front().number : 0;
}

}  // namespace stackglue::kernel
