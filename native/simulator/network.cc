// The ways between nodes and masters. See network.h.
#include "simulator/network.h"

#include <algorithm>
#include <utility>

namespace stackglue::simulator {
namespace {

template <class Sent>
void SortByNumber(std::vector<Sent>* sent) {
  std::sort(sent->begin(), sent->end(),
            [](const Sent& a, const Sent& b) { return a.number < b.number; });
}

template <class Sent>
std::vector<Event> EventsOf(std::vector<Sent> sent) {
  SortByNumber(&sent);
  std::vector<Event> events;
  for (Sent& one : sent) events.push_back(std::move(std::get<Event>(one.message)));
  return events;
}

}  // namespace

bool Network::IsDown(int node) const {
  const auto at = ends_.find(node);
  return at != ends_.end() && at->second.is_down;
}

bool Network::is_cut(int node) const {
  const auto at = ends_.find(node);
  return at != ends_.end() && at->second.is_cut;
}

bool Network::IsStopped(const Link& link) const {
  if (!has_stops_ || link.master <= 0) return false;
  return has_stopped_(link.node, link.group) || has_stopped_(link.master, link.group);
}

bool Network::IsCut(const Link& link) const {
  if (link.master == kOwnEyes) return false;
  if (link.node != link.master) {
    if (is_cut(link.node) || is_cut(link.master)) return true;
    if (blocked_.empty()) return false;
    return link.to_master ? is_blocked(link.node, link.master) : is_blocked(link.master, link.node);
  }
  if (!is_cut(link.node)) return false;
  const auto notices = ways_.find({link.node, kTheCluster, link.group, false});
  return notices != ways_.end() && !notices->second.queue.empty();
}

bool Network::IsHeldNow(const Link& link, const Way& way) const {
  if (IsCut(link)) return true;
  return IsStopped(link) && (way.queue.empty() || way.queue.front().number > way.free);
}

bool Network::Reaches(int node, int master, int group) const {
  return !IsDown(master) && !IsHeld({node, master, group, true}) &&
         !IsHeld({node, master, group, false});
}

void Network::UnblockAll(int node) {
  std::erase_if(blocked_,
                [node](const auto& pair) { return pair.first == node || pair.second == node; });
}

void Network::BeforeStop() {
  for (auto& [link, way] : ways_) {
    if (link.node == link.master && !link.to_master && !IsStopped(link)) way.free = last_number_;
  }
}

std::vector<Link> Network::Held() const {
  std::vector<Link> held;
  for (const auto& [link, way] : ways_) {
    if (!way.queue.empty() && IsHeldNow(link, way)) held.push_back(link);
  }
  return held;
}

void Network::Release(const std::vector<Link>& held) {
  for (const Link& link : held) {
    const auto at = ways_.find(link);
    if (at == ways_.end() || IsHeldNow(link, at->second)) continue;
    for (Sent& sent : std::exchange(at->second.queue, {})) {
      Plan(link, &at->second, std::move(sent.message));
    }
  }
}

// ---- On the way ----

void Network::Send(const Link& link, Message message) {
  if (IsDown(SenderOf(link))) {
    if (!link.to_master) unsaid_[link.master].push_back({++last_number_, std::move(message)});
    return;
  }
  Plan(link, &ways_[link], std::move(message));
}

void Network::Plan(const Link& link, Way* way, Message message) {
  const uint64_t number = ++last_number_;
  way->queue.push_back({number, std::move(message)});
  uint64_t& notice_us = ends_[link.node].notice_us;
  if (!link.to_master) way->last_us = std::max(way->last_us, notice_us);
  scheduler_->Send(&way->last_us, [this, link, number] { Arrive(link, number); });
  if (link.master <= 0) notice_us = way->last_us;
}

void Network::Arrive(const Link& link, uint64_t number) {
  const auto at = ways_.find(link);
  if (at == ways_.end()) return;
  std::deque<Sent>& queue = at->second.queue;
  // It may have been lost, or arrived before its time, or been sent again.
  if (queue.empty() || queue.front().number != number || IsHeldNow(link, at->second)) return;
  if (link.to_master && IsDown(link.master)) return;
  Message arrived = std::move(queue.front().message);
  queue.pop_front();
  if (link.to_master || !IsDown(link.node)) arrived_(link, std::move(arrived));
}

void Network::Flush(int node) {
  for (;;) {
    Way* first = nullptr;
    Link by;
    for (auto& [link, way] : ways_) {
      if (!link.to_master || link.node != node || way.queue.empty()) continue;
      if (IsDown(link.master) || IsHeld(link)) continue;
      if (first == nullptr || way.queue.front().number < first->queue.front().number) {
        first = &way;
        by = link;
      }
    }
    if (first == nullptr) return;
    Message arrived = std::move(first->queue.front().message);
    first->queue.pop_front();
    arrived_(by, std::move(arrived));
  }
}

void Network::Heal(int node) {
  ends_[node].is_cut = false;
  // A node's notices come first.
  for (auto& [link, way] : ways_) {
    if (link.node != node && link.master != node) continue;
    if (IsHeldNow(link, way)) continue;  // the other end is cut off, too
    for (Sent& sent : std::exchange(way.queue, {})) Plan(link, &way, std::move(sent.message));
  }
}

// ---- Nodes that are down ----

void Network::LoseFrom(Way* way, size_t kept, int sender) {
  for (size_t i = kept; i < way->queue.size(); ++i) {
    Sent& sent = way->queue[i];
    if (std::holds_alternative<Event>(sent.message)) unsaid_[sender].push_back(std::move(sent));
  }
  way->queue.resize(kept);
}

void Network::Stop(int node) {
  ends_[node].is_down = true;
  for (auto& [link, way] : ways_) {
    if (SenderOf(link) != node || way.queue.empty()) continue;
    const bool leaves = link.node != link.master && !IsHeld(link);
    LoseFrom(&way, leaves ? history_->Choose(way.queue.size() + 1) : 0, node);
  }
}

Network::Remains Network::Remove(int node) {
  ends_[node].is_down = true;
  std::vector<Sent> unheard;
  for (auto& [link, way] : ways_) {
    if (link.master == node && link.to_master && link.node != node) {
      for (Sent& sent : way.queue) unheard.push_back(std::move(sent));
    } else if (link.master == node && !link.to_master && link.node != node) {
      LoseFrom(&way, 0, node);
    }
  }
  std::erase_if(ways_, [node](const auto& item) {
    return item.first.node == node || item.first.master == node;
  });
  Remains remains;
  SortByNumber(&unheard);
  for (Sent& sent : unheard) remains.unheard.push_back(std::move(sent.message));
  remains.unsaid = TakeUnsaid(node);
  return remains;
}

std::vector<Event> Network::TakeUnsaid(int node) {
  std::vector<Event> events = EventsOf(std::move(unsaid_[node]));
  unsaid_.erase(node);
  return events;
}

std::vector<Event> Network::TakeEvents(int master,
                                       const std::function<bool(const Event&)>& wanted) {
  std::vector<Sent> taken;
  for (auto& [link, way] : ways_) {
    if (link.master != master || link.to_master) continue;
    std::deque<Sent> left;
    for (Sent& sent : way.queue) {
      const auto* event = std::get_if<Event>(&sent.message);
      if (event != nullptr && wanted(*event)) {
        taken.push_back(std::move(sent));
      } else {
        left.push_back(std::move(sent));
      }
    }
    way.queue = std::move(left);
  }
  return EventsOf(std::move(taken));
}

}  // namespace stackglue::simulator
