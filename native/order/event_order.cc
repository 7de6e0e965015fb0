#include "order/event_order.h"

#include <algorithm>

namespace stackglue::order {

// ---- Members ----

void EventOrder::AddChange(NoticeKind kind, int node) {
  Item item;
  item.notice = {kind, node};
  item.is_change = true;
  item.number = ++last_number_;
  items_.push_back(item);
}

void EventOrder::SeeJoin(int node) {
  if (!has_own_end_) AddChange(NoticeKind::kNodeJoined, node);
}

uint64_t EventOrder::SeeDeparture(int node, Cause cause) {
  if (has_own_end_) return 0;
  AddChange(cause == Cause::kFailed ? NoticeKind::kNodeFailed : NoticeKind::kNodeLeft, node);
  if (cause == Cause::kUnknown) {
    items_.back().is_unknown = true;
    items_.back().due_ms = clock_->NowMs() + kCauseMs;
  }
  return last_number_;
}

void EventOrder::Settle(Item* item, bool has_failed) {
  item->is_unknown = false;
  item->notice.kind = has_failed ? NoticeKind::kNodeFailed : NoticeKind::kNodeLeft;
}

void EventOrder::AwaitCause(uint64_t departure) {
  for (Item& item : items_) {
    if (item.is_unknown && item.number == departure) item.due_ms = clock_->NowMs() + kCauseMs;
  }
}

void EventOrder::SeeCause(uint64_t departure, bool has_failed) {
  for (Item& item : items_) {
    if (item.is_unknown && item.number == departure) Settle(&item, has_failed);
  }
}

void EventOrder::SeeFailure(int node) {
  const auto last = std::find_if(items_.rbegin(), items_.rend(), [node](const Item& item) {
    return item.is_change && item.notice.node == node;
  });
  if (last != items_.rend() && last->is_unknown) Settle(&*last, true);
}

std::set<int> EventOrder::UnknownNodes() const {
  std::set<int> nodes;
  for (const Item& item : items_) {
    if (item.is_unknown) nodes.insert(item.notice.node);
  }
  return nodes;
}

std::set<int> EventOrder::UntoldNodes() const {
  std::set<int> nodes;
  for (const Item& item : items_) {
    if (item.is_change && item.notice.kind != NoticeKind::kNodeJoined) {
      nodes.insert(item.notice.node);
    }
  }
  return nodes;
}

bool EventOrder::HasUntoldChange() const {
  return std::any_of(items_.begin(), items_.end(), [](const Item& item) { return item.is_change; });
}

bool EventOrder::HasUnknownCause() const { return NextDueMs().has_value(); }

std::vector<uint64_t> EventOrder::OverdueCauses() const {
  std::vector<uint64_t> overdue;
  const int64_t now_ms = clock_->NowMs();
  for (const Item& item : items_) {
    if (item.is_unknown && item.due_ms <= now_ms) overdue.push_back(item.number);
  }
  return overdue;
}

std::optional<int64_t> EventOrder::NextDueMs() const {
  // The first one was the first to be seen, and to be asked about.
  for (const Item& item : items_) {
    if (item.is_unknown) return item.due_ms;
  }
  return std::nullopt;
}

// ---- State ----

void EventOrder::SeeControl() {
  ++controls_;
  for (Item& item : items_) item.has_control = true;
}

// A stop or a start is heard of when it has been done, and two that nothing came between are heard
// of once. So what this goes by is the state. Where it runs each time that it is read, two that
// were heard are a stop that is over.
void EventOrder::SeeState(RunState state) {
  if (is_lost()) return;
  const bool is_running = state == RunState::kRunning;
  if (!is_stopped_) {
    const bool was_stopped = !is_running || controls_ >= 2;
    if (was_stopped) InsertStop();
    // An odd one may be the first of the next two.
    controls_ = was_stopped && is_running ? controls_ % 2 : controls_;
    is_stopped_ = was_stopped;
  } else if (is_running) {
    controls_ = 0;
  }
  if (state != RunState::kStopped) {
    for (Item& item : items_) item.is_recovered |= item.has_control;
  }
  if (is_stopped_ && is_running) {
    is_stopped_ = false;
    items_.push_back({.notice = {NoticeKind::kResumed}});
  }
  if (is_stopped_) controls_ = 0;
  fresh_ = items_.size();
}

// Before the changes of members that it was for.
void EventOrder::InsertStop() {
  Item stop;
  stop.notice = {NoticeKind::kStopped};
  items_.insert(items_.begin() + static_cast<ptrdiff_t>(fresh_), stop);
}

void EventOrder::SeeRecovery() {
  for (Item& item : items_) item.is_recovered = true;
}

// ---- The end ----

void EventOrder::SeeOwnEnd() {
  if (has_own_end_) return;
  has_own_end_ = true;
  // What a recovery may have run with is still told; for the rest there will be none.
  std::erase_if(items_, [](const Item& item) {
    return item.is_change && (item.is_unknown || !(item.is_recovered || item.has_control));
  });
  SeeRecovery();
  fresh_ = std::min(fresh_, items_.size());
}

void EventOrder::See(NoticeKind kind) {
  if (is_lost()) return;
  if (kind == NoticeKind::kDaemonGone) {
    // Nobody starts the lockspace any more: what it was started with has been recovered, or will
    // never be.
    for (Item& item : items_) item.is_recovered |= item.has_control && !item.is_unknown;
  }
  items_.push_back({.notice = {kind}});
}

void EventOrder::SeeLoss(NoticeKind kind) {
  if (is_lost()) return;
  SeeOwnEnd();
  loss_ = kind;
}

// ---- What is told ----

bool EventOrder::HoldsResults() const {
  return std::any_of(items_.begin(), items_.end(), [](const Item& item) {
    return item.is_change && (item.is_unknown || (item.has_control && !item.is_recovered));
  });
}

bool EventOrder::ComesFirst() const {
  return is_lost() || HoldsResults() || (has_begun_ && FirstToTell() != items_.size());
}

// Its place, or that of none.
size_t EventOrder::FirstToTell() const {
  const size_t none = items_.size();
  size_t end = 0;  // nothing passes what is unknown
  while (end < none && !items_[end].is_unknown) ++end;
  size_t change = none;
  size_t death = none;
  size_t state = none;
  for (size_t i = end; i-- > 0;) {
    const Item& item = items_[i];
    if (!item.is_change) {
      state = i;
    } else if (item.is_recovered) {
      change = i;
      if (item.notice.kind == NoticeKind::kNodeFailed) death = i;
    }
  }
  if (change == none) return state;
  for (size_t i = state; i < change; ++i) {
    if (items_[i].notice.kind == NoticeKind::kStopped) return state;
  }
  if (death == none) return change;
  // What came of the node before it died.
  for (size_t i = change; i < death; ++i) {
    if (items_[i].is_change && items_[i].notice.node == items_[death].notice.node) return i;
  }
  return death;
}

bool EventOrder::TakeNotice(Notice* notice) {
  if (!has_begun_) return false;
  const size_t at = FirstToTell();
  if (at == items_.size()) return false;
  *notice = items_[at].notice;
  items_.erase(items_.begin() + static_cast<ptrdiff_t>(at));
  if (at < fresh_) --fresh_;
  return true;
}

bool EventOrder::TakeLoss(Notice* notice) {
  if (!is_lost() || is_loss_told_) return false;
  is_loss_told_ = true;
  items_.clear();
  fresh_ = 0;
  *notice = {*loss_};
  return true;
}

}  // namespace stackglue::order
