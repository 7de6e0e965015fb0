// Nodes with one file of dlmfs on top of the engine. What the real nodes do at the same time is
// done here one thing after the other, in an order that Choices decides; ../README.md tells what is
// free and why.
#ifndef STACKGLUE_SCRIPTS_CONFORMANCE_O2DLM_CHECKER_WORLD_H_
#define STACKGLUE_SCRIPTS_CONFORMANCE_O2DLM_CHECKER_WORLD_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "commands.h"
#include "dlmfs.h"
#include "o2dlm.h"

namespace stackglue::differential {

class World;

// The decisions that the real system takes by chance.
class Choices {
 public:
  // Which of `count` possibilities is taken, at least two; nothing when the run is of no use any
  // more.
  virtual std::optional<int> Choose(int count, const World& world) = 0;

 protected:
  ~Choices() = default;
};

// What happens first when nothing is decided: all are possible, but not equally likely, and that
// depends on what the nodes are busy with. It changes in which order runs come, not which there
// are.
enum class Haste : uint8_t { kTasks, kThread, kEvents };

class World {
 public:
  // `order`: the nodes as they become the recovery's master. The engine takes the lowest number,
  // the kernel whoever gets the recovery lock first (dlm_pick_recovery_master()).
  World(const std::vector<int>& order, Haste haste, Choices* choices);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // Gives a step's commands and lets everything happen that they cause. False when the run was
  // abandoned: by Choices or, if it is `guided`, because an open or unlink has not the step's
  // result.
  bool Run(const Step& step, bool guided);
  // What can be seen now: sorted lines, as commands.ts:linesOf() has them.
  std::string Observe() const;
  // All that the future depends on, for states of one step of one sequence.
  std::string State() const;

 private:
  struct Node;
  struct Handle {
    int node = 0;
    Opener opener;
    std::optional<int> result;
  };
  // Something that can happen next: an event that arrives, a task, or dlm_thread.
  struct Possibility {
    Node* node = nullptr;
    std::optional<Task> task;
  };

  // `races`: its step has others.
  void Begin(const Command& command, bool races);
  void Kill(int number);
  // After the death of their master, waiting locks are queued in the order in which the survivors'
  // copies reach the new one.
  void ReorderWaiters(int dead);
  // Nothing that makes no difference when it happens is among them: such tasks are run here.
  std::vector<Possibility> Possibilities();
  void RunIdleTasks(bool with_woken);
  // A handle, or what it has in common with those that may be taken for it: while all opens have to
  // have the step's results, two that wait alike and are to end alike are as good as each other.
  std::string NameOf(int handle) const;
  std::string NameOf(const Node* node, const Task& task) const;
  void Do(const Possibility& possibility);
  void TakeEvent(Node* node);
  // Sees to it that the resource lives on when nobody has a lock; see ../README.md.
  void Keep(Node* node);
  void KeepAt(Node* node);
  int Choose(int count);
  Node* Find(int number);

  const Haste haste_;
  Choices* const choices_;
  const std::shared_ptr<o2dlm::Cluster> cluster_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::map<int, Handle> handles_;
  std::map<int, int> unlinks_;
  std::vector<std::pair<Node*, Task>> tasks_;
  const Step* guide_ = nullptr;
  bool abandoned_ = false;
  Node* keeper_ = nullptr;
  o2dlm::LockId keeper_lock_ = 0;
  // What Choose() asks apart from what comes next.
  char question_ = 0;
};

}  // namespace stackglue::differential

#endif  // STACKGLUE_SCRIPTS_CONFORMANCE_O2DLM_CHECKER_WORLD_H_
