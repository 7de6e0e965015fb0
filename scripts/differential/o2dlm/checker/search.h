// Looks for a run of the emulation that sees, step by step, what was seen on a cluster. It goes
// through the states that can be reached: from a state that has been met before it does not go on.
// A run cannot be taken back, so to go on from a state a new one is made that takes the same
// decisions. Next comes the run with the fewest decisions for what is unlikely, where a few steps
// that it has got past outweigh one of them. What was unlikely may show only many steps later:
// while the step reached last always came first, an early decision was not put right before all
// that followed from it had been tried.
#ifndef STACKGLUE_SCRIPTS_CONFORMANCE_O2DLM_CHECKER_SEARCH_H_
#define STACKGLUE_SCRIPTS_CONFORMANCE_O2DLM_CHECKER_SEARCH_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <unordered_set>
#include <vector>

#include "commands.h"
#include "world.h"

namespace stackglue::differential {

class Search final : public Choices {
 public:
  enum class Outcome { kAgrees, kDisagrees, kUndecided };

  // `order`, `haste`: see World. Gives up after `max_runs` runs.
  Search(const Sequence& sequence, std::vector<int> order, Haste haste, int64_t max_runs);

  Outcome Run();
  // After a disagreement: what runs that agreed up to furthest() see there, each once. Runs end
  // where an open has another result than it should, so that is looked at without.
  std::set<std::string> Alternatives();

  int64_t runs() const { return runs_; }
  // The index of the step that no run has got past.
  size_t furthest() const { return furthest_; }

  std::optional<int> Choose(int count, const World& world) override;

 private:
  using Decisions = std::vector<uint8_t>;

  void Restart();
  std::optional<Decisions> Next();
  // Runs the model with these decisions first, as far as it sees what it should.
  bool Agrees(Decisions given);

  const Sequence& sequence_;
  const std::vector<int> order_;
  const Haste haste_;
  const int64_t max_runs_;
  int64_t runs_ = 0;
  // The states that decisions were taken in, by step.
  std::vector<std::unordered_set<std::string>> met_;
  // Decisions that lead to states from which nobody has gone on, by how many of them were unlikely
  // and how many steps they got past; the latest last.
  std::map<int, std::vector<Decisions>> open_;
  size_t furthest_ = 0;
  // For Alternatives().
  bool is_curious_ = false;
  std::set<std::string> alternatives_;
  // This run's.
  size_t step_ = 0;
  int unlikely_ = 0;
  Decisions given_;
  Decisions decided_;
};

}  // namespace stackglue::differential

#endif  // STACKGLUE_SCRIPTS_CONFORMANCE_O2DLM_CHECKER_SEARCH_H_
