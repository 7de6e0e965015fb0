// The way of a request: from its node to the resource's master, on to the next one where that has
// changed, and into the engine. See simulation.h, and README.md, "Masters".
#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <iterator>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "simulator/simulation.h"

namespace stackglue::simulator {

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
    request->about = lock->asked;
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
    const bool is_unlock = request.kind == Request::Kind::kUnlock && lock != locks_.end();
    const bool is_late = is_unlock && lock->second.asked != request.about;
    if (is_late && !caller_->TellsRefusal(request)) {
      // What it was to cancel has ended, and the next must not end by it.
      EndCourse(request);
      return;
    }
    if (is_unlock && !is_late && lock->second.in_flight && now == master) {
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

}  // namespace stackglue::simulator
