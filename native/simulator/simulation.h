// A cluster in virtual time: a seeded scheduler owns the order in which requests arrive at their
// resource's master, in which answers, ASTs and death notices reach the nodes, and when a silent
// node is found to be dead. The same seed and the same calls give the same history, byte for byte.
//
// The engine underneath decides what is granted, all at once and without time; here its calls and
// events travel. The engine itself is the one that programs run on, unchanged.
//
// Threads: one thread drives a simulation. Handlers are called by Step(), and may call anything
// but Step() and Run().
//
// Invariants:
//  1. What a node sends arrives in that order; so does what it is sent. Nothing arrives at a node
//     that does not run, nor from one, but for what was on its way when it stopped.
//  2. An event is pending for the engine until it arrives.
//  3. A node that was killed or cut off is dead for the others after `detect_us`, or when it boots
//     again, not before; one that is healed in time has lost nothing. Of two that do not reach each
//     other for so long one is fenced.
//  4. Every request that was accepted ends, as caller.h says, once: in an event, or with its node's
//     fence, or with the loss of its lockspace. Only a kill and Leave() end requests in silence.
//  5. Between a stop and the end of the last stop no request of the group is served there, and what
//     the masters had to say waits.
#ifndef STACKGLUE_NATIVE_SIMULATOR_SIMULATION_H_
#define STACKGLUE_NATIVE_SIMULATOR_SIMULATION_H_

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "order/notice.h"
#include "simulator/caller.h"
#include "simulator/engine.h"
#include "simulator/history.h"
#include "simulator/network.h"
#include "simulator/scheduler.h"

namespace stackglue::simulator {

class Simulation final : private fsdlm::Clock {
 public:
  struct Options {
    Profile profile = Profile::kO2dlm;
    uint64_t seed = 1;
    // How long a message takes: at random between these.
    uint64_t delay_min_us = 50;
    uint64_t delay_max_us = 1'000;
    // How long a node is silent before the others take it for dead.
    uint64_t detect_us = 2'000'000;
    // How long a death stops the groups that the node was in: at random between these.
    uint64_t recovery_min_us = 0;
    uint64_t recovery_max_us = 0;
    // After how long a node that is cut off knows that it has no quorum; 0: it is fenced first.
    uint64_t quorum_us = 0;
    // An earlier history to be followed (History::Follow); empty: none.
    std::string replay;
  };
  enum class NodeState : uint8_t { kUnknown, kRunning, kPaused, kCutOff, kDown };
  using Handler = std::function<void(const Event&)>;
  // A node's timer went off, or the world's if `node` is 0.
  using TimerHandler = std::function<void(int node, uint64_t timer)>;
  using FenceHandler = std::function<void(int node, const std::vector<Event>& ends)>;
  using LossHandler = std::function<void(ConnectionId connection, const std::vector<Event>& ends)>;
  // What a connection's node knows of the cluster's membership: the newest ring that lacks no node
  // of its group but those whose deaths it has heard of.
  struct Membership {
    uint64_t ring = 0;  // moves with nodes that come and go, never back
    bool is_quorate = false;
  };

  // Null: no memory.
  static std::unique_ptr<Simulation> Create(const Options& options);
  ~Simulation() override = default;

  void set_handler(Handler handler) { on_event_ = std::move(handler); }
  void set_timer_handler(TimerHandler handler) { on_timer_ = std::move(handler); }
  // A node that runs was taken for dead, and has been made so. `ends` is the last that its programs
  // hear: all that they had asked for, in that order. Calls about no lock have no event any more.
  void set_fence_handler(FenceHandler handler) { on_fence_ = std::move(handler); }

  // The lockspace of a connection was taken away: `ends`, as with a fence, and then the loss.
  void set_loss_handler(LossHandler handler) { on_loss_ = std::move(handler); }

  // The node boots; 0, or -EEXIST: it runs. If the others have not found its last life dead yet,
  // they do now.
  int Start(int node);
  // The node joins a group. 0 or a negative errno; `version` is wanted, and then what the group
  // runs at. -EPERM: the node does not run.
  int Join(int node, std::string_view group, Version* version, ConnectionId* connection);
  // The node leaves the group in good order; what it sent arrives before. No event comes any more.
  void Leave(ConnectionId connection);

  // A request leaves its node: for a new lock it gets its number. 0, and then an event follows as
  // the engine has it; or the engine's status, and nothing was done.
  int64_t Submit(Request* request);

  // fsdlm: dlm_ls_purge(): the orphans on `node` (0: the connection's) go that process `pid` left,
  // or with 0 any. 0, and then a kCall with `ticket` tells what came of it; another node's is only
  // asked. -ENOTCONN: the node is down.
  int Purge(ConnectionId connection, int node, int pid, uint64_t ticket);
  // fsdlm: what Purge() knows the connection's process by. 0: it is not there.
  int OwnerPid(ConnectionId connection) const { return engine_->OwnerPid(connection); }
  // The nodes that are in the connection's group, ascending.
  std::vector<int> Nodes(ConnectionId connection) const { return engine_->Nodes(connection); }

  // A power cut.
  void Kill(int node);
  // Nothing reaches the node or leaves it until Heal(). After `detect_us` it is dead.
  void Partition(int node);
  void Heal(int node);
  // Its process stands still: it takes no events and no timer of it goes off. What is asked of it
  // from outside leaves when it goes on. Its lock manager goes on.
  void Pause(int node);
  void Resume(int node);

  // Of two nodes: what `from` sends does not reach `to` until HealPair(), and, unless it is one way
  // only, the other way round. After `detect_us` the one that reaches fewer of the others both ways
  // is fenced; of two that reach as many, the one that is not with the lowest number of all these,
  // or the one with the higher number.
  void PartitionPair(int from, int to, bool one_way);
  void HealPair(int a, int b);

  // The group stops on all nodes, or with an empty name every group: requests wait. So it is in
  // fs/dlm while members change.
  void StopGroup(std::string_view group);
  void ResumeGroup(std::string_view group);
  // The node's part of the cluster has no quorum: its groups stop.
  void LoseQuorum(int node);
  void RegainQuorum(int node);
  // fsdlm: dlm_controld ends on the node, which is fenced after `detect_us`. False: there is no
  // such daemon.
  bool LoseDaemon(int node);
  // fsdlm: somebody on the node takes the lockspace away: its locks go. 0; -ENOENT: the node is not
  // in it; -EOPNOTSUPP: nobody could.
  int ReleaseGroup(int node, std::string_view group);
  // As the connection's node knows it; of no connection: ring 0.
  Membership membership(ConnectionId connection);

  // A timer of the node, or with 0 the world's. It has a number, from 1.
  uint64_t StartTimer(int node, uint64_t delay_us);
  void StopTimer(uint64_t timer);
  // Calls `task` at that virtual time from now; nothing is noted.
  void After(uint64_t delay_us, std::function<void()> task);

  // A line of the history; `who` is a node, or 0 for the world. `what` is any bytes.
  void Note(int who, std::string_view what);
  // A choice from 0 to `bound` - 1.
  uint64_t Choose(uint64_t bound) { return history_.Choose(bound); }

  // Does what is due next; false: nothing is, or a replay has left its history.
  bool Step() { return !history_.divergence() && scheduler_.Step(); }
  // Until Step() is false, or `max_steps` were made. False: there was more.
  bool Run(size_t max_steps = 1'000'000);

  NodeState state(int node) const;
  bool running(int node) const;
  uint64_t now_us() const { return scheduler_.now_us(); }
  const History& history() const { return history_; }
  // Who waits for which lock, and who has it: a line each.
  std::string Waiting() const;

 private:
  struct Node {
    bool running = false;
    bool member = false;  // the others count it in
    bool paused = false;
    uint64_t life = 0;  // boots so far: what was for an earlier life is lost
    uint64_t silence = 0;
    bool has_quorum = true;
    bool is_minority = false;  // that is why it has none
    bool has_daemon = true;
    // While it is cut off: the groups that had stopped before, of which it hears no more.
    std::set<int> known_stops;
    uint64_t ring = 0;
    // By a pause: what its process is to hear, and what was asked of it, with the master.
    std::deque<Scheduler::Task> held_in;
    std::vector<std::pair<Link, Message>> held_out;
  };
  struct Group {
    std::string name;
    bool is_stopped = false;
    int recoveries = 0;  // that are under way
  };
  struct Connection {
    int node = 0;
    std::string group;
    int group_number = 0;
    bool knows_stop = false;  // it was told that the group has stopped, and not that it runs
    int deaths_due = 0;       // nodes' deaths that it is still to hear of
    uint64_t ring = 0;        // as it knows it
  };
  // The requests of a connection for one resource that are under way. They keep their order, so all
  // go where the last one goes.
  struct Course {
    int master = 0;
    size_t under_way = 0;
    uint64_t last = 0;  // its sequence
    // Those that were sent on, by sequence, and to whom: what comes behind them goes there, too.
    std::map<uint64_t, int> moved;
    // Unlocks and cancels that have arrived before what they are about.
    std::vector<Request> early;
  };
  struct Timer {
    int node = 0;
    Scheduler::Plan plan;
  };

  explicit Simulation(const Options& options);

  uint64_t NowMs() noexcept override { return scheduler_.now_us() / 1000; }

  bool IsIn(int node, const std::string& group) const;
  void Arrive(const Link& link, Message message);
  void Take(int node, Scheduler::Task task);
  void TakeHeld(int node, uint64_t life);
  void SendOut(const Link& link, Message message);
  int64_t Ask(const Request& request, int node);
  bool IsAdoption(const Request& request) const;
  int MasterFor(const Request& request, int node) const;
  int DirectoryFor(const Request& request, int node) const;
  void Send(Request request, int node);
  void Serve(Request request, int master);
  void EndCourse(const Request& request);
  void SendEarly(uint64_t lock, int node);
  void Perform(const Request& request);
  std::vector<Event> TakeEvents();
  void SendEvents();
  void SendEvent(Event event);
  void Hear(Event event);
  void LineOf(int node, const Event& event);
  void StartSilence(int node);
  void Declare(int node);
  int GroupNumber(std::string_view name);
  bool HasStopped(int node, int group) const;
  // After `change` groups may have stopped, or may run again: says so, and lets go on what waits.
  void ChangeStops(const std::function<void()>& change);
  void TellOf(NoticeKind kind, ConnectionId connection);
  void TellNode(NoticeKind kind, int node);
  void BeginRecovery(const std::vector<int>& groups);
  void LoseMajority(int node);
  void MoveRing();
  void LoseConnection(ConnectionId connection);
  std::vector<Event> EndsOf(const std::function<bool(const CallerLock&)>& wanted, int node);
  std::vector<int> SideOf(int node) const;
  int WorseOf(int a, int b) const;
  void Recover(int node);
  void Undo(const std::vector<Event>& events, std::vector<Request>* again,
            std::vector<Event>* told);
  void ForgetConnections(int node);
  void Line(int who, const std::string& what);
  std::string Describe(const Request& request, const CallerLock* lock) const;

  const Options options_;
  History history_;
  Scheduler scheduler_;
  Network network_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Caller> caller_;
  std::map<int, Node> nodes_;
  std::map<ConnectionId, Connection> connections_;
  std::vector<Group> groups_;  // by their numbers
  bool are_all_stopped_ = false;
  // Of pairs that do not reach each other, the lower number first: which time of all it is.
  std::map<std::pair<int, int>, uint64_t> pair_cuts_;
  uint64_t last_pair_cut_ = 0;
  uint64_t ring_ = 0;
  std::map<uint64_t, CallerLock> locks_;
  std::map<std::pair<ConnectionId, std::string>, Course> courses_;
  std::map<uint64_t, Timer> timers_;
  ConnectionId last_connection_ = 0;
  uint64_t last_lock_ = 0;
  uint64_t last_timer_ = 0;
  uint64_t last_request_ = 0;
  uint64_t last_asked_ = 0;
  Handler on_event_;
  TimerHandler on_timer_;
  FenceHandler on_fence_;
  LossHandler on_loss_;
};

}  // namespace stackglue::simulator

#endif  // STACKGLUE_NATIVE_SIMULATOR_SIMULATION_H_
