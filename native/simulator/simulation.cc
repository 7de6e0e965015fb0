// A cluster in virtual time: the nodes, what reaches their processes, and timers. See simulation.h.
#include "simulator/simulation.h"

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

#include "simulator/words.h"

namespace stackglue::simulator {

Simulation::Simulation(const Options& options)
    : options_(options),
      history_(options.seed),
      scheduler_(&history_, options.delay_min_us, options.delay_max_us),
      network_(
          &scheduler_, &history_,
          [this](const Link& link, Message message) { Arrive(link, std::move(message)); },
          [this](int node, int group) { return HasStopped(node, group); }) {}

std::unique_ptr<Simulation> Simulation::Create(const Options& options) {
  std::unique_ptr<Simulation> simulation(new Simulation(options));
  simulation->engine_ = Engine::Create(options.profile, simulation.get());
  if (simulation->engine_ == nullptr) return nullptr;
  simulation->caller_ = Caller::Create(options.profile);
  if (!options.replay.empty()) simulation->history_.Follow(options.replay);
  // lib/simulator/history.ts reads it.
  const auto number = [](uint64_t value) { return std::to_string(value); };
  simulation->history_.Note(
      std::string("stackglue simulation 1: profile ") +
      (options.profile == Profile::kO2dlm ? "o2dlm" : "fsdlm") + ", seed " + number(options.seed) +
      ", messages take " + number(options.delay_min_us) + " to " + number(options.delay_max_us) +
      " us, deaths are found after " + number(options.detect_us) + " us" +
      (options.recovery_max_us == 0 ? ""
                                    : ", recovery takes " + number(options.recovery_min_us) +
                                          " to " + number(options.recovery_max_us) + " us") +
      (options.quorum_us == 0 ? ""
                              : ", quorum is lost after " + number(options.quorum_us) + " us"));
  return simulation;
}

// ---- Nodes and their groups ----

Simulation::NodeState Simulation::state(int node) const {
  const auto at = nodes_.find(node);
  if (at == nodes_.end()) return NodeState::kUnknown;
  if (!at->second.running) return NodeState::kDown;
  if (network_.is_cut(node)) return NodeState::kCutOff;
  return at->second.paused ? NodeState::kPaused : NodeState::kRunning;
}

bool Simulation::running(int node) const {
  const auto at = nodes_.find(node);
  return at != nodes_.end() && at->second.running;
}

int Simulation::Start(int node) {
  Node& state = nodes_[node];
  if (state.running) return -EEXIST;
  if (state.member) Declare(node);
  const uint64_t life = state.life + 1;
  state = {};
  state.life = life;
  state.running = true;
  state.member = true;
  network_.Start(node);
  Line(node, "starts");
  MoveRing();
  return 0;
}

int Simulation::Join(int node, std::string_view group, Version* version, ConnectionId* connection) {
  if (!running(node)) return -EPERM;
  // What it has sent concerns groups that it is in already; nothing may overtake it all the same.
  network_.Flush(node);
  const int status = engine_->Join(last_connection_ + 1, node, group, version);
  if (status != 0) return status;
  *connection = ++last_connection_;
  const int number = GroupNumber(group);
  connections_[*connection] = {.node = node, .group = std::string(group), .group_number = number};
  (void)membership(*connection);
  Line(node, "joins " + Quoted(group));
  SendEvents();
  // Whoever comes to a node in trouble hears of that first.
  if (!nodes_.at(node).has_quorum) TellOf(NoticeKind::kQuorumLost, *connection);
  if (!nodes_.at(node).has_daemon) TellOf(NoticeKind::kDaemonGone, *connection);
  if (HasStopped(node, number)) {
    connections_[*connection].knows_stop = true;
    TellOf(NoticeKind::kStopped, *connection);
  }
  return 0;
}

void Simulation::Leave(ConnectionId id) {
  const auto at = connections_.find(id);
  if (at == connections_.end()) return;
  const int node = at->second.node;
  if (running(node)) network_.Flush(node);
  if (running(node)) Line(node, "leaves " + Quoted(at->second.group));
  // A node that is down keeps what it has until it is found dead.
  if (!running(node) && nodes_.at(node).member) return;
  // What it has said as a master and has not arrived is the next master's to say.
  const std::string group = at->second.group;
  std::erase_if(locks_, [id](const auto& item) { return item.second.connection == id; });
  std::erase_if(courses_, [id](const auto& item) { return item.first.first == id; });
  connections_.erase(at);
  // What a paused process was still to send.
  std::erase_if(nodes_.at(node).held_out, [id](const auto& held) {
    const auto* request = std::get_if<Request>(&held.second);
    return request != nullptr && request->connection == id;
  });
  engine_->Leave(id);
  std::vector<Event> said;
  if (!IsIn(node, group)) {
    said = network_.TakeEvents(node, [this, &group](const Event& event) {
      const auto other = connections_.find(event.connection);
      return other != connections_.end() && other->second.group == group;
    });
  }
  for (Event& event : said) SendEvent(std::move(event));
  SendEvents();
}

bool Simulation::IsIn(int node, const std::string& group) const {
  return std::any_of(connections_.begin(), connections_.end(), [node, &group](const auto& item) {
    return item.second.node == node && item.second.group == group;
  });
}

// ---- Messages ----

void Simulation::Arrive(const Link& link, Message message) {
  if (auto* request = std::get_if<Request>(&message)) {
    Serve(std::move(*request), link.master);
  } else if (auto* event = std::get_if<Event>(&message)) {
    Take(link.node, [this, heard = std::move(*event)]() mutable { Hear(std::move(heard)); });
  } else {
    std::get<Scheduler::Task>(message)();
  }
}

// What the node's lock manager has is the process's, unless that stands still.
void Simulation::Take(int node, Scheduler::Task task) {
  Node& now = nodes_.at(node);
  if (!now.running) return;
  if (now.paused || !now.held_in.empty()) {
    now.held_in.push_back(std::move(task));
  } else {
    task();
  }
}

// One after the other, so that others may come in between; what arrives meanwhile comes after them.
void Simulation::TakeHeld(int node, uint64_t life) {
  scheduler_.After(0, [this, node, life] {
    Node& now = nodes_.at(node);
    if (now.life != life || !now.running || now.paused || now.held_in.empty()) return;
    const Scheduler::Task task = std::move(now.held_in.front());
    task();
    if (now.life != life || !now.running) return;
    now.held_in.pop_front();
    if (!now.held_in.empty()) TakeHeld(node, life);
  });
}

void Simulation::SendOut(const Link& link, Message message) {
  if (nodes_.at(link.node).paused) {
    nodes_.at(link.node).held_out.push_back({link, std::move(message)});
  } else {
    network_.Send(link, std::move(message));
  }
}

// ---- Time ----

uint64_t Simulation::StartTimer(int node, uint64_t delay_us) {
  if (node != 0 && !running(node)) return 0;
  const uint64_t timer = ++last_timer_;
  const uint64_t life = node == 0 ? 0 : nodes_.at(node).life;
  const auto go_off = [this, node, timer] {
    if (timers_.erase(timer) == 0) return;
    Line(node, "timer " + std::to_string(timer));
    if (on_timer_) on_timer_(node, timer);
  };
  timers_[timer].node = node;
  timers_[timer].plan = scheduler_.After(delay_us, [this, node, life, timer, go_off] {
    if (node == 0) {
      go_off();
      return;
    }
    // Time passes for a node that is cut off, but not for a process that stands still.
    Node& now = nodes_.at(node);
    if (now.life != life || !now.running) {
      timers_.erase(timer);
    } else {
      Take(node, go_off);
    }
  });
  return timer;
}

void Simulation::StopTimer(uint64_t timer) {
  const auto at = timers_.find(timer);
  if (at == timers_.end()) return;
  scheduler_.Cancel(at->second.plan);
  timers_.erase(at);
}

void Simulation::After(uint64_t delay_us, std::function<void()> task) {
  scheduler_.After(delay_us, std::move(task));
}

bool Simulation::Run(size_t max_steps) {
  for (size_t i = 0; i < max_steps; ++i) {
    if (!Step()) return true;
  }
  return scheduler_.idle();
}

}  // namespace stackglue::simulator
