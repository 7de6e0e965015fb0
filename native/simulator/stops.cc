// Groups that stop and run again, and what becomes of a node without quorum, daemon or lockspace.
// See simulation.h.
#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "simulator/simulation.h"
#include "simulator/words.h"

namespace stackglue::simulator {

// ---- Stops ----

int Simulation::GroupNumber(std::string_view name) {
  const auto at = std::find_if(groups_.begin(), groups_.end(),
                               [name](const Group& group) { return group.name == name; });
  if (at != groups_.end()) return static_cast<int>(at - groups_.begin());
  groups_.push_back({.name = std::string(name)});
  return static_cast<int>(groups_.size()) - 1;
}

bool Simulation::HasStopped(int node, int number) const {
  const auto at = nodes_.find(node);
  if (at != nodes_.end() && !at->second.has_quorum) return true;
  if (at != nodes_.end() && network_.is_cut(node)) return at->second.known_stops.contains(number);
  const Group& group = groups_[static_cast<size_t>(number)];
  return are_all_stopped_ || group.is_stopped || group.recoveries > 0;
}

void Simulation::ChangeStops(const std::function<void()>& change) {
  const std::vector<Link> held = network_.Held();
  network_.BeforeStop();
  change();
  bool has_stops = are_all_stopped_;
  for (const Group& group : groups_) has_stops |= group.is_stopped || group.recoveries > 0;
  for (const auto& [number, node] : nodes_) {
    has_stops |= !node.has_quorum || !node.known_stops.empty();
  }
  network_.set_has_stops(has_stops);
  for (auto& [id, connection] : connections_) {
    if (!running(connection.node)) continue;
    const bool has_stopped = HasStopped(connection.node, connection.group_number);
    if (has_stopped == connection.knows_stop) continue;
    connection.knows_stop = has_stopped;
    TellOf(has_stopped ? NoticeKind::kStopped : NoticeKind::kResumed, id);
  }
  network_.Release(held);
}

// Its node sees that by itself, be it cut off or not.
void Simulation::TellOf(NoticeKind kind, ConnectionId id) {
  const Connection& connection = connections_.at(id);
  Event event;
  event.kind = Event::Kind::kNotice;
  event.connection = id;
  event.lock = static_cast<uint64_t>(kind);
  network_.Send({connection.node, kOwnEyes, connection.group_number, false}, std::move(event));
}

void Simulation::TellNode(NoticeKind kind, int node) {
  for (const auto& [id, connection] : connections_) {
    if (connection.node == node) TellOf(kind, id);
  }
}

void Simulation::StopGroup(std::string_view name) {
  const int number = name.empty() ? 0 : GroupNumber(name);
  const bool is_known =
      name.empty() ? are_all_stopped_ : groups_[static_cast<size_t>(number)].is_stopped;
  if (is_known) return;
  Line(0, name.empty() ? "stops all groups" : "stops " + Quoted(name));
  ChangeStops([this, name, number] {
    (name.empty() ? are_all_stopped_ : groups_[static_cast<size_t>(number)].is_stopped) = true;
  });
}

void Simulation::ResumeGroup(std::string_view name) {
  Line(0, name.empty() ? "resumes all groups" : "resumes " + Quoted(name));
  ChangeStops([this, name] {
    if (name.empty()) are_all_stopped_ = false;
    for (Group& group : groups_) {
      if (name.empty() || group.name == name) group.is_stopped = false;
    }
  });
}

// fs/dlm/recoverd.c:ls_recover(): no request is served before it is over.
void Simulation::BeginRecovery(const std::vector<int>& numbers) {
  if (options_.recovery_max_us == 0) return;
  for (const int number : numbers) {
    ChangeStops([this, number] { ++groups_[static_cast<size_t>(number)].recoveries; });
    const uint64_t spread = options_.recovery_max_us - options_.recovery_min_us;
    const uint64_t takes_us = options_.recovery_min_us + history_.Choose(spread + 1);
    scheduler_.After(takes_us, [this, number] {
      Group& group = groups_[static_cast<size_t>(number)];
      Line(0, Quoted(group.name) + " has recovered");
      ChangeStops([&group] { --group.recoveries; });
    });
  }
}

// ---- Quorum and membership ----

void Simulation::LoseQuorum(int node) {
  if (!running(node) || !nodes_.at(node).has_quorum) return;
  Line(node, "loses the quorum");
  TellNode(NoticeKind::kQuorumLost, node);
  ChangeStops([this, node] { nodes_.at(node).has_quorum = false; });
}

void Simulation::LoseMajority(int node) {
  if (!nodes_.at(node).has_quorum) return;
  nodes_.at(node).is_minority = true;
  MoveRing();
  nodes_.at(node).ring = ring_;  // that of its own part
  LoseQuorum(node);
}

void Simulation::RegainQuorum(int node) {
  if (!running(node) || nodes_.at(node).has_quorum) return;
  Line(node, "has a quorum again");
  nodes_.at(node).is_minority = false;
  TellNode(NoticeKind::kQuorumRegained, node);
  ChangeStops([this, node] { nodes_.at(node).has_quorum = true; });
}

// All that are together have the same one.
void Simulation::MoveRing() {
  ++ring_;
  for (auto& [number, node] : nodes_) {
    if (node.running && !network_.is_cut(number)) node.ring = ring_;
  }
}

Simulation::Membership Simulation::membership(ConnectionId id) {
  const auto at = connections_.find(id);
  if (at == connections_.end()) return {};
  Connection& own = at->second;
  const Node& node = nodes_.at(own.node);
  // Parts of the cluster whose rings do not have each other.
  const bool is_apart =
      std::any_of(connections_.begin(), connections_.end(), [this, &own, &node](const auto& item) {
        const auto& [other_id, other] = item;
        const bool are_apart = node.is_minority || nodes_.at(other.node).is_minority;
        return other.group_number == own.group_number && other.node != own.node && are_apart;
      });
  if (own.ring == 0 || (own.deaths_due == 0 && !is_apart)) own.ring = node.ring;
  return {own.ring, node.has_quorum};
}

// ---- The daemon, and the lockspace ----

bool Simulation::LoseDaemon(int node) {
  if (options_.profile != Profile::kFsdlm) return false;
  if (!running(node) || !nodes_.at(node).has_daemon) return true;
  Line(node, "loses its daemon");
  Node& state = nodes_.at(node);
  state.has_daemon = false;
  // The others find its process gone, and fence what is left of the node.
  TellNode(NoticeKind::kDaemonGone, node);
  scheduler_.After(options_.detect_us, [this, node, life = state.life] {
    const Node& now = nodes_.at(node);
    if (now.life == life && now.running) Declare(node);
  });
  return true;
}

int Simulation::ReleaseGroup(int node, std::string_view group) {
  if (options_.profile != Profile::kFsdlm) return -EOPNOTSUPP;
  std::vector<ConnectionId> lost;
  for (const auto& [id, connection] : connections_) {
    if (connection.node == node && connection.group == group) lost.push_back(id);
  }
  if (lost.empty() || !running(node)) return -ENOENT;
  Line(node, "has " + Quoted(group) + " taken away");
  for (const ConnectionId id : lost) LoseConnection(id);
  return 0;
}

// What it had asked for ends in a step of its own: nobody hears of anything inside a call.
void Simulation::LoseConnection(ConnectionId id) {
  const Connection& lost = connections_.at(id);
  const int node = lost.node;
  const std::string group = lost.group;
  const auto is_its = [id](const CallerLock& lock) { return lock.connection == id; };
  std::vector<Event> ends = EndsOf(is_its, node);
  Leave(id);
  const auto tell = [this, node, group, id, ends = std::move(ends)] {
    Line(node, "hears that " + NoticeText(NoticeKind::kReleased, node, group));
    if (on_loss_) on_loss_(id, ends);
  };
  scheduler_.After(0, [this, node, life = nodes_.at(node).life, tell] {
    if (nodes_.at(node).life == life) Take(node, tell);
  });
}

}  // namespace stackglue::simulator
