// Looks for a run that sees what a cluster saw. See search.h.
#include "search.h"

#include <algorithm>
#include <utility>

namespace stackglue::conformance {

Search::Search(const Sequence& sequence, std::vector<int> order, Guess guess, int64_t max_runs)
    : sequence_(sequence),
      order_(std::move(order)),
      guess_(guess),
      max_runs_(max_runs),
      met_(sequence.steps.size()),
      open_(sequence.steps.size()) {}

void Search::Restart() {
  for (auto& states : met_) states.clear();
  for (auto& step : open_) step.clear();
}

std::optional<Search::Decisions> Search::Next() {
  for (auto step = open_.rbegin(); step != open_.rend(); ++step) {
    for (std::vector<Decisions>& list : *step) {
      if (list.empty()) continue;
      Decisions next = std::move(list.back());
      list.pop_back();
      return next;
    }
  }
  return std::nullopt;
}

Search::Outcome Search::Run() {
  Restart();
  for (std::optional<Decisions> next = Decisions(); next; next = Next()) {
    if (runs_ >= max_runs_) return Outcome::kUndecided;
    if (Agrees(std::move(*next))) return Outcome::kAgrees;
  }
  return Outcome::kDisagrees;
}

std::set<std::string> Search::Alternatives() {
  constexpr int kMaxRuns = 2000;
  is_curious_ = true;
  Restart();
  std::optional<Decisions> next = Decisions();
  for (int run = 0; run < kMaxRuns && next; ++run, next = Next()) Agrees(std::move(*next));
  return alternatives_;
}

std::optional<int> Search::Choose(int count, const World& world) {
  const size_t at = decided_.size();
  if (at < given_.size()) {
    decided_.push_back(given_[at]);
    if (given_[at] > 0) ++unlikely_;
    return given_[at];
  }
  if (!met_[step_].insert(world.State()).second) return std::nullopt;
  auto* lists = &open_[step_];
  if (lists->size() < unlikely_ + 2) lists->resize(unlikely_ + 2);
  for (int other = count - 1; other > 0; --other) {
    Decisions* decisions = &(*lists)[unlikely_ + 1].emplace_back(decided_);
    decisions->push_back(static_cast<uint8_t>(other));
  }
  decided_.push_back(0);
  return 0;
}

bool Search::Agrees(Decisions given) {
  runs_ += 1;
  given_ = std::move(given);
  decided_.clear();
  World world(order_, guess_, this);
  for (step_ = 0; step_ < sequence_.steps.size(); ++step_) {
    const Step& step = sequence_.steps[step_];
    unlikely_ = 0;
    const bool is_last = is_curious_ && step_ == furthest_;
    if (world.Run(step, !is_last)) {
      std::string seen = world.Observe();
      if (is_last) alternatives_.insert(seen);
      if (!is_last && seen == step.seen) continue;
    }
    furthest_ = std::max(furthest_, step_);
    return false;
  }
  return true;
}

}  // namespace stackglue::conformance
