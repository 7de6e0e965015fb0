// The way back: what the engine says after a call travels from the resource's master to the node
// that it is for, and is heard there. See simulation.h.
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "simulator/simulation.h"
#include "simulator/words.h"

namespace stackglue::simulator {

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

}  // namespace stackglue::simulator
