// Looks for a run that sees what a cluster saw. See search.h.
#include "search.h"

#include <algorithm>
#include <utility>

namespace stackglue::differential {
namespace {

// So many steps outweigh one unlikely decision.
constexpr int kStepsForOne = 4;

}  // namespace

Search::Search(const Sequence& sequence, std::vector<int> order, Haste haste, int64_t max_runs)
    : sequence_(sequence),
      order_(std::move(order)),
      haste_(haste),
      max_runs_(max_runs),
      met_(sequence.steps.size()) {}

void Search::Restart() {
  for (auto& states : met_) states.clear();
  open_.clear();
}

std::optional<Search::Decisions> Search::Next() {
  if (open_.empty()) return std::nullopt;
  const auto first = open_.begin();
  Decisions next = std::move(first->second.back());
  first->second.pop_back();
  if (first->second.empty()) open_.erase(first);
  return next;
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
  const int cost = kStepsForOne * (unlikely_ + 1) - static_cast<int>(step_);
  for (int other = count - 1; other > 0; --other) {
    Decisions* decisions = &open_[cost].emplace_back(decided_);
    decisions->push_back(static_cast<uint8_t>(other));
  }
  decided_.push_back(0);
  return 0;
}

bool Search::Agrees(Decisions given) {
  runs_ += 1;
  given_ = std::move(given);
  decided_.clear();
  unlikely_ = 0;
  World world(order_, haste_, this);
  for (step_ = 0; step_ < sequence_.steps.size(); ++step_) {
    const Step& step = sequence_.steps[step_];
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

}  // namespace stackglue::differential
