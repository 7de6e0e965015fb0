// What a lockspace hears of its cluster, from the keeper and from the watch, and what it makes of
// it: names, quorum, rings, and why nodes have gone. See lockspace.h.
#include <algorithm>
#include <new>
#include <set>

#include "kernel/lockspace.h"

namespace stackglue::kernel {

void Lockspace::HandleKeeper() {
  KeeperReport report;
  int device_fd = -1;
  while (!keeper_.has_ended()) {
    switch (keeper_.Receive(&report, &device_fd)) {
      case KeeperClient::Received::kNothing:
        return;
      case KeeperClient::Received::kEnd:
        HandleKeeperEnd();
        return;
      case KeeperClient::Received::kReport:
        break;
    }
    switch (report.kind) {
      case KeeperReportKind::kOpened:
        try {
          AttachDevice(device_fd, report.versions);
        } catch (const std::bad_alloc&) {
          Fail(OpenFailure::kFailed, ENOMEM, {});
        }
        break;
      case KeeperReportKind::kFailed:
        if (state_ == State::kOpening) {
          Fail(static_cast<OpenFailure>(report.code), report.error, report.text);
        }
        break;
      case KeeperReportKind::kClosed:
        if (state_ == State::kClosing) state_ = State::kClosed;
        break;
      case KeeperReportKind::kName:
        names_[report.code] = report.text;
        break;
      case KeeperReportKind::kQuorum:
        HandleQuorum(report);
        break;
      case KeeperReportKind::kDaemonGone:
        Look();  // what it has done before
        order_->See(NoticeKind::kDaemonGone);
        break;
      case KeeperReportKind::kGone:
        HandleCause(report.code, report.error != 0);
        break;
    }
  }
}

void Lockspace::HandleQuorum(const KeeperReport& report) {
  if (report.ring == 0) {
    rings_.Forget();
  } else {
    const size_t count = std::min<size_t>(report.node_count, kRingNodesMax);
    try {
      std::set<int> members = order_->UntoldNodes();
      for (const auto& [node, since_s] : this->members()) members.insert(node);
      rings_.Hear(report.ring, {report.nodes, report.nodes + count}, members);
    } catch (const std::bad_alloc&) {
      rings_.Forget();
    }
  }
  if (report.error != 0) rings_.HandleAnswer();
  // It takes messages again.
  if (rings_.owes() && state_ == State::kOpen) AskRingAgain();
  // What is so from the start, and should be, is no news.
  if (report.ring == 0 || quorate_ == (report.code != 0)) return;
  quorate_ = report.code != 0;
  order_->See(quorate_ ? NoticeKind::kQuorumRegained : NoticeKind::kQuorumLost);
}

void Lockspace::HandleCause(int node, bool has_failed) {
  const auto asked = asked_.find(node);
  if (asked == asked_.end()) return;
  const uint64_t departure = asked->second.front();
  asked->second.pop_front();
  if (asked->second.empty()) asked_.erase(asked);
  if (!IsWatching()) return;
  order_->SeeCause(departure, has_failed);
  watch_.LookAtState();
  HandleSeen();
}

bool Lockspace::IsWatching() const {
  return !is_lost_ && (state_ == State::kOpen || state_ == State::kClosing);
}

void Lockspace::Look() {
  if (!IsWatching()) return;
  watch_.Look();
  HandleSeen();
}

// Does what follows from what the watch has seen.
void Lockspace::HandleSeen() {
  bool has_joined = false;
  for (const auto& [node, is_there] : watch_.membership().TakeChanges()) {
    has_joined |= is_there;
    if (state_ != State::kOpen) continue;
    AskRing(node, is_there);
  }
  // Behind that, so that the ring is known when the cause is.
  for (const auto& departure : watch_.membership().TakeUnknown()) to_ask_.push_back(departure);
  AskWhyGone();
  if (has_joined) keeper_.Send(KeeperRequestKind::kNames);
  if (order_->is_lost()) {
    if (!is_lost_) Lose();
  } else if (is_stopped() != is_paused_) {
    SetPaused(is_stopped());
  }
}

// Some twenty changes at once fill a keeper's socket before it has come to run. What finds no room
// is asked with the next answer or the next look, which come soon while a cause is unknown: a
// departure that nobody asks about would be told as a leave, though it be a death.
void Lockspace::AskWhyGone() {
  auto next = to_ask_.begin();
  for (; next != to_ask_.end(); ++next) {
    // Who leaves loses all members so, and does not care.
    const auto asked = state_ == State::kOpen ? keeper_.AskWhyGone(next->node, next->since_s)
                                              : KeeperClient::Asked::kNobody;
    if (asked == KeeperClient::Asked::kLater) break;
    if (asked == KeeperClient::Asked::kYes) {
      asked_[next->node].push_back(next->number);
      order_->AwaitCause(next->number);
    } else {
      order_->SeeCause(next->number, false);
    }
  }
  if (next == to_ask_.begin()) return;
  to_ask_.erase(to_ask_.begin(), next);
  // The keeper listens: what is still to be asked is not late by its fault.
  for (const auto& departure : to_ask_) order_->AwaitCause(departure.number);
}

// A keeper that does not take a message is asked again when it has told something.
void Lockspace::AskRing(int node, bool has_joined) {
  bool is_noted = false;
  try {
    rings_.Ask(node, has_joined);
    is_noted = true;
  } catch (const std::bad_alloc&) {
    // It is asked again.
  }
  if (!is_noted || !keeper_.AskRing()) rings_.MissToAsk(is_noted);
}

void Lockspace::AskRingAgain() {
  try {
    rings_.AskAgain();
  } catch (const std::bad_alloc&) {
    return;
  }
  if (!keeper_.AskRing()) rings_.MissToAsk(true);
}

// ---- As the program knows it ----

const std::map<int, int64_t>& Lockspace::members() const {
  static const std::map<int, int64_t> none;
  return is_lost_ ? none : watch_.membership().members();
}

Lockspace::Ring Lockspace::ring() const { return {is_lost_ ? 0 : rings_.shown(), told_quorate_}; }

void Lockspace::HandleTold(const Notice& notice) {
  switch (notice.kind) {
    case NoticeKind::kNodeFailed:
    case NoticeKind::kNodeLeft:
      rings_.Tell(notice.node);
      break;
    case NoticeKind::kQuorumLost:
    case NoticeKind::kQuorumRegained:
      told_quorate_ = notice.kind == NoticeKind::kQuorumRegained;
      break;
    default:
      break;
  }
}

const std::string& Lockspace::NameOf(int node) const {
  static const std::string none;
  const auto found = names_.find(node);
  return found == names_.end() ? none : found->second;
}

}  // namespace stackglue::kernel
