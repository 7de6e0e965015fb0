#include "machine/machine.h"

#include <linux/dlm.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <utility>

namespace stackglue::fake_device {

// ---- Who opens lockspaces, and gives them up ----

void Machine::Call(int connection, const MachineCall& call) {
  if (call.kind == MachineCall::kQuorum) {
    quorum_listeners_.push_back(connection);
    SayQuorum(connection);
    return;
  }
  if (call.kind == MachineCall::kWhyGone) {
    asking_.push_back({connection, call});
    if (!is_silent_) Say();
    return;
  }
  held_.push_back({connection, call});
  // By chance it takes its time, which is other nodes'.
  if (!holds_ && !random_) AdmitHeld();
}

void Machine::AdmitHeld() {
  for (const auto& [connection, call] : std::exchange(held_, {})) {
    const int32_t error = Serve(connection, call);
    if (error == 0 && call.kind == MachineCall::kCreate && is_udev_off_) {
      unnamed_.emplace_back(connection, call.name);
      continue;
    }
    if (error == 0 && call.kind == MachineCall::kCreate) files_.NameDevice(call.name);
    Answer(connection, error);
  }
}

// Udev has done its part for all that wait, or they have waited long enough.
void Machine::EndUnnamed(bool is_named) {
  for (const auto& [connection, name] : std::exchange(unnamed_, {})) {
    if (is_named) {
      files_.NameDevice(name);
    } else {
      devices_.erase(connection);
    }
    Answer(connection, is_named ? 0 : ENOENT);
  }
}

void Machine::Answer(int connection, int32_t error) {
  send(connection, &error, sizeof error, MSG_NOSIGNAL | MSG_DONTWAIT);
}

int32_t Machine::Serve(int connection, const MachineCall& call) {
  const std::string name = call.name;
  const auto found = spaces_.find(name);
  switch (call.kind) {
    case MachineCall::kWhyGone:
    case MachineCall::kQuorum:
      return EINVAL;  // of other daemons
    case MachineCall::kRemove:
      return Release(files_.FindSpace(call.flags), false);
    case MachineCall::kRelease:
      return Release(name, call.force != 0);
    case MachineCall::kOpen:
      if (found == spaces_.end()) return ENOENT;
      break;
    case MachineCall::kCreate:
      if (found != spaces_.end() && (call.flags & DLM_LSFL_NEWEXCL) != 0) return EEXIST;
      if (found == spaces_.end()) {
        files_.AddSpace(name);
        SetUp(2, true);  // it is a member
        if (random_) spaces_[name].kernel.Randomize(random_->Below(UINT32_MAX));
      }
      ++spaces_[name].creators;
      break;
  }
  devices_[connection] = name;
  return 0;
}

int32_t Machine::Release(const std::string& name, bool force) {
  const auto found = spaces_.find(name);
  if (found == spaces_.end()) return ENOENT;
  Space& space = found->second;
  if (space.creators > 1) {
    --space.creators;
    return 0;
  }
  if (!force && space.kernel.lock_count() > 0) return EBUSY;
  Remove(name);
  return 0;
}

void Machine::Remove(const std::string& name) {
  const auto found = spaces_.find(name);
  if (found == spaces_.end()) return;
  Write(name, "removed");
  files_.RemoveMember(name, kThisNode);
  files_.RemoveSpace(name);
  const auto& faults = found->second.kernel.faults();
  faults_.insert(faults_.end(), faults.begin(), faults.end());
  spaces_.erase(found);
  // What waits for it to run waits no longer.
  ServeHeldWrites();
}

void Machine::End(int connection) {
  std::erase(quorum_listeners_, connection);
  std::erase_if(asking_,
                [connection](const HeldCall& held) { return held.connection == connection; });
  std::erase_if(held_,
                [connection](const HeldCall& held) { return held.connection == connection; });
  std::erase_if(unnamed_,
                [connection](const auto& unnamed) { return unnamed.first == connection; });
  std::erase_if(writes_, [connection](const HeldWrite& held) {
    if (held.connection != connection) return false;
    close(held.reply);
    return true;
  });
  const auto device = devices_.find(connection);
  if (device == devices_.end()) return;
  const auto space = spaces_.find(device->second);
  if (space != spaces_.end()) space->second.kernel.Close(connection);
  devices_.erase(device);
}

// ---- Requests and results ----

void Machine::Write(int connection, std::string bytes, int reply) {
  const HeldWrite write{connection, std::move(bytes), reply};
  const auto device = devices_.find(connection);
  const auto space = device == devices_.end() ? spaces_.end() : spaces_.find(device->second);
  if (space != spaces_.end() && space->second.is_stopped) {
    Write(device->second, "waits");
    writes_.push_back(write);
  } else {
    Perform(write);
  }
}

void Machine::Perform(const HeldWrite& write) {
  const auto device = devices_.find(write.connection);
  const auto space = device == devices_.end() ? spaces_.end() : spaces_.find(device->second);
  int32_t result = -ENOENT;  // of a lockspace that has been taken away
  if (space != spaces_.end()) {
    Kernel& kernel = space->second.kernel;
    result = kernel.Request(write.connection, write.bytes.data(), write.bytes.size());
    // A grant can be read as soon as the call has returned.
    Flush(write.connection);
  } else if (device != devices_.end()) {
    Write(device->second, "refused");
  }
  [[maybe_unused]] const ssize_t size = ::write(write.reply, &result, sizeof result);
  close(write.reply);
}

bool Machine::Flush(int connection) {
  const auto device = devices_.find(connection);
  if (device == devices_.end()) return false;
  const auto space = spaces_.find(device->second);
  if (space == spaces_.end()) return false;
  Results& results = space->second.kernel.ResultsOf(connection);
  while (!results.empty()) {
    const std::string& first = results.front();
    if (send(connection, first.data(), first.size(), MSG_NOSIGNAL | MSG_DONTWAIT) < 0) break;
    results.pop_front();
  }
  return !results.empty();
}

void Machine::FlushAll() {
  for (const auto& [connection, name] : devices_) Flush(connection);
}

// ---- What happens to lockspaces ----

// First: before anybody can see it.
void Machine::Write(const std::string& name, const std::string& fact) {
  if (name == journaled_) journal_.Write(fact);
}

void Machine::Stop(const std::string& name) {
  const auto space = spaces_.find(name);
  if (space == spaces_.end()) return;
  // A recovery may be stopped before it has come to its end.
  if (space->second.is_stopped && !space->second.is_recovering) return;
  Write(name, "stop");
  // From here on no call returns.
  space->second.is_stopped = true;
  space->second.is_recovering = false;
  files_.Stop(name);
}

void Machine::Recover(const std::string& name) {
  const auto space = spaces_.find(name);
  if (space == spaces_.end() || !space->second.is_stopped || space->second.is_recovering) return;
  Write(name, "recover");
  space->second.is_recovering = true;
  files_.Recover(name);
}

void Machine::Start(const std::string& name) {
  const auto space = spaces_.find(name);
  if (space == spaces_.end() || !space->second.is_stopped) return;
  Recover(name);
  Write(name, "start");
  files_.Run(name);
  space->second.is_stopped = false;
  space->second.is_recovering = false;
  ServeHeldWrites();
}

void Machine::ServeHeldWrites() {
  for (HeldWrite& write : std::exchange(writes_, {})) {
    Write(write.connection, std::move(write.bytes), write.reply);
  }
}

// As dlm_controld does it: nobody is served with the old members. What was stopped stays so.
void Machine::Leave(const std::string& name, int node, bool has_failed, bool is_disconnected) {
  if (!files_.IsMember(name, node)) return;
  if (has_failed) SetUp(node, false);
  const auto space = spaces_.find(name);
  const bool was_stopped = space != spaces_.end() && space->second.is_stopped;
  Stop(name);
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  const char* const how = is_disconnected ? "failed " : has_failed ? "vanished " : "left ";
  Write(name, how + std::to_string(node) + " " +
                  std::to_string(now.tv_sec * 1000LL + now.tv_nsec / 1'000'000));
  if (is_disconnected) {
    files_.RemovePeer(node);
  } else if (space != spaces_.end()) {
    space->second.departures[node].push_back(has_failed ? static_cast<int32_t>(now.tv_sec) : 0);
  }
  files_.RemoveMember(name, node);
  if (!was_stopped) Start(name);
}

void Machine::Join(const std::string& name, int node) {
  const auto space = spaces_.find(name);
  if (space == spaces_.end() || files_.IsMember(name, node)) return;
  SetUp(node, true);
  const bool was_stopped = space->second.is_stopped;
  Stop(name);
  Write(name, "joined " + std::to_string(node));
  files_.AddPeer(node);
  files_.AddMember(name, node);
  if (!was_stopped) Start(name);
}

// dlm_controld ends, and clears configfs without a recovery: first all of comms.
void Machine::EndDaemon(const std::string& name) {
  Write(name, "end");
  files_.RemovePeers();
  for (int node = 1; node <= kNodeMax; ++node) {
    if (node == kThisNode || !files_.IsMember(name, node)) continue;
    Write(name, "dropped " + std::to_string(node));
    files_.RemoveMember(name, node);
  }
}

// ---- What dlm_controld and corosync say ----

void Machine::AnswerWhyGone(int connection, const MachineCall& call) {
  const int node = static_cast<int>(call.flags);
  int32_t failed_s = 0;
  const auto space = spaces_.find(call.name);
  if (space != spaces_.end()) {
    // One after the other, as they are asked about; the last once more for others who ask.
    auto& departures = space->second.departures[node];
    int32_t& last_said = space->second.last_said[node];
    if (!departures.empty()) {
      last_said = departures.front();
      departures.pop_front();
    }
    failed_s = last_said;
  }
  Write(call.name, "said " + std::to_string(node));
  Answer(connection, failed_s);
}

// Whether anybody had asked.
bool Machine::Say() {
  if (asking_.empty()) return false;
  const HeldCall held = asking_.front();
  asking_.pop_front();
  AnswerWhyGone(held.connection, held.call);
  return true;
}

void Machine::SetQuorum(bool is_quorate) {
  if (is_quorate == is_quorate_) return;
  is_quorate_ = is_quorate;
  for (const auto& [name, space] : spaces_) Write(name, is_quorate ? "quorum 1" : "quorum 0");
  MoveRing();
}

void Machine::SetUp(int node, bool is_up) {
  if (is_up ? up_.insert(node).second : up_.erase(node) > 0) MoveRing();
}

void Machine::MoveRing() {
  ring_ += 4;
  for (const int connection : quorum_listeners_) SayQuorum(connection);
}

// Without a quorum this node is alone.
void Machine::SayQuorum(int connection) const {
  QuorumSaid said{};
  said.ring = ring_;
  said.is_quorate = is_quorate_ ? 1 : 0;
  for (const int node : up_) {
    if (is_quorate_ || node == kThisNode)
      said.nodes[said.node_count++] = static_cast<uint32_t>(node);
  }
  send(connection, &said, sizeof said, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void Machine::Tick() {
  if (!random_) return;
  std::vector<std::string> names;
  for (const auto& [name, space] : spaces_) names.push_back(name);
  for (const auto& name : names) TickSpace(name);
  if (!holds_ && random_->OneIn(2)) AdmitHeld();
}

void Machine::TickSpace(const std::string& name) {
  Space& space = spaces_.at(name);
  if (space.is_stopped) {
    if (random_->OneIn(4)) Start(name);
    return;
  }
  space.kernel.Tick();
  const int node = static_cast<int>(2 + random_->Below(2));
  switch (random_->Below(120)) {
    case 0:
    case 1:
      Stop(name);
      break;
    case 2:
      Leave(name, node, true, random_->OneIn(2));
      break;
    case 3:
      Leave(name, node, false, false);
      break;
    case 4:
    case 5:
      Join(name, node);
      break;
  }
}

void Machine::Calm() {
  random_.reset();
  holds_ = false;
  is_silent_ = false;
  while (Say()) {
  }
  SetQuorum(true);
  is_udev_off_ = false;
  EndUnnamed(true);
  for (auto& [name, space] : spaces_) {
    space.kernel.Calm();
    Start(name);
  }
  AdmitHeld();
}

}  // namespace stackglue::fake_device
