// Decides what a connection is told first, what is held back, and what is not told at all. What the
// sources see (configfs, sysfs, the keeper, an engine) goes in by See...(), in the order in which
// it was seen; what is to be told comes out by Take...().
//
// Invariants (native/README.md has them with their tests):
// 1. One node's events are told in the order of its lives.
// 2. Across nodes: deaths, leaves and joins, then the lockspace's state, and only then results that
//    were gathered later. A stop that was seen before a change of members is told before it.
// 3. Nothing that was seen later, and no result, passes a departure whose cause is unknown.
// 4. A change of members is told when a recovery has run with it, and no result that this recovery
//    may have made is told before.
// 5. Once this node's own end has been seen, who departs has not died, and nobody joins.
// 6. The loss of all locks is told last: behind the results at hand, and behind the end of every
//    request that was accepted. After it nothing is told.
// 7. Before Begin() no notice is told.
//
// Threads: one owner, one thread.
#ifndef STACKGLUE_NATIVE_ORDER_EVENT_ORDER_H_
#define STACKGLUE_NATIVE_ORDER_EVENT_ORDER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include "order/clock.h"
#include "order/notice.h"

namespace stackglue::order {

// Why a node is no longer a member.
enum class Cause { kUnknown, kFailed, kLeft };

// How far the lockspace is.
enum class RunState {
  kStopped,
  kRecovering,  // started: the recovery knows who the members are
  kRunning,
};

class EventOrder {
 public:
  // How long a cause is waited for; dlm_controld needs a few milliseconds.
  static constexpr int64_t kCauseMs = 5000;

  explicit EventOrder(const Clock* clock) : clock_(clock) {}
  EventOrder(const EventOrder&) = delete;
  EventOrder& operator=(const EventOrder&) = delete;

  const Clock& clock() const { return *clock_; }

  // The program has its connection, and can be told.
  void Begin() { has_begun_ = true; }

  // ---- What was seen ----

  void SeeJoin(int node);
  // Returns the departure's number, for SeeCause().
  uint64_t SeeDeparture(int node, Cause cause);
  // Its cause is waited for from now on: who is to tell it has only now been asked.
  void AwaitCause(uint64_t departure);
  // Changes nothing when that departure's cause is known already.
  void SeeCause(uint64_t departure, bool has_failed);
  // A node has failed; if it was the last that was seen of it, its departure's cause is known.
  void SeeFailure(int node);
  // The lockspace was told to stop or to start; which of them, SeeState() tells.
  void SeeControl();
  // Read after all that was seen before, and nothing was to be seen since.
  void SeeState(RunState state);
  // The state that it has from the start, which is no news.
  void SetState(RunState state) { is_stopped_ = state != RunState::kRunning; }
  // For who has no states: a recovery has run with all changes of members that were seen.
  void SeeRecovery();
  // This node's own place in the cluster is gone: no recovery runs here any more.
  void SeeOwnEnd();
  // Something else than members and state.
  void See(NoticeKind kind);
  // All locks are gone. The first reason is told, if it is one.
  void SeeLoss(NoticeKind kind);

  // ---- What follows ----

  // The lockspace serves no requests, as far as has been seen.
  bool is_stopped() const { return is_stopped_; }
  bool has_own_end() const { return has_own_end_; }
  bool is_lost() const { return loss_.has_value(); }
  bool HasUnknownCause() const;
  std::set<int> UnknownNodes() const;
  // Those that have departed, which is still to be told.
  std::set<int> UntoldNodes() const;
  // Somebody has departed or joined, which is still to be told.
  bool HasUntoldChange() const;

  // Departures whose cause nobody has told in time.
  std::vector<uint64_t> OverdueCauses() const;
  // When OverdueCauses() has the next one, by the clock; nothing: no cause is unknown.
  std::optional<int64_t> NextDueMs() const;

  // ---- What is told ----

  // No result may be told yet, nor gathered.
  bool HoldsResults() const;
  // No result may be told that is gathered now: something comes first.
  bool ComesFirst() const;
  // The next notice. False: there is none for now.
  bool TakeNotice(Notice* notice);
  // When nothing is to be told before it: the loss, once.
  bool TakeLoss(Notice* notice);

 private:
  struct Item {
    Notice notice;
    bool is_change = false;  // of members
    bool is_unknown = false;
    bool has_control = false;  // the lockspace was told to stop or to start since
    bool is_recovered = false;
    uint64_t number = 0;
    int64_t due_ms = 0;  // while is_unknown
  };

  size_t FirstToTell() const;
  void AddChange(NoticeKind kind, int node);
  void InsertStop();
  static void Settle(Item* item, bool has_failed);

  const Clock* const clock_;
  bool has_begun_ = false;
  bool is_stopped_ = false;
  bool has_own_end_ = false;
  // SeeControl() since the state was last told apart by it.
  int controls_ = 0;
  uint64_t last_number_ = 0;
  std::optional<NoticeKind> loss_;
  bool is_loss_told_ = false;
  // In the order in which they were seen. There are few; and an empty vector needs no memory, which
  // an object under construction might not get.
  std::vector<Item> items_;
  // From here on, items have been seen since the last SeeState().
  size_t fresh_ = 0;
};

}  // namespace stackglue::order

#endif  // STACKGLUE_NATIVE_ORDER_EVENT_ORDER_H_
