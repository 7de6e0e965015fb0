// The ways between nodes and masters: what is sent on one keeps its order, what is sent on two may
// arrive in either. Knows who hears whom, and what was lost with a node; not what messages say.
//
// Threads: none of its own; one thread drives a simulation.
//
// Invariants:
//  1. Messages on one link arrive in the order in which they were sent, each once or never.
//  2. Nothing arrives by a link that is held: one from a node to another that it does not reach,
//  one
//     of a group that has stopped at either end, or a node's own while a notice waits for that
//     node. A node's link to itself is not cut; and what it had said on it before the group
//     stopped arrives all the same.
//  3. What is sent to a node after a notice arrives there after that notice.
//  4. A master that is down takes nothing: what is on its way to it waits for Remove(). Of what it
//     had sent, a part arrives; the rest, and all that would come from it later, is lost with it.
#ifndef STACKGLUE_NATIVE_SIMULATOR_NETWORK_H_
#define STACKGLUE_NATIVE_SIMULATOR_NETWORK_H_

#include <compare>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <utility>
#include <variant>
#include <vector>

#include "simulator/engine.h"
#include "simulator/scheduler.h"

namespace stackglue::simulator {

// One direction between a node and a master, which may be the node itself, for one group.
struct Link {
  int node = 0;
  int master = 0;
  int group = 0;
  bool to_master = false;
  auto operator<=>(const Link&) const = default;
};

// Who tells of what happens to groups: the cluster, to whom it reaches, and a node's own eyes.
inline constexpr int kTheCluster = 0;
inline constexpr int kOwnEyes = -1;

// A request to a master, an event of one of its locks, or something to be done there.
using Message = std::variant<Request, Event, Scheduler::Task>;

class Network {
 public:
  using Handler = std::function<void(const Link&, Message)>;
  // What a dead node leaves behind, in the order in which it was sent.
  struct Remains {
    std::vector<Message> unheard;  // was on its way to it
    std::vector<Event> unsaid;     // was to come from it
  };

  // Whether a group has stopped at a node.
  using StopQuery = std::function<bool(int node, int group)>;

  // `history` makes the choices; both outlive this. `handler` takes what arrives.
  Network(Scheduler* scheduler, History* history, Handler handler, StopQuery has_stopped)
      : scheduler_(scheduler),
        history_(history),
        arrived_(std::move(handler)),
        has_stopped_(std::move(has_stopped)) {}

  void Send(const Link& link, Message message);
  // All that the node has sent to masters that it reaches arrives now, in the order of sending; so
  // does what is sent on because of it.
  void Flush(int node);
  // Whether a request would arrive there, and its answer come back.
  bool Reaches(int node, int master, int group) const;

  void Cut(int node) { ends_[node].is_cut = true; }
  // What was held goes on its way.
  void Heal(int node);
  bool is_cut(int node) const;
  // What one node sends the other waits.
  void Block(int from, int to) { blocked_.emplace(from, to); }
  void Unblock(int from, int to) { blocked_.erase({from, to}); }
  // Nothing is blocked any more to or from the node.
  void UnblockAll(int node);
  bool is_blocked(int from, int to) const { return blocked_.contains({from, to}); }
  // A group is about to stop somewhere: what a node has told itself until now still arrives.
  void BeforeStop();
  // Whether `has_stopped` has to be asked.
  void set_has_stops(bool has_stops) { has_stops_ = has_stops; }
  // The links by which something is held. When what holds them has changed, Release() has that go
  // on its way of which nothing does any more.
  std::vector<Link> Held() const;
  void Release(const std::vector<Link>& held);

  // The node boots: nothing of an earlier life is left.
  void Start(int node) { ends_[node] = {}; }
  // A power cut. Chance decides how much of what is on its way from the node still arrives.
  void Stop(int node);
  // The node is found dead: nothing goes to it or comes from it any more.
  Remains Remove(int node);
  // What should have come from a node that is down since it was asked for last.
  std::vector<Event> TakeUnsaid(int node);
  // Takes the events back that are on their way from `master` and that `wanted` picks.
  std::vector<Event> TakeEvents(int master, const std::function<bool(const Event&)>& wanted);

 private:
  struct Sent {
    uint64_t number = 0;  // in the order of sending, over all links
    Message message;
  };
  struct Way {
    uint64_t last_us = 0;  // when the last one arrives
    uint64_t free = 0;     // up to this number a stop does not hold it
    std::deque<Sent> queue;
  };
  struct End {
    bool is_down = false;
    bool is_cut = false;
    uint64_t notice_us = 0;  // when the last notice arrives
  };

  static int SenderOf(const Link& link) { return link.to_master ? link.node : link.master; }
  bool IsDown(int node) const;
  bool IsStopped(const Link& link) const;
  bool IsCut(const Link& link) const;
  bool IsHeld(const Link& link) const { return IsCut(link) || IsStopped(link); }
  bool IsHeldNow(const Link& link, const Way& way) const;
  void Plan(const Link& link, Way* way, Message message);
  void Arrive(const Link& link, uint64_t number);
  void LoseFrom(Way* way, size_t kept, int sender);

  Scheduler* const scheduler_;
  History* const history_;
  const Handler arrived_;
  const StopQuery has_stopped_;
  bool has_stops_ = false;
  std::set<std::pair<int, int>> blocked_;  // from, to
  std::map<Link, Way> ways_;
  std::map<int, End> ends_;
  std::map<int, std::vector<Sent>> unsaid_;  // by the master that is down
  uint64_t last_number_ = 0;
};

}  // namespace stackglue::simulator

#endif  // STACKGLUE_NATIVE_SIMULATOR_NETWORK_H_
