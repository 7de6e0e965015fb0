// What a simulation tells people: the lines of its history, and who waits for what. See
// simulation.h.
#include <cstdio>
#include <string>

#include "simulator/simulation.h"
#include "simulator/words.h"

namespace stackglue::simulator {

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

}  // namespace stackglue::simulator
