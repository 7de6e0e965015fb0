// A cluster in virtual time. See simulation.h.
#include "simulator/simulation.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <utility>

namespace stackglue::simulator {
namespace {

std::string ModeName(int64_t mode) {
  const char* names[] = {"NL", "CR", "CW", "PR", "PW", "EX"};
  return mode < 0 || mode > 5 ? "mode " + std::to_string(mode) : names[mode];
}

// Names are any bytes; a history is text.
std::string Quoted(std::string_view name) {
  std::string text = "\"";
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte > 0x1f && byte < 0x7f && c != '"' && c != '\\') {
      text += c;
      continue;
    }
    char escaped[5];
    std::snprintf(escaped, sizeof escaped, "\\x%02x", byte);
    text += escaped;
  }
  return text + "\"";
}

std::string Hex(const std::vector<uint8_t>& bytes) {
  // Trailing zeros say nothing: a block has a fixed size.
  size_t size = bytes.size();
  while (size > 0 && bytes[size - 1] == 0) --size;
  std::string text;
  for (size_t i = 0; i < size; ++i) {
    char hex[3];
    std::snprintf(hex, sizeof hex, "%02x", bytes[i]);
    text += hex;
  }
  return text.empty() ? "0" : text;
}

}  // namespace

Simulation::Simulation(const Options& options)
    : options_(options),
      history_(options.seed),
      scheduler_(&history_, options.delay_min_us, options.delay_max_us) {}

std::unique_ptr<Simulation> Simulation::Create(const Options& options) {
  std::unique_ptr<Simulation> simulation(new Simulation(options));
  simulation->engine_ = Engine::Create(options.profile, simulation.get());
  if (simulation->engine_ == nullptr) return nullptr;
  simulation->caller_ = Caller::Create(options.profile);
  if (!options.replay.empty()) simulation->history_.Follow(options.replay);
  // lib/simulator/history.ts reads it.
  const auto number = [](uint64_t value) { return std::to_string(value); };
  simulation->history_.Note(std::string("stackglue simulation 1: profile ") +
                            (options.profile == Profile::kO2dlm ? "o2dlm" : "fsdlm") + ", seed " +
                            number(options.seed) + ", messages take " +
                            number(options.delay_min_us) + " to " + number(options.delay_max_us) +
                            " us, deaths are found after " + number(options.detect_us) + " us");
  return simulation;
}

// ---- The history ----

void Simulation::Line(int who, const std::string& what) {
  char time[32];
  std::snprintf(time, sizeof time, "%llu.%06llu",
                static_cast<unsigned long long>(now_us() / 1'000'000),
                static_cast<unsigned long long>(now_us() % 1'000'000));
  history_.Note(std::string(time) + (who == 0 ? " -" : " n" + std::to_string(who)) + " " + what);
}

void Simulation::Note(int who, std::string_view what) { Line(who, Quoted(what)); }

std::string Simulation::Describe(const Request& request, const CallerLock* lock) const {
  std::string text = request.kind == Request::Kind::kLock      ? "lock "
                     : request.kind == Request::Kind::kConvert ? "convert "
                                                               : "unlock ";
  text += std::to_string(request.lock);
  if (request.kind == Request::Kind::kLock) {
    text += " " + Quoted(request.resource);
    // Most programs are in one group, which need not be told with every lock.
    const std::string& group = connections_.at(request.connection).group;
    if (group != connections_.begin()->second.group) text += " of " + Quoted(group);
  }
  if (request.kind != Request::Kind::kUnlock) text += " " + ModeName(request.mode);
  text += engine_->FlagsText(request.flags);
  if (request.breaks_deadlock) text += " for a deadlock";
  // Below PW no block is written.
  const bool writes = lock != nullptr && lock->granted >= 4 && engine_->SendsBlock(request.flags);
  if (writes && !request.block.empty()) text += " block " + Hex(request.block);
  return text;
}

std::string Simulation::Waiting() const {
  const auto describe = [this](uint64_t number, const CallerLock& lock) {
    const Connection& connection = connections_.at(lock.connection);
    const bool busy = lock.operation != CallerLock::Operation::kNone;
    return "n" + std::to_string(connection.node) + (busy ? " waits with lock " : " has lock ") +
           std::to_string(number) + " on " + Quoted(lock.resource) + " of " +
           Quoted(connection.group) + (busy ? " for " + ModeName(lock.requested) : "") +
           (lock.granted < 0 ? "" : (busy ? ", has " : " in ") + ModeName(lock.granted)) + "\n";
  };
  std::string text;
  for (const auto& [number, lock] : locks_) {
    if (lock.operation == CallerLock::Operation::kNone) continue;
    text += describe(number, lock);
    for (const auto& [other_number, other] : locks_) {
      const bool same =
          other.resource == lock.resource &&
          connections_.at(other.connection).group == connections_.at(lock.connection).group;
      if (same && other.operation == CallerLock::Operation::kNone && other.granted > 0) {
        text += "  " + describe(other_number, other);
      }
    }
  }
  return text;
}

// ---- Nodes and their groups ----

Simulation::NodeState Simulation::state(int node) const {
  const auto at = nodes_.find(node);
  if (at == nodes_.end()) return NodeState::kUnknown;
  if (!at->second.running) return NodeState::kDown;
  if (at->second.cut_off) return NodeState::kCutOff;
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
  Line(node, "starts");
  return 0;
}

int Simulation::Join(int node, std::string_view group, Version* version, ConnectionId* connection) {
  if (!running(node)) return -EPERM;
  // What it has sent concerns groups that it is in already; nothing may overtake it all the same.
  Flush(node);
  const int status = engine_->Join(last_connection_ + 1, node, group, version);
  if (status != 0) return status;
  *connection = ++last_connection_;
  connections_[*connection] = {node, std::string(group), false};
  Line(node, "joins " + Quoted(group));
  PlanDeliveries();
  return 0;
}

void Simulation::Leave(ConnectionId id) {
  const auto at = connections_.find(id);
  if (at == connections_.end()) return;
  const int node = at->second.node;
  if (running(node) && !nodes_.at(node).cut_off) Flush(node);
  if (running(node)) Line(node, "leaves " + Quoted(at->second.group));
  // A node that is down keeps what it has until it is found dead.
  if (!running(node) && nodes_.at(node).member) return;
  std::erase_if(locks_, [id](const auto& item) { return item.second.connection == id; });
  connections_.erase(id);
  engine_->Leave(id);
  PlanDeliveries();
}

// ---- Messages ----

void Simulation::SendOut(int node, Outgoing message) {
  Node& state = nodes_.at(node);
  const uint64_t number = ++last_message_;
  state.outbox.emplace_back(number, std::move(message));
  scheduler_.Send(&state.out_us, [this, node, number] {
    Node& now = nodes_.at(node);
    // It may have been lost with its node, or arrived before its time; a cut keeps it.
    if (now.outbox.empty() || now.outbox.front().first != number || now.cut_off) return;
    const Outgoing arrived = std::move(now.outbox.front().second);
    now.outbox.pop_front();
    arrived();
  });
}

// What the node has sent arrives now.
void Simulation::Flush(int node) {
  Node& state = nodes_.at(node);
  if (state.cut_off) return;
  while (!state.outbox.empty()) {
    const Outgoing arrived = std::move(state.outbox.front().second);
    state.outbox.pop_front();
    arrived();
  }
}

void Simulation::SendIn(int node, Scheduler::Task task) {
  Node& state = nodes_.at(node);
  scheduler_.Send(&state.in_us, [this, node, life = state.life, task = std::move(task)] {
    Take(node, life, task);
  });
}

void Simulation::Take(int node, uint64_t life, Scheduler::Task task) {
  Node& now = nodes_.at(node);
  if (now.life != life || !now.running) return;
  if (now.cut_off || now.paused) {
    now.held_in.push_back(std::move(task));
  } else {
    task();
  }
}

// ---- Requests ----

int64_t Simulation::Submit(Request* request) {
  const auto at = connections_.find(request->connection);
  if (at == connections_.end() || !running(at->second.node)) return caller_->DeadStatus();
  const int node = at->second.node;
  // The kind of the request says it.
  if (request->kind == Request::Kind::kConvert) request->flags &= ~engine_->convert_flag();
  CallerLock* lock = nullptr;
  CallerLock made;
  if (request->kind == Request::Kind::kLock) {
    made.connection = request->connection;
    made.resource = request->resource;
    lock = &made;
    request->lock = last_lock_ + 1;
  } else if (const auto found = locks_.find(request->lock);
             found != locks_.end() && found->second.connection == request->connection) {
    lock = &found->second;
  }

  const std::string asked = Describe(*request, lock);
  const Verdict verdict = caller_->Judge(request, lock);
  int64_t status = verdict.status;
  if (verdict.way == Verdict::Way::kAsk) status = Ask(*request, node);
  const bool accepted = status == 0 && verdict.way != Verdict::Way::kAnswer;
  Line(node, asked + (accepted ? "" : " refused " + engine_->RefusalText(status)));
  if (request->kind == Request::Kind::kLock && accepted) {
    ++last_lock_;
    lock = &locks_.emplace(request->lock, std::move(made)).first->second;
  }
  if (accepted && lock != nullptr && verdict.way != Verdict::Way::kNothing) {
    caller_->Begin(*request, lock);
  }
  if (verdict.way == Verdict::Way::kAsk) {
    PlanDeliveries();
  } else if (accepted && verdict.way == Verdict::Way::kSend) {
    Send(*request, node);
  }
  return status;
}

// A call that waits for its answer: what was sent before it has arrived by then.
int64_t Simulation::Ask(const Request& request, int node) {
  if (nodes_.at(node).cut_off) {
    const int64_t status = caller_->UnreachableStatus(request);
    if (status != 0) return status;
  }
  Flush(node);
  return engine_->Call(request);
}

void Simulation::Send(const Request& request, int node) {
  if (request.kind != Request::Kind::kUnlock) locks_.at(request.lock).in_flight = true;
  Outgoing message = [this, request] { Arrive(request); };
  if (nodes_.at(node).paused) {
    nodes_.at(node).held_out.push_back(std::move(message));
  } else {
    SendOut(node, std::move(message));
  }
}

void Simulation::Arrive(const Request& request) {
  const auto at = connections_.find(request.connection);
  if (at == connections_.end()) return;
  const auto lock = locks_.find(request.lock);
  if (lock != locks_.end() && request.kind != Request::Kind::kUnlock) {
    lock->second.in_flight = false;
  }
  const int64_t status = engine_->Call(request);
  // Adopting an orphan is done when the call returns, and has no event.
  const bool adopted = status == 0 && options_.profile == Profile::kFsdlm &&
                       request.kind == Request::Kind::kLock &&
                       (request.flags & fsdlm::kLkfOrphan) != 0;
  if (lock != locks_.end() && (status != 0 || adopted)) {
    Event event;
    event.lock = request.lock;
    if (!adopted) event = caller_->Refused(request, status, &lock->second);
    event.connection = request.connection;
    SendIn(at->second.node, [this, event] { Hear(event); });
  }
  PlanDeliveries();
}

// ---- Calls about no lock ----

int Simulation::Purge(ConnectionId id, int node, int pid, uint64_t ticket) {
  const auto at = connections_.find(id);
  if (at == connections_.end() || !running(at->second.node)) return -ENOTCONN;
  const int own = at->second.node;
  const int target = node == 0 ? own : node;
  Line(own, "purges n" + std::to_string(target) + (pid == 0 ? "" : " of " + std::to_string(pid)));
  Event answer;
  answer.kind = Event::Kind::kCall;
  answer.connection = id;
  answer.lock = ticket;
  const std::vector<int> nodes = engine_->Nodes(id);
  if (PurgesOwnLocks(own, engine_->OwnerPid(id), node, pid)) {
    answer.value = -EINVAL;
  } else if (!std::binary_search(nodes.begin(), nodes.end(), target)) {
    answer.value = -ENOBUFS;
  }
  if (answer.value == 0) {
    SendOut(own, [this, id, own, target, pid, answer] {
      (void)engine_->Purge(id, target, pid);
      PlanDeliveries();
      if (target == own) SendIn(own, [this, answer] { Hear(answer); });
    });
    if (target == own) return 0;
  }
  SendIn(own, [this, answer] { Hear(answer); });
  return 0;
}

// ---- Events ----

void Simulation::PlanDeliveries() {
  for (const auto& [id, connection] : connections_) {
    if (running(connection.node) && engine_->Pending(id)) PlanDelivery(id);
  }
}

void Simulation::PlanDelivery(ConnectionId id) {
  Connection& connection = connections_.at(id);
  if (connection.delivery_planned) return;
  connection.delivery_planned = true;
  SendIn(connection.node, [this, id] { Deliver(id); });
}

void Simulation::Deliver(ConnectionId id) {
  const auto at = connections_.find(id);
  if (at == connections_.end()) return;
  at->second.delivery_planned = false;
  Event event;
  if (!engine_->Take(id, &event)) return;
  // One at a time, so that others may come in between.
  PlanDelivery(id);
  Hear(std::move(event));
}

void Simulation::Hear(Event event) {
  const auto at = connections_.find(event.connection);
  if (at == connections_.end()) return;
  const int node = at->second.node;
  if (event.kind == Event::Kind::kNodeDown) {
    Line(node, "hears that n" + std::to_string(event.value) + " died");
    if (on_event_) on_event_(event);
    return;
  }
  if (event.kind == Event::Kind::kCall) {
    Line(node, event.value == 0 ? "purged" : "not purged " + engine_->RefusalText(event.value));
    if (on_event_) on_event_(event);
    return;
  }
  const auto lock = locks_.find(event.lock);
  if (lock == locks_.end()) return;
  std::optional<Request> next;
  const bool is_heard = caller_->Hear(&event, &lock->second, &next);
  if (next) Send(*next, node);
  if (!is_heard) return;
  const std::string number = std::to_string(event.lock);
  if (event.kind == Event::Kind::kBlocking) {
    Line(node, "blocks " + number + " " + ModeName(event.value));
  } else {
    Line(node, "ast " + number + " " + engine_->StatusText(event) +
                   (event.has_block ? " block " + Hex(event.block) : "") +
                   (event.final ? " end" : ""));
  }
  if (event.final) locks_.erase(lock);
  if (on_event_) on_event_(event);
}

// ---- Failures ----

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
  state.outbox.clear();
  (void)engine_->Kill(node);
  ForgetConnections(node);
  PlanDeliveries();
  if (fenced && on_fence_) on_fence_(node);
}

void Simulation::ForgetConnections(int node) {
  std::erase_if(locks_, [this, node](const auto& item) {
    return connections_.at(item.second.connection).node == node;
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
  // What a cut or a pause had kept from leaving is lost.
  if (state.cut_off) state.outbox.clear();
  state.held_out.clear();
  StartSilence(node);
}

void Simulation::Partition(int node) {
  if (!running(node) || nodes_.at(node).cut_off) return;
  Line(node, "is cut off");
  nodes_.at(node).cut_off = true;
  StartSilence(node);
}

void Simulation::Heal(int node) {
  if (!running(node) || !nodes_.at(node).cut_off) return;
  Line(node, "is healed");
  Node& state = nodes_.at(node);
  state.cut_off = false;
  ++state.silence;
  for (auto& [number, message] : std::exchange(state.outbox, {})) {
    SendOut(node, std::move(message));
  }
  for (Scheduler::Task& task : std::exchange(state.held_in, {})) SendIn(node, std::move(task));
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
  for (Scheduler::Task& task : std::exchange(state.held_in, {})) SendIn(node, std::move(task));
  for (Outgoing& message : std::exchange(state.held_out, {})) SendOut(node, std::move(message));
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
    } else if (now.paused) {
      now.held_in.push_back(go_off);
    } else {
      go_off();
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
