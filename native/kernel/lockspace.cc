#include "kernel/lockspace.h"

#include <linux/dlm.h>
#include <linux/dlmconstants.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <set>

namespace stackglue::kernel {
namespace {

// So many requests of a batch are handed over before its end: early enough that a submitter on
// another processor has work, rarely enough that one on the same processor does not get in the way.
constexpr uint32_t kKickEvery = 16;

// So many rounds are not looked at after one that was looked at in vain.
constexpr int kUnluckyRounds = 32;

// Where a lost cancel keeps the kernel busy: one round trip to a master.
constexpr int kBusyMs = 1;

}  // namespace

Lockspace::Lockspace(const Options& options, order::EventOrder* order)
    : order_(order), submission_(options.submission), name_(options.name) {
  KeeperRequest request;
  std::memset(&request, 0, sizeof request);
  request.kind = KeeperRequestKind::kOpen;
  request.create = options.create ? 1 : 0;
  request.lockspace_flags = options.flags;
  request.device_mode = options.mode;
  const bool keeper_submits = submission_ == Submission::kKeeper;
  request.submits = keeper_submits ? 1 : 0;
  if (options.name.size() >= sizeof request.name ||
      options.library.size() >= sizeof request.library) {
    Fail(OpenFailure::kFailed, ENAMETOOLONG, {});
    return;
  }
  std::memcpy(request.name, options.name.data(), options.name.size());
  std::memcpy(request.library, options.library.data(), options.library.size());

  port_ = SubmitPort::Create(keeper_submits);
  if (port_ == nullptr) {
    Fail(OpenFailure::kFailed, errno, {});
    return;
  }
  const int error = keeper_.Start(request, keeper_submits ? port_->signal_fd() : -1,
                                  keeper_submits ? port_->area_fd() : -1);
  if (error != 0) Fail(OpenFailure::kNoKeeper, error, KeeperClient::Path());
}

Lockspace::~Lockspace() { Abandon(); }

void Lockspace::Fail(OpenFailure failure, int error, const std::string& detail) {
  state_ = State::kFailed;
  open_result_ = {failure, error, detail};
}

// ---- The keeper and the submitter ----

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

void Lockspace::AttachDevice(int device_fd, const KeeperVersions& versions) {
  versions_ = versions;
  if (state_ != State::kOpening) {
    if (device_fd >= 0) close(device_fd);
    return;
  }
  if (device_fd < 0) {  // there was no number left for it
    Fail(OpenFailure::kFailed, EMFILE, {});
    return;
  }
  port_->set_device_fd(device_fd);
  if (const int error = watch_.Open(name_)) {
    // It may have been taken away since the keeper has opened it.
    const bool has_gone = error == ENOENT && watch_.watches_cluster();
    Fail(has_gone ? OpenFailure::kUnknownLockspace : OpenFailure::kNoMembership, error, {});
  } else if (watch_.membership().this_node() == 0) {
    Fail(OpenFailure::kNoDaemon, 0, {});
  } else if (submission_ == Submission::kThread) {
    if (const int failure = SubmitPort::StartThread(port_)) Fail(OpenFailure::kFailed, failure, {});
  } else if (submission_ == Submission::kLoop) {
    submitter_ = std::make_unique<Submitter>(port_->area(), device_fd, port_->signal_fd());
  }
  if (state_ == State::kFailed) return;
  state_ = State::kOpen;
  SetPaused(is_stopped());
}

void Lockspace::HandleKeeperEnd() {
  keeper_gone_ = true;
  rings_.Forget();
  if (port_ != nullptr) port_->set_close_waits();
  switch (state_) {
    case State::kOpening:
      Fail(OpenFailure::kNoKeeper, 0, "it has died");
      break;
    case State::kClosing:
      Look();
      keeper_was_last_ = submission_ended_;
      if (submission_ == Submission::kKeeper) EndSubmission();
      EndWithoutKeeper();
      break;
    case State::kOpen:
      if (is_lost_) break;
      Look();
      if (is_lost_) break;
      for (const auto& [node, departures] : std::exchange(asked_, {})) {
        for (const uint64_t departure : departures) order_->SeeCause(departure, false);
      }
      if (submission_ == Submission::kKeeper) {  // nobody makes the calls any more
        order_->SeeLoss(NoticeKind::kKeeperGone);
        HandleSeen();
      } else {
        order_->See(NoticeKind::kKeeperGone);
      }
      break;
    case State::kFailed:
    case State::kClosed:
      break;
  }
}

void Lockspace::HandleSignal() {
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t size = read(port_->signal_fd(), &count, sizeof count);
  SubmitArea* area = port_->area();
  // Nobody is told any more, but a full ring would keep the submitter from what is still to be
  // made.
  if (state_ == State::kClosing) {
    area->answers_taken.store(area->answers_put.load(std::memory_order_acquire),
                              std::memory_order_release);
  }
  FillSlots();
  if (submission_ended_) {
    if (keeper_gone_) EndWithoutKeeper();
  } else if (submitter_is_over_ || area->ended.load(std::memory_order_acquire) != 0) {
    EndSubmission();
  } else {
    Kick();  // it may have emptied the area and gone to sleep before there was more
  }
}

int Lockspace::HandleTimeInMs() const {
  if (state_ != State::kOpen && state_ != State::kClosing) return -1;
  if (submitter_is_busy_) return kBusyMs;
  if (is_lost_ || submission_ended_) return -1;
  return watch_.is_tense() ? LockspaceWatch::kTenseMs : LockspaceWatch::kCalmMs;
}

void Lockspace::HandleTime() {
  if (submitter_is_busy_) Kick();
  if (!IsWatching()) return;
  // This process may have stood still, with the answers in its socket.
  if (!order_->OverdueCauses().empty()) HandleKeeper();
  if (!IsWatching()) return;
  watch_.LookAtState();
  HandleSeen();
  if (!Serves() || is_stopped() || watch_.is_tense()) return;
  book_.LookAfterProbes();
}

bool Lockspace::IsWatching() const {
  return !is_lost_ && (state_ == State::kOpen || state_ == State::kClosing);
}

void Lockspace::Look() {
  if (!IsWatching()) return;
  watch_.Look();
  HandleSeen();
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

// Does what follows from what the watch has seen.
void Lockspace::HandleSeen() {
  bool has_joined = false;
  for (const auto& [node, is_there] : watch_.membership().TakeChanges()) {
    has_joined |= is_there;
    if (state_ != State::kOpen) continue;
    AskRing(node, is_there);
  }
  // Behind that, so that the ring is known when the cause is.
  for (const auto& [departure, node, since_s] : watch_.membership().TakeUnknown()) {
    // Who leaves loses all members so, and does not care.
    if (state_ == State::kOpen && keeper_.AskWhyGone(node, since_s)) {
      asked_[node].push_back(departure);
    } else {
      order_->SeeCause(departure, false);
    }
  }
  if (has_joined) keeper_.Send(KeeperRequestKind::kNames);
  if (order_->is_lost()) {
    if (!is_lost_) Lose();
  } else if (is_stopped() != is_paused_) {
    SetPaused(is_stopped());
  }
}

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

// A keeper that does not take a message has stood still for long.
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

void Lockspace::SetPaused(bool paused) {
  is_paused_ = paused;
  port_->area()->paused.store(paused ? 1 : 0, std::memory_order_release);
  if (paused) return;
  book_.RestartProbes();
  Kick();
}

// A lockspace that this node has left must not be asked for locks: the kernel would grant them
// without asking anybody. And it cannot go before its device is closed.
void Lockspace::Lose() {
  is_lost_ = true;
  submitter_is_busy_ = false;
  if (submission_ended_) return;
  port_->area()->abandoned.store(1, std::memory_order_release);
  Submitter::Wake(port_->area());
  if (submission_ == Submission::kThread) return;
  // By a signal, because whoever called this may still have the device polled.
  submitter_is_over_ = true;
  Signal();
}

// The submitter will not touch the device again, and neither do we.
void Lockspace::EndSubmission() {
  if (submission_ended_) return;
  submission_ended_ = true;
  submitter_is_busy_ = false;
  SubmitPort::LeaveDevice(port_);
  keeper_.Send(KeeperRequestKind::kClose);
  if (keeper_gone_) EndWithoutKeeper();
}

// Nobody will tell of the end. The locks have been dropped when the last descriptor of the device
// is closed. That may be ours; or it was the keeper's, which went with it, unless that had to wait.
void Lockspace::EndWithoutKeeper() {
  if (state_ != State::kClosing || !submission_ended_) return;
  if (!is_lost_ && !port_->is_device_closed()) return;  // a thread is at it, and signals
  drops_later_ = !is_lost_ && keeper_was_last_ && is_stopped();
  state_ = State::kClosed;
}

void Lockspace::Close() {
  if (state_ == State::kOpening) {
    Abandon();
  } else if (state_ == State::kOpen) {
    // A keeper that has given up a lost lockspace has ended by itself.
    state_ = submission_ended_ && keeper_gone_ ? State::kClosed : State::kClosing;
    FillSlots();
    Kick();
  }
}

void Lockspace::Abandon() {
  if (state_ != State::kFailed) state_ = State::kClosed;
  if (port_ == nullptr || submission_ended_) return;
  submission_ended_ = true;
  port_->area()->abandoned.store(1, std::memory_order_release);
  Submitter::Wake(port_->area());
  SubmitPort::LeaveDevice(port_);
}

const std::string& Lockspace::NameOf(int node) const {
  static const std::string none;
  const auto found = names_.find(node);
  return found == names_.end() ? none : found->second;
}

// ---- Handing requests over ----

bool Lockspace::HasRoom() const {
  const SubmitArea& area = *port_->area();
  return area.requests_put.load(std::memory_order_relaxed) -
             area.requests_taken.load(std::memory_order_acquire) <
         SubmitArea::kSlots;
}

// A place for a request, to be filled in and then committed.
SubmitRequest* Lockspace::Reserve(Operation operation, Cookie cookie) {
  SubmitRequest* request;
  if (waiting_.empty() && HasRoom()) {
    SubmitArea* area = port_->area();
    request =
        &area->requests[area->requests_put.load(std::memory_order_relaxed) % SubmitArea::kSlots];
  } else {
    request = &waiting_.emplace_back();
  }
  request->cookie = cookie;
  request->lock_id = 0;
  request->operation = operation;
  request->after_lost_cancel = false;
  return request;
}

void Lockspace::Commit() {
  SubmitArea* area = port_->area();
  if (waiting_.empty()) {
    area->requests_put.store(area->requests_put.load(std::memory_order_relaxed) + 1,
                             std::memory_order_release);
  } else {
    FillSlots();
  }
  if (!in_batch_ || submission_ == Submission::kLoop || ++unkicked_ >= kKickEvery) Kick();
}

void Lockspace::FillSlots() {
  SubmitArea* area = port_->area();
  while (!waiting_.empty()) {
    if (!HasRoom()) {
      area->wants_slots.store(1, std::memory_order_relaxed);
      std::atomic_thread_fence(std::memory_order_seq_cst);
      if (!HasRoom()) break;
    }
    const uint32_t put = area->requests_put.load(std::memory_order_relaxed);
    area->requests[put % SubmitArea::kSlots] = waiting_.front();
    waiting_.pop_front();
    area->requests_put.store(put + 1, std::memory_order_release);
  }
  if (state_ == State::kClosing && waiting_.empty()) {
    area->closing.store(1, std::memory_order_release);
  }
}

void Lockspace::Kick() {
  unkicked_ = 0;
  if (submission_ended_) return;
  if (submission_ != Submission::kLoop) {
    Submitter::Wake(port_->area());
    return;
  }
  do {
    FillSlots();
    submitter_is_busy_ = submitter_->ServeOnce();
  } while (!submitter_is_busy_ && !waiting_.empty() && HasRoom());
  // What is left waits for the lockspace to run, or for the loop to take answers.
  if (state_ == State::kClosing && !submitter_is_busy_ && waiting_.empty() &&
      port_->area()->requests_put.load() == port_->area()->requests_taken.load()) {
    EndSubmission();
  }
}

void Lockspace::EndTelling() {
  in_batch_ = false;
  if (unkicked_ > 0) Kick();
}

// ---- Requests ----

void Lockspace::Put(const user::Order& order) {
  SubmitRequest* queued = Reserve(order.operation, order.cookie);
  queued->lock_id = order.lock_id;
  queued->after_lost_cancel = order.after_lost_cancel;
  Request* request = &queued->request;
  switch (order.operation) {
    case Operation::kLock:
    case Operation::kAdopt:
      request->EncodeLock(order.cookie, order.mode, order.flags, order.xid, order.name);
      break;
    case Operation::kConvert:
      request->EncodeConvert(order.cookie, order.mode, order.flags, order.xid, order.lvb);
      break;
    case Operation::kCancel:
      if (order.breaks_deadlock) {
        request->EncodeDeadlockCancel(order.cookie);
        break;
      }
      [[fallthrough]];
    default:
      request->EncodeUnlock(order.cookie, order.flags, order.lvb);
  }
  Commit();
}

int Lockspace::Purge(int32_t node, int32_t pid, uint32_t ticket) {
  if (!Serves()) return -ENOTCONN;
  SubmitRequest* request = Reserve(Operation::kPurge, {ticket, 0});
  request->request.EncodePurge(node, pid);
  request->purges_this_node = node == 0 || node == this_node();
  request->purged_pid = pid;
  Commit();
  return 0;
}

// ---- Results ----

size_t Lockspace::Collect(EventRecord* events) {
  if (!IsWatching()) return 0;
  size_t count = 0;
  if (state_ == State::kOpen) {
    book_.BeginBatch();
    count = TakeAnswers(events);
    while (count < kBatchMax && ReadResult(events, &count)) {
    }
    if (was_awaited_ && count == 0) luck_ = -kUnluckyRounds;
    was_awaited_ = false;
  }
  // After the results, never before: see lockspace_watch.h.
  Look();
  return count;
}

size_t Lockspace::CollectLost(EventRecord* events) {
  if (!is_lost_) return 0;
  book_.BeginBatch();
  return book_.EndLost(events, kBatchMax);
}

bool Lockspace::IsWorthMore() {
  if (!Serves() || book_.results_due() == 0) return false;
  // Whose results come from other nodes is not found here; look again only once in a while.
  if (luck_ < 0) {
    ++luck_;
    return false;
  }
  if (submission_ != Submission::kLoop) {
    if (!Submitter::CanSpin()) return false;
    // A local lock's result is there as soon as its call has returned.
    const SubmitArea& area = *port_->area();
    const uint32_t put = area.requests_put.load(std::memory_order_relaxed);
    if (!Submitter::SpinUntil(
            [&area, put] { return area.requests_taken.load(std::memory_order_acquire) == put; })) {
      luck_ = -kUnluckyRounds;
      return false;
    }
  }
  was_awaited_ = true;
  return true;
}

size_t Lockspace::TakeAnswers(EventRecord* events) {
  SubmitArea* area = port_->area();
  size_t count = 0;
  uint32_t taken = area->answers_taken.load(std::memory_order_relaxed);
  const uint32_t put = area->answers_put.load(std::memory_order_acquire);
  // More than there is room for: what the keeper wrote there is no count.
  if (put - taken > SubmitArea::kSlots) return 0;
  if (taken == put) return 0;
  for (; taken != put && count < kBatchMax; ++taken) {
    if (HandleAnswer(area->answers[taken % SubmitArea::kSlots], &events[count])) ++count;
  }
  area->answers_taken.store(taken, std::memory_order_release);
  Kick();  // the submitter may have waited for a slot
  if (taken != put) Signal();
  return count;
}

bool Lockspace::HandleAnswer(const user::Answer& answer, EventRecord* event) {
  if (answer.operation != Operation::kPurge) return book_.HandleAnswer(answer, event);
  *event = {};
  event->kind = EventKind::kCall;
  event->index = static_cast<int32_t>(answer.cookie.index);
  event->value = answer.status;
  return true;
}

// Reads one result and appends its event, if it makes one. False: no more in this batch.
bool Lockspace::ReadResult(EventRecord* events, size_t* count) {
  if (held_size_ == 0) {
    // Not in vain: the poll tells of what nobody has asked for.
    if (*count > 0 && book_.results_due() == 0 && !was_blocking_) return false;
    const ssize_t size = read(port_->device_fd(), held_bytes_, sizeof held_bytes_);
    if (size <= 0) return false;
    held_size_ = static_cast<size_t>(size);
  }
  Result result;
  if (DecodeResult(held_bytes_, held_size_, &result)) {
    was_blocking_ = result.blocking;
    switch (book_.TurnOf(result)) {
      case user::LockBook::Turn::kNow:
        break;
      case user::LockBook::Turn::kNextBatch:
        Signal();
        return false;
      case user::LockBook::Turn::kAfterAnswer:
        return false;  // the answer signals
    }
    if (book_.HandleResult(result, &events[*count])) ++*count;
  }
  held_size_ = 0;
  return true;
}

}  // namespace stackglue::kernel
