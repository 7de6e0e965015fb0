// A cluster in virtual time. See simulation.h.
#include "simulator/simulation.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <set>
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
  for (const Group& group : groups_) {
    const bool has_stopped = are_all_stopped_ || group.is_stopped || group.recoveries > 0;
    if (has_stopped) text += Quoted(group.name) + " has stopped\n";
  }
  for (const auto& [number, node] : nodes_) {
    if (!node.has_quorum) text += "n" + std::to_string(number) + " has no quorum\n";
  }
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
    made.master = node;
    lock = &made;
    request->lock = last_lock_ + 1;
  } else if (const auto found = locks_.find(request->lock);
             found != locks_.end() && found->second.connection == request->connection) {
    lock = &found->second;
    request->resource = lock->resource;
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
    const bool is_busy = lock->operation != CallerLock::Operation::kNone || lock->unlocking;
    if (!is_busy) lock->asked = ++last_asked_;
    caller_->Begin(*request, lock);
  }
  if (verdict.way == Verdict::Way::kAsk) {
    SendEvents();
  } else if (accepted && verdict.way == Verdict::Way::kSend) {
    Send(*request, node);
  }
  return status;
}

// A call that waits for its answer: what was sent before it has arrived by then.
int64_t Simulation::Ask(const Request& request, int node) {
  const int group = connections_.at(request.connection).group_number;
  if (!network_.Reaches(node, MasterFor(request, node), group)) {
    const int64_t status = caller_->UnreachableStatus(request);
    if (status != 0) return status;
  }
  network_.Flush(node);
  return engine_->Call(request);
}

bool Simulation::IsAdoption(const Request& request) const {
  return options_.profile == Profile::kFsdlm && request.kind == Request::Kind::kLock &&
         (request.flags & fsdlm::kLkfOrphan) != 0;
}

// Where a request goes: to the resource's master; if there is none, to the node that knows of the
// next one.
int Simulation::MasterFor(const Request& request, int node) const {
  if (IsAdoption(request)) return node;
  const int master = engine_->MasterOf(request.connection, request.resource);
  return master != 0 ? master : DirectoryFor(request, node);
}

// fs/dlm/dir.c:dlm_hash2nodeid(): each name is known to one of the group's nodes. In o2dlm all of
// them must agree (dlmmaster.c:dlm_get_lock_resource()); here, one other than who asks.
int Simulation::DirectoryFor(const Request& request, int node) const {
  const std::string& group = connections_.at(request.connection).group;
  std::set<int> nodes;
  for (const auto& [id, connection] : connections_) {
    if (connection.group == group) nodes.insert(connection.node);
  }
  if (options_.profile == Profile::kO2dlm && nodes.size() > 1) nodes.erase(node);
  uint32_t hash = 2166136261u;  // FNV-1a
  for (const char c : request.resource) hash = (hash ^ static_cast<uint8_t>(c)) * 16777619u;
  return *std::next(nodes.begin(), static_cast<std::ptrdiff_t>(hash % nodes.size()));
}

void Simulation::Send(Request request, int node) {
  if (request.kind != Request::Kind::kUnlock) locks_.at(request.lock).in_flight = true;
  request.sequence = ++last_request_;
  // Behind those that are on their way to the same resource, wherever they are going to.
  Course& course = courses_[{request.connection, request.resource}];
  if (course.under_way == 0 || !nodes_.at(course.master).member) {
    course.master = MasterFor(request, node);
  }
  ++course.under_way;
  course.last = request.sequence;
  const int group = connections_.at(request.connection).group_number;
  SendOut({node, course.master, group, true}, std::move(request));
}

// A request has come to what was its resource's master when it was sent.
void Simulation::Serve(Request request, int master) {
  const auto at = connections_.find(request.connection);
  if (at == connections_.end()) return;
  const auto course = courses_.find({request.connection, request.resource});
  int now = MasterFor(request, at->second.node);
  bool has_master = engine_->MasterOf(request.connection, request.resource) != 0;
  if (course != courses_.end()) {
    // The resource may have gone while one was sent on to its master.
    const auto behind = course->second.moved.lower_bound(request.sequence);
    if (behind != course->second.moved.begin()) {
      now = std::prev(behind)->second;
      has_master = true;
    }
    const auto lock = locks_.find(request.lock);
    const bool is_early =
        request.kind == Request::Kind::kUnlock && lock != locks_.end() && lock->second.in_flight;
    if (is_early && now == master) {
      course->second.early.push_back(std::move(request));
      return;
    }
  }
  if (now != master && has_master && !IsAdoption(request)) {
    if (course != courses_.end()) {
      course->second.moved[request.sequence] = now;
      if (course->second.last == request.sequence) course->second.master = now;
    }
    network_.Send({at->second.node, now, at->second.group_number, true}, std::move(request));
    return;
  }
  EndCourse(request);
  Perform(request);
  SendEvents();
  if (request.kind != Request::Kind::kUnlock) SendEarly(request.lock, at->second.node);
}

// It is not under way any more.
void Simulation::EndCourse(const Request& request) {
  const auto course = courses_.find({request.connection, request.resource});
  if (course == courses_.end()) return;
  course->second.moved.erase(request.sequence);
  if (--course->second.under_way == 0) courses_.erase(course);
}

// What the lock's unlock or cancel waited for has arrived.
void Simulation::SendEarly(uint64_t number, int node) {
  const auto lock = locks_.find(number);
  if (lock == locks_.end()) return;
  const auto course = courses_.find({lock->second.connection, lock->second.resource});
  if (course == courses_.end()) return;
  std::vector<Request> now;
  std::vector<Request> later;
  for (Request& request : course->second.early) {
    (request.lock == number ? now : later).push_back(std::move(request));
  }
  course->second.early = std::move(later);
  for (const Request& request : now) EndCourse(request);
  for (Request& request : now) Send(std::move(request), node);
}

void Simulation::Perform(const Request& request) {
  const auto lock = locks_.find(request.lock);
  if (lock != locks_.end() && request.kind != Request::Kind::kUnlock) {
    lock->second.in_flight = false;
  }
  const int64_t status = engine_->Call(request);
  // Adopting an orphan is done when the call returns, and has no event.
  const bool adopted = status == 0 && IsAdoption(request);
  if (lock == locks_.end() || (status == 0 && !adopted)) return;
  if (status != 0 && !caller_->TellsRefusal(request)) return;
  Event event;
  event.lock = request.lock;
  if (!adopted) event = caller_->Refused(request, status, &lock->second);
  event.connection = request.connection;
  SendEvent(std::move(event));
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
  if (user::PurgesOwnLocks(own, engine_->OwnerPid(id), node, pid)) {
    answer.value = -EINVAL;
  } else if (!std::binary_search(nodes.begin(), nodes.end(), target)) {
    answer.value = -ENOBUFS;
  }
  const bool is_local = answer.value == 0 && target == own;
  if (answer.value == 0) {
    SendOut({own, target, at->second.group_number, true},
            [this, id, target, pid, answer, is_local] {
              (void)engine_->Purge(id, target, pid);
              SendEvents();
              if (is_local) SendEvent(answer);
            });
  }
  if (!is_local) SendEvent(std::move(answer));
  return 0;
}

// ---- Events ----

std::vector<Event> Simulation::TakeEvents() {
  std::vector<Event> events;
  for (const auto& [id, connection] : connections_) {
    Event event;
    while (engine_->Take(id, &event)) events.push_back(std::move(event));
  }
  return events;
}

// After a call into the engine: what it brought goes on its way.
void Simulation::SendEvents() {
  for (Event& event : TakeEvents()) SendEvent(std::move(event));
}

// By the link of whoever tells it: the lock's master as it is now.
void Simulation::SendEvent(Event event) {
  const auto at = connections_.find(event.connection);
  if (at == connections_.end()) return;
  const int node = at->second.node;
  if (event.kind == Event::Kind::kNodeDown) ++at->second.deaths_due;
  int master = node;
  if (event.kind == Event::Kind::kNodeDown || event.kind == Event::Kind::kNotice) {
    master = kTheCluster;
  } else if (event.kind != Event::Kind::kCall) {
    const auto lock = locks_.find(event.lock);
    if (lock == locks_.end()) return;
    const int now = engine_->MasterOf(event.connection, lock->second.resource);
    if (now != 0) lock->second.master = now;
    // Of a resource that went with its last lock, its own node tells when nobody else is there.
    master = nodes_.at(lock->second.master).member ? lock->second.master : node;
  }
  network_.Send({node, master, at->second.group_number, false}, std::move(event));
}

void Simulation::Hear(Event event) {
  const auto at = connections_.find(event.connection);
  if (at == connections_.end()) return;
  const int node = at->second.node;
  if (event.kind == Event::Kind::kNodeDown) {
    --at->second.deaths_due;
    Line(node, "hears that n" + std::to_string(event.value) + " died");
    if (on_event_) on_event_(event);
    return;
  }
  if (event.kind == Event::Kind::kNotice) {
    const auto kind = static_cast<NoticeKind>(event.lock);
    Line(node, "hears that " + NoticeText(kind, static_cast<int>(event.value), at->second.group));
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
  if (next) {
    next->resource = lock->second.resource;
    Send(*next, node);
  }
  if (!is_heard) return;
  LineOf(node, event);
  if (event.final) locks_.erase(lock);
  if (on_event_) on_event_(event);
}

void Simulation::LineOf(int node, const Event& event) {
  const std::string number = std::to_string(event.lock);
  if (event.kind == Event::Kind::kBlocking) {
    Line(node, "blocks " + number + " " + ModeName(event.value));
  } else {
    Line(node, "ast " + number + " " + engine_->StatusText(event) +
                   (event.has_block ? " block " + Hex(event.block) : "") +
                   (event.final ? " end" : ""));
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
