// What happens to nodes of a simulation, and what the others make of it. See simulation.h.
#include <algorithm>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "simulator/simulation.h"

namespace stackglue::simulator {

void Simulation::StartSilence(int node) {
  const uint64_t life = nodes_.at(node).life;
  const uint64_t silence = ++nodes_.at(node).silence;
  scheduler_.After(options_.detect_us, [this, node, life, silence] {
    const Node& state = nodes_.at(node);
    if (state.life == life && state.silence == silence && state.member) Declare(node);
  });
}

void Simulation::Declare(int node) {
  Node& state = nodes_.at(node);
  const bool fenced = state.running;
  // Whoever is taken for dead is made so: what it holds will be given to others.
  Line(node, fenced ? "is fenced" : "is dead");
  state.running = false;
  state.member = false;
  state.held_in.clear();
  state.held_out.clear();
  network_.UnblockAll(node);
  std::erase_if(pair_cuts_, [node](const auto& item) {
    return item.first.first == node || item.first.second == node;
  });
  std::vector<Event> ends;
  if (fenced) ends = EndsOf([](const CallerLock&) { return true; }, node);
  std::set<int> groups;
  for (const auto& [id, connection] : connections_) {
    if (connection.node == node) groups.insert(connection.group_number);
  }
  MoveRing();
  // Nobody waits for its quorum any more.
  if (!state.has_quorum) ChangeStops([&state] { state.has_quorum = true; });
  BeginRecovery({groups.begin(), groups.end()});
  Recover(node);
  if (fenced && on_fence_) on_fence_(node, ends);
}

// The ends of what the node's programs have asked for, of the locks that are wanted. Results that a
// paused process had yet to take are lost with the rest.
std::vector<Event> Simulation::EndsOf(const std::function<bool(const CallerLock&)>& wanted,
                                      int node) {
  std::map<uint64_t, std::pair<uint64_t, const CallerLock*>> asked;
  for (const auto& [number, lock] : locks_) {
    if (connections_.at(lock.connection).node == node && wanted(lock)) {
      asked[lock.asked] = {number, &lock};
    }
  }
  std::vector<Event> ends;
  for (const auto& [order, item] : asked) {
    for (Event& event : caller_->EndsOf(*item.second)) {
      event.connection = item.second->connection;
      event.lock = item.first;
      LineOf(node, event);
      ends.push_back(std::move(event));
    }
  }
  return ends;
}

// The survivors go by what they know themselves: what the dead node decided as a master and could
// not tell did not happen, or is told by the node that asked for it.
// fs/dlm/recoverd.c:ls_recover(), fs/ocfs2/dlm/dlmrecovery.c:dlm_remaster_locks().
void Simulation::Recover(int node) {
  Network::Remains remains = network_.Remove(node);
  std::vector<Request> again;
  std::vector<Event> told;
  Undo(remains.unsaid, &again, &told);
  for (Message& message : remains.unheard) {
    auto* request = std::get_if<Request>(&message);
    const auto lock = request == nullptr ? locks_.end() : locks_.find(request->lock);
    if (lock == locks_.end()) continue;
    EndCourse(*request);
    const bool is_its = engine_->MasterOf(request->connection, request->resource) == node;
    if (is_its && caller_->FateOf(*request, lock->second) == Fate::kDone) {
      Perform(*request);
      SendEvents();
      if (request->kind != Request::Kind::kUnlock) {
        SendEarly(request->lock, connections_.at(request->connection).node);
      }
    } else {
      again.push_back(std::move(*request));
    }
  }
  // What others would have been granted because of that, too.
  Undo(network_.TakeUnsaid(node), &again, &told);

  (void)engine_->Kill(node);
  ForgetConnections(node);
  std::vector<Event> events = TakeEvents();
  const auto others = std::stable_partition(events.begin(), events.end(), [](const Event& event) {
    return event.kind == Event::Kind::kNodeDown;
  });
  events.insert(others, told.begin(), told.end());
  for (Event& event : events) SendEvent(std::move(event));
  for (Request& request : again) {
    const auto at = connections_.find(request.connection);
    if (at != connections_.end()) Send(std::move(request), at->second.node);
  }
}

// Events that never came: `told` are to be told all the same, `again` is to be asked again.
void Simulation::Undo(const std::vector<Event>& events, std::vector<Request>* again,
                      std::vector<Event>* told) {
  for (size_t i = 0; i < events.size(); ++i) {
    const Event& event = events[i];
    const auto lock = locks_.find(event.lock);
    if (lock == locks_.end() || !running(connections_.at(event.connection).node)) continue;
    Fate fate = caller_->FateOf(event, lock->second);
    // A cancel that came too late stands by the grant.
    const bool is_last =
        std::none_of(events.begin() + static_cast<std::ptrdiff_t>(i) + 1, events.end(),
                     [&event](const Event& later) {
                       return later.lock == event.lock && later.kind == Event::Kind::kUnlock;
                     });
    if (fate == Fate::kRedo && event.value == 0) {
      const CallerLock& known = lock->second;
      if (is_last && engine_->Recall(event, known.granted, known.requested, known.known_block)) {
        continue;
      }
      fate = Fate::kDone;
    }
    if (event.kind == Event::Kind::kBlocking) engine_->ForgetBlocking(event);
    if (fate == Fate::kRedo) {
      again->push_back(caller_->Repeat(event.lock, lock->second));
    } else if (fate == Fate::kDone) {
      told->push_back(event);
    }
  }
}

void Simulation::ForgetConnections(int node) {
  std::erase_if(locks_, [this, node](const auto& item) {
    return connections_.at(item.second.connection).node == node;
  });
  std::erase_if(courses_, [this, node](const auto& item) {
    return connections_.at(item.first.first).node == node;
  });
  std::erase_if(connections_, [this, node](const auto& item) {
    if (item.second.node != node) return false;
    engine_->Leave(item.first);
    return true;
  });
  std::erase_if(timers_, [this, node](const auto& item) {
    if (item.second.node != node) return false;
    scheduler_.Cancel(item.second.plan);
    return true;
  });
}

void Simulation::Kill(int node) {
  if (!running(node)) return;
  Node& state = nodes_.at(node);
  Line(node, "is killed");
  state.running = false;
  state.held_in.clear();
  state.held_out.clear();
  network_.Stop(node);
  StartSilence(node);
}

void Simulation::Partition(int node) {
  if (!running(node) || network_.is_cut(node)) return;
  Line(node, "is cut off");
  for (size_t group = 0; group < groups_.size(); ++group) {
    const int number = static_cast<int>(group);
    if (HasStopped(node, number)) nodes_.at(node).known_stops.insert(number);
  }
  network_.Cut(node);
  StartSilence(node);
  if (options_.quorum_us == 0) return;
  const uint64_t life = nodes_.at(node).life;
  const uint64_t silence = nodes_.at(node).silence;
  scheduler_.After(options_.quorum_us, [this, node, life, silence] {
    const Node& state = nodes_.at(node);
    if (state.life == life && state.silence == silence && state.running) LoseMajority(node);
  });
}

void Simulation::Heal(int node) {
  if (!running(node) || !network_.is_cut(node)) return;
  Line(node, "is healed");
  ++nodes_.at(node).silence;
  network_.Heal(node);
  ChangeStops([this, node] { nodes_.at(node).known_stops.clear(); });
  if (!nodes_.at(node).is_minority) return;
  MoveRing();
  RegainQuorum(node);
}

void Simulation::PartitionPair(int from, int to, bool one_way) {
  if (!running(from) || !running(to) || from == to) return;
  const bool is_known = network_.is_blocked(from, to) && (one_way || network_.is_blocked(to, from));
  if (is_known) return;
  Line(from, std::string(one_way ? "does not reach n" : "is cut off from n") + std::to_string(to));
  network_.Block(from, to);
  if (!one_way) network_.Block(to, from);
  const std::pair<int, int> pair = std::minmax(from, to);
  // The silence is that of the first of the two ways.
  if (pair_cuts_.contains(pair)) return;
  const uint64_t number = pair_cuts_[pair] = ++last_pair_cut_;
  scheduler_.After(options_.detect_us, [this, pair, number] {
    const auto at = pair_cuts_.find(pair);
    if (at == pair_cuts_.end() || at->second != number) return;
    const auto [a, b] = pair;
    // One that is silent to all is found dead by itself.
    if (!running(a) || !running(b)) return;
    Declare(WorseOf(a, b));
  });
}

// The node and the other members that hear it and that it hears, ascending.
std::vector<int> Simulation::SideOf(int node) const {
  std::vector<int> side;
  for (const auto& [other, state] : nodes_) {
    const bool reaches = !network_.is_cut(node) && state.running && !network_.is_cut(other) &&
                         !network_.is_blocked(node, other) && !network_.is_blocked(other, node);
    if (other == node || reaches) side.push_back(other);
  }
  return side;
}

// Which of two nodes that do not reach each other has to go.
int Simulation::WorseOf(int a, int b) const {
  const std::vector<int> side_of_a = SideOf(a);
  const std::vector<int> side_of_b = SideOf(b);
  if (side_of_a.size() != side_of_b.size()) return side_of_a.size() < side_of_b.size() ? a : b;
  if (side_of_a[0] != side_of_b[0]) return side_of_a[0] > side_of_b[0] ? a : b;
  return std::max(a, b);
}

void Simulation::HealPair(int a, int b) {
  const std::pair<int, int> pair = std::minmax(a, b);
  if (pair_cuts_.erase(pair) == 0) return;
  Line(a, "is healed from n" + std::to_string(b));
  const std::vector<Link> held = network_.Held();
  network_.Unblock(a, b);
  network_.Unblock(b, a);
  network_.Release(held);
}

void Simulation::Pause(int node) {
  if (!running(node) || nodes_.at(node).paused) return;
  Line(node, "pauses");
  nodes_.at(node).paused = true;
}

void Simulation::Resume(int node) {
  if (!running(node) || !nodes_.at(node).paused) return;
  Line(node, "goes on");
  Node& state = nodes_.at(node);
  state.paused = false;
  if (!state.held_in.empty()) TakeHeld(node, state.life);
  // The masters may be others by now.
  auto held = std::exchange(state.held_out, {});
  for (auto& [link, message] : held) {
    if (const auto* request = std::get_if<Request>(&message)) EndCourse(*request);
  }
  for (auto& [link, message] : held) {
    if (auto* request = std::get_if<Request>(&message)) {
      Send(std::move(*request), node);
    } else {
      network_.Send(link, std::move(message));
    }
  }
}

}  // namespace stackglue::simulator
