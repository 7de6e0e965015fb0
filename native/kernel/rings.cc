#include "kernel/rings.h"

#include <algorithm>
#include <utility>

namespace stackglue::kernel {

void Rings::Hear(uint64_t ring, std::set<int> nodes, const std::set<int>& members) {
  // The last one again is news where all was forgotten.
  if (ring < last_ || (ring == last_ && !heard_.empty())) return;
  std::set<int> lacked;
  for (const int member : members) {
    if (nodes.count(member) == 0 && !IsTold(member)) lacked.insert(member);
  }
  // In a part of the cluster that nobody puts right: somebody is lacking in all of them.
  if (heard_.size() >= kHeardMax) {
    lacked.insert(heard_.back().lacked.begin(), heard_.back().lacked.end());
    heard_.back() = {ring, std::move(nodes), std::move(lacked)};
  } else {
    heard_.push_back({ring, std::move(nodes), std::move(lacked)});
  }
  last_ = ring;
  for (Asked& asked : asked_) Settle(&asked);
  Move();
}

void Rings::Tell(int node) {
  for (Ring& ring : heard_) ring.lacked.erase(node);
  const auto asked = std::find_if(asked_.begin(), asked_.end(), [node](const Asked& one) {
    return one.node == node && !one.has_joined && !one.is_told;
  });
  if (asked != asked_.end()) asked->is_told = true;
  Move();
}

// Whether an end of the node was told whose ring the keeper may not have told yet. Then the member
// of that number is another life.
bool Rings::IsTold(int node) const {
  return std::any_of(asked_.begin(), asked_.end(), [node](const Asked& one) {
    return one.node == node && !one.has_joined && one.is_told;
  });
}

void Rings::Ask(int node, bool has_joined) {
  const bool is_late = !IsSettled();
  asked_.push_back({node, has_joined});
  if (!has_joined) {
    Settle(&asked_.back());
  } else if (!is_late && !heard_.empty()) {
    asked_.back().is_settled = heard_.back().nodes.count(node) != 0;
  }
}

void Rings::MissToAsk(bool was_noted) {
  if (was_noted) asked_.pop_back();
  owes_ = true;
}

void Rings::AskAgain() {
  // Only the answer settles it.
  asked_.push_back({0, true});
  owes_ = false;
}

void Rings::Settle(Asked* asked) const {
  if (asked->has_joined) return;
  const auto from = heard_.begin() + (is_shown_ && !heard_.empty() ? 1 : 0);
  asked->is_settled |= std::any_of(
      from, heard_.end(), [asked](const Ring& ring) { return ring.nodes.count(asked->node) == 0; });
}

void Rings::HandleAnswer() {
  if (!asked_.empty()) asked_.pop_front();
}

void Rings::Forget() {
  heard_.clear();
  is_shown_ = false;
}

// One after the other: who is in the newest may have been gone in between.
void Rings::Move() {
  while (heard_.size() > 1 && (!is_shown_ || heard_[1].lacked.empty())) {
    if (!is_shown_ && heard_.front().lacked.empty()) {
      is_shown_ = true;
    } else {
      heard_.pop_front();
    }
  }
  if (heard_.size() == 1 && heard_.front().lacked.empty()) is_shown_ = true;
}

uint64_t Rings::shown() const {
  if (!is_shown_ || owes_) return 0;
  return IsSettled() ? heard_.front().number : 0;
}

bool Rings::IsSettled() const {
  return std::all_of(asked_.begin(), asked_.end(),
                     [](const Asked& asked) { return asked.is_settled; });
}

}  // namespace stackglue::kernel
