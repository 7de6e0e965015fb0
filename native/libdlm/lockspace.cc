#include "libdlm/lockspace.h"

#include <linux/dlm.h>
#include <linux/dlmconstants.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace stackglue::libdlm {
namespace {

// The kernel's own numbers (fs/dlm: DLM_ECANCEL, DLM_EUNLOCK in <linux/dlmconstants.h>).
constexpr int kStatusCanceled = -DLM_ECANCEL;
constexpr int kStatusUnlocked = -DLM_EUNLOCK;

// fs/dlm/lock.c:set_unlock_args refuses any other.
constexpr uint32_t kUnlockFlags =
    DLM_LKF_CANCEL | DLM_LKF_VALBLK | DLM_LKF_IVVALBLK | DLM_LKF_FORCEUNLOCK;

// So many requests of a batch are handed over before its end: early enough that a submitter on
// another processor has work, rarely enough that one on the same processor does not get in the way.
constexpr uint32_t kKickEvery = 16;

// So many rounds are not looked at after one that was looked at in vain.
constexpr int kUnluckyRounds = 32;

// Where a lost cancel keeps the kernel busy: one round trip to a master.
constexpr int kBusyMs = 1;

// The rules of fs/dlm/lock.c:set_lock_args, applied before the request is on its way so that the
// caller hears of a mistake at once. LKF_TIMEOUT is refused: no current kernel honours it.
int CheckLockFlags(int mode, uint32_t flags) {
  if (mode < DLM_LOCK_NL || mode > DLM_LOCK_EX) return -EINVAL;
  if ((flags & (DLM_LKF_CANCEL | DLM_LKF_TIMEOUT)) != 0) return -EINVAL;
  const bool convert = (flags & DLM_LKF_CONVERT) != 0;
  if (!convert && (flags & (DLM_LKF_QUECVT | DLM_LKF_CONVDEADLK)) != 0) return -EINVAL;
  if ((flags & DLM_LKF_CONVDEADLK) != 0 && (flags & DLM_LKF_NOQUEUE) != 0) return -EINVAL;
  // A rule of ours. For these a master grants in one mode and the lock's own node takes it to be
  // another: for a conversion the one that was asked for (fs/dlm/lock.c:__receive_convert_reply
  // does not call munge_altmode), with both flags always PR. Two nodes could then hold modes that
  // exclude each other.
  constexpr uint32_t kAlternatives = DLM_LKF_ALTPR | DLM_LKF_ALTCW;
  if ((flags & kAlternatives) != 0 && (convert || (flags & kAlternatives) == kAlternatives)) {
    return -EINVAL;
  }
  if ((flags & DLM_LKF_EXPEDITE) != 0 &&
      (convert || (flags & DLM_LKF_NOQUEUE) != 0 || mode != DLM_LOCK_NL)) {
    return -EINVAL;
  }
  return 0;
}

// fs/dlm/lock.c:dlm_lvb_operations: whether a conversion with VALBLK writes the value block ...
bool WritesValueBlock(int granted, int requested) {
  return granted >= DLM_LOCK_PW && requested <= granted;
}

// ... and whether it, or with -1 for `granted` a new lock, reads it.
bool ReadsValueBlock(int granted, int requested) {
  return requested >= granted && !WritesValueBlock(granted, requested);
}

// fs/dlm/lock.c:__quecvt_compat_matrix. Upwards, and from PR to CW.
bool CanQueueConversion(int granted, int mode) {
  return mode > granted || (granted == DLM_LOCK_PR && mode == DLM_LOCK_CW);
}

}  // namespace

Lockspace::Lockspace(const Options& options)
    : submission_(options.submission), name_(options.name) {
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
  ended_.reserve(kBatchMax);
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

void Lockspace::HandleKeeper(std::vector<Notice>* notices) {
  KeeperReport report;
  int device_fd = -1;
  while (!keeper_.has_ended()) {
    switch (keeper_.Receive(&report, &device_fd)) {
      case KeeperClient::Received::kNothing:
        return;
      case KeeperClient::Received::kEnd:
        HandleKeeperEnd(notices);
        return;
      case KeeperClient::Received::kReport:
        break;
    }
    switch (report.kind) {
      case KeeperReportKind::kOpened:
        AttachDevice(device_fd, report.versions);
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
        // What is so from the start, and should be, is no news.
        if (quorate_ == (report.code != 0)) break;
        quorate_ = report.code != 0;
        notices->push_back({quorate_ ? NoticeKind::kQuorumRegained : NoticeKind::kQuorumLost});
        break;
      case KeeperReportKind::kDaemonGone:
        notices->push_back({NoticeKind::kDaemonGone});
        break;
      case KeeperReportKind::kGone:
        Settle(report.code, report.error != 0, notices);
        break;
    }
  }
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
    Fail(OpenFailure::kNoMembership, error, {});
  } else if (watch_.this_node() == 0) {
    Fail(OpenFailure::kNoDaemon, 0, {});
  } else if (submission_ == Submission::kThread) {
    if (const int failure = SubmitPort::StartThread(port_)) Fail(OpenFailure::kFailed, failure, {});
  } else if (submission_ == Submission::kLoop) {
    submitter_ = std::make_unique<Submitter>(port_->area(), device_fd, port_->signal_fd());
  }
  if (state_ == State::kFailed) return;
  state_ = State::kOpen;
  SetPaused(watch_.is_stopped());
}

void Lockspace::HandleKeeperEnd(std::vector<Notice>* notices) {
  keeper_gone_ = true;
  if (port_ != nullptr) port_->set_close_waits();
  switch (state_) {
    case State::kOpening:
      Fail(OpenFailure::kNoKeeper, 0, "it has died");
      break;
    case State::kClosing:
      drops_later_ = !is_lost_;
      state_ = State::kClosed;
      break;
    case State::kOpen:
      if (is_lost_) break;
      watch_.SettleByComms(notices);
      notices->push_back({NoticeKind::kKeeperGone});
      // Nobody makes the calls any more.
      if (submission_ == Submission::kKeeper) Lose();
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
  if (submitter_is_over_ || area->ended.load(std::memory_order_acquire) != 0) {
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

void Lockspace::HandleTime(std::vector<Notice>* notices) {
  if (submitter_is_busy_) Kick();
  if (state_ != State::kOpen && state_ != State::kClosing) return;
  const size_t first = notices->size();
  watch_.Look(notices);
  HandleNotices(notices, first);
}

void Lockspace::CollectNotices(std::vector<Notice>* notices) {
  if (is_lost_ || (state_ != State::kOpen && state_ != State::kClosing)) return;
  const size_t first = notices->size();
  watch_.Take(notices);
  for (const auto& [node, since_s] : watch_.TakeUnclear()) {
    // Who leaves loses all members so, and does not care.
    const bool is_asked = state_ == State::kOpen && keeper_.AskWhyGone(node, since_s);
    if (!is_asked) watch_.SettleByComms(notices);
  }
  HandleNotices(notices, first);
}

void Lockspace::Settle(int node, bool has_failed, std::vector<Notice>* notices) {
  if (is_lost_ || (state_ != State::kOpen && state_ != State::kClosing)) return;
  const size_t first = notices->size();
  watch_.Settle(node, has_failed, notices);
  watch_.Look(notices);
  HandleNotices(notices, first);
}

void Lockspace::HandleNotices(std::vector<Notice>* notices, size_t first) {
  for (size_t i = first; i < notices->size(); ++i) {
    switch ((*notices)[i].kind) {
      case NoticeKind::kStopped:
        SetPaused(true);
        break;
      case NoticeKind::kResumed:
        SetPaused(false);
        break;
      case NoticeKind::kNodeJoined:
        keeper_.Send(KeeperRequestKind::kNames);
        break;
      case NoticeKind::kReleased:
        Lose();
        return;
      default:
        break;
    }
  }
}

void Lockspace::SetPaused(bool paused) {
  port_->area()->paused.store(paused ? 1 : 0, std::memory_order_release);
  if (!paused) Kick();
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
  port_->LeaveDevice();
  keeper_.Send(KeeperRequestKind::kClose);
  if (keeper_gone_ && state_ == State::kClosing) {
    drops_later_ = !is_lost_;
    state_ = State::kClosed;
  }
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
  port_->LeaveDevice();
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
SubmitRequest* Lockspace::Reserve(uint32_t index, const LockRecord* record, Operation operation) {
  SubmitRequest* request;
  if (waiting_.empty() && HasRoom()) {
    SubmitArea* area = port_->area();
    request =
        &area->requests[area->requests_put.load(std::memory_order_relaxed) % SubmitArea::kSlots];
  } else {
    request = &waiting_.emplace_back();
  }
  request->cookie = {index, record != nullptr ? locks_.generation(index) : 0};
  request->lock_id = record != nullptr ? record->lock_id : 0;
  request->operation = operation;
  request->after_lost_cancel = record != nullptr && record->cancel_lost;
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

void Lockspace::EndBatch() {
  in_batch_ = false;
  if (unkicked_ > 0) Kick();
}

// ---- Requests ----

int64_t Lockspace::Lock(int mode, uint32_t flags, uint64_t xid, std::string_view name,
                        StatusBlock status_block) {
  if (!Serves()) return -ENOTCONN;
  if (name.size() > kResourceNameMax || (flags & DLM_LKF_CONVERT) != 0) return -EINVAL;
  if (const int error = CheckLockFlags(mode, flags)) return error;

  const uint32_t index = locks_.Acquire();
  LockRecord* record = locks_.Find(index);
  *record = LockRecord{};
  const bool adopts = (flags & DLM_LKF_ORPHAN) != 0;
  SubmitRequest* request = nullptr;
  try {
    request = Reserve(index, record, adopts ? Operation::kAdopt : Operation::kLock);
  } catch (...) {
    locks_.Release(index);
    throw;
  }
  record->status_block = status_block;
  record->operation = Pending::kLock;
  record->kernel_has_valblk = record->kernel_has_lvb = (flags & DLM_LKF_VALBLK) != 0;
  record->kernel_has_ivvalblk = (flags & DLM_LKF_IVVALBLK) != 0;
  record->requested_mode = static_cast<int8_t>(mode);
  record->request_flags = flags;

  // Whether an orphan has a value block was decided by whoever made it.
  if (adopts) record->kernel_has_lvb = false;
  request->request.EncodeLock(request->cookie, mode, flags | DLM_LKF_NODLCKWT, xid, name);
  if (!adopts) ++results_due_;
  Commit();
  return index;
}

int Lockspace::Convert(uint32_t index, int mode, uint32_t flags, uint64_t xid) {
  if (!Serves()) return -ENOTCONN;
  if (const int error = CheckLockFlags(mode, flags | DLM_LKF_CONVERT)) return error;
  LockRecord* record = locks_.Find(index);
  if (record == nullptr || record->ended) return -EINVAL;
  // fs/dlm/lock.c:validate_lock_args
  if (record->operation != Pending::kNone || record->unlocking) return -EBUSY;
  // The kernel refuses these too, but with a stack trace in its log.
  if ((flags & DLM_LKF_QUECVT) != 0 && !CanQueueConversion(record->granted_mode, mode)) {
    return -EINVAL;
  }

  SubmitConvert(index, record, mode, flags, xid);
  return 0;
}

void Lockspace::SubmitConvert(uint32_t index, LockRecord* record, int mode, uint32_t flags,
                              uint64_t xid) {
  SubmitRequest* request = Reserve(index, record, Operation::kConvert);
  if ((flags & DLM_LKF_VALBLK) != 0 && WritesValueBlock(record->granted_mode, mode)) {
    std::memcpy(record->known_lvb.data(), record->status_block.lvb(), kLvbLen);
  }
  request->request.EncodeConvert(request->cookie, mode, flags | DLM_LKF_CONVERT | DLM_LKF_NODLCKWT,
                                 xid, record->known_lvb.data());
  record->operation = Pending::kConvert;
  record->cancelling = record->cancel_lost = false;
  record->requested_mode = static_cast<int8_t>(mode);
  record->request_flags = flags;
  record->had_valblk = record->kernel_has_valblk;
  record->had_lvb = record->kernel_has_lvb;
  record->had_ivvalblk = record->kernel_has_ivvalblk;
  record->kernel_has_valblk = (flags & DLM_LKF_VALBLK) != 0;
  record->kernel_has_lvb = record->kernel_has_lvb || record->kernel_has_valblk;
  record->kernel_has_ivvalblk = (flags & DLM_LKF_IVVALBLK) != 0;
  ++results_due_;
  Commit();
}

// Whether what is under way may be cancelled: 0 when a cancel would have nothing to do, 1 when it
// may be, by invariant 1.
int Lockspace::EndsByCancel(const LockRecord* record) const {
  const bool ends_by_itself = record->operation == Pending::kLock &&
                              (record->request_flags & (DLM_LKF_NOQUEUE | DLM_LKF_ORPHAN)) != 0;
  // Nothing to cancel, or a cancel is under way: fs/dlm would do nothing either, but with a
  // warning and a stack trace in the kernel's log (fs/dlm/lock.c:validate_unlock_args).
  return record->operation == Pending::kNone || record->cancelling || ends_by_itself ? 0 : 1;
}

int Lockspace::Unlock(uint32_t index, uint32_t flags) {
  if (!Serves()) return -ENOTCONN;
  // fs/dlm/lock.c:set_unlock_args
  if ((flags & ~kUnlockFlags) != 0) return -EINVAL;
  const bool cancel = (flags & DLM_LKF_CANCEL) != 0;
  if (cancel && (flags & DLM_LKF_FORCEUNLOCK) != 0) return -EINVAL;
  LockRecord* record = locks_.Find(index);
  if (record == nullptr || record->ended) return -EINVAL;

  if (record->unlocking) return -EBUSY;
  const bool can_cancel = EndsByCancel(record) != 0;
  if (cancel) {
    if (!can_cancel) return 0;
    SubmitRequest* request = Reserve(index, record, Operation::kCancel);
    request->request.EncodeUnlock(request->cookie, flags, nullptr);
    record->cancelling = true;
    Commit();
    return 0;
  }

  // fs/dlm writes the value block at unlock if the last request had VALBLK, asked for or not, and
  // does not write it, asked for or not, if no request ever had it; and it declares the block
  // invalid if the last request did. Where that is not what the caller said, going through NL is: a
  // conversion does just as its own flags say.
  const bool write = (flags & DLM_LKF_VALBLK) != 0;
  const bool can_write = record->granted_mode >= DLM_LOCK_PW && (flags & DLM_LKF_IVVALBLK) == 0;
  const bool would_write = write ? record->kernel_has_lvb : record->kernel_has_valblk;
  const bool through_null = can_write && (write != would_write || record->kernel_has_ivvalblk);
  if (record->operation != Pending::kNone) {
    // Without FORCEUNLOCK fs/dlm refuses only while a message is under way, which is nothing that a
    // caller can know; with it, there is no going through NL any more.
    const bool force = (flags & DLM_LKF_FORCEUNLOCK) != 0;
    if (!force || through_null || !can_cancel) return -EBUSY;
  }
  if (through_null) {
    SubmitConvert(index, record, DLM_LOCK_NL, write ? DLM_LKF_VALBLK : 0, 0);
    record->unlock_follows = true;
  } else {
    SubmitUnlock(index, record, flags);
  }
  record->unlocking = true;
  return 0;
}

void Lockspace::SubmitUnlock(uint32_t index, LockRecord* record, uint32_t flags) {
  SubmitRequest* request = Reserve(index, record, Operation::kUnlock);
  request->request.EncodeUnlock(request->cookie, flags, record->status_block.lvb());
  ++results_due_;
  Commit();
}

int Lockspace::DeadlockCancel(uint32_t index) {
  if (!Serves()) return -ENOTCONN;
  LockRecord* record = locks_.Find(index);
  if (record == nullptr || record->ended) return -EINVAL;
  if (record->unlocking) return -EBUSY;
  if (EndsByCancel(record) == 0) return 0;
  SubmitRequest* request = Reserve(index, record, Operation::kCancel);
  request->request.EncodeDeadlockCancel(request->cookie);
  record->cancelling = record->breaking_deadlock = true;
  Commit();
  return 0;
}

int Lockspace::Purge(int32_t node, int32_t pid, uint32_t ticket) {
  if (!Serves()) return -ENOTCONN;
  SubmitRequest* request = Reserve(ticket, nullptr, Operation::kPurge);
  request->request.EncodePurge(node, pid);
  request->purges_this_node = node == 0 || node == this_node();
  request->purged_pid = pid;
  Commit();
  return 0;
}

// ---- Results ----

size_t Lockspace::Collect(EventRecord* events, std::vector<Notice>* notices) {
  if (is_lost_ || (state_ != State::kOpen && state_ != State::kClosing)) return 0;
  size_t count = 0;
  if (state_ == State::kOpen) {
    ++batch_;
    count = TakeAnswers(events);
    while (count < kBatchMax && ReadResult(events, &count)) {
    }
    if (was_awaited_ && count == 0) luck_ = -kUnluckyRounds;
    was_awaited_ = false;
  }
  // After the results, never before: see lockspace_watch.h.
  CollectNotices(notices);
  return count;
}

bool Lockspace::AwaitResults() {
  if (!Serves() || results_due_ == 0) return false;
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

void Lockspace::ReleaseEnded() {
  for (const uint32_t index : ended_) locks_.Release(index);
  ended_.clear();
}

size_t Lockspace::TakeAnswers(EventRecord* events) {
  SubmitArea* area = port_->area();
  size_t count = 0;
  uint32_t taken = area->answers_taken.load(std::memory_order_relaxed);
  const uint32_t put = area->answers_put.load(std::memory_order_acquire);
  if (taken == put) return 0;
  for (; taken != put && count < kBatchMax; ++taken) {
    if (HandleAnswer(area->answers[taken % SubmitArea::kSlots], &events[count])) ++count;
  }
  area->answers_taken.store(taken, std::memory_order_release);
  Kick();  // the submitter may have waited for a slot
  if (taken != put) Signal();
  return count;
}

bool Lockspace::HandleAnswer(const SubmitAnswer& answer, EventRecord* event) {
  *event = {};
  event->index = static_cast<int32_t>(answer.cookie.index);
  if (answer.operation == Operation::kPurge) {
    event->kind = EventKind::kCall;
    event->value = answer.status;
    return true;
  }
  LockRecord* record = locks_.Find(answer.cookie.index, answer.cookie.generation);
  if (record == nullptr || record->ended) return false;
  if (answer.operation != Operation::kAdopt && results_due_ > 0) --results_due_;
  if (answer.operation == Operation::kConvert) {  // it has changed nothing
    record->kernel_has_valblk = record->had_valblk;
    record->kernel_has_lvb = record->had_lvb;
    record->kernel_has_ivvalblk = record->had_ivvalblk;
  }
  // An unlock may begin with a conversion.
  if (answer.operation == Operation::kUnlock || record->unlock_follows) {
    event->kind = EventKind::kUnlock;
    event->value = answer.status;
    record->unlocking = false;
    if (record->unlock_follows) {
      record->unlock_follows = false;
      record->operation = Pending::kNone;
    }
    return true;
  }
  event->kind = EventKind::kCompletion;
  record->status_block.set_status(answer.status);
  // A conversion that was refused has changed nothing, these included.
  if (answer.operation != Operation::kConvert) record->status_block.set_flags(0);
  record->operation = Pending::kNone;
  record->completed_in_batch = batch_;
  if (answer.status == 0) {
    record->granted_mode = record->requested_mode;
    record->lock_id = answer.lock_id;
    record->status_block.set_lock_id(answer.lock_id);
  } else if (answer.operation != Operation::kConvert) {
    End(answer.cookie.index, record, event);
  }
  return true;
}

// Reads one result and appends its event, if it makes one. False: no more in this batch.
bool Lockspace::ReadResult(EventRecord* events, size_t* count) {
  if (held_size_ == 0) {
    // Not in vain: the poll tells of what nobody has asked for.
    if (*count > 0 && results_due_ == 0 && !was_blocking_) return false;
    const ssize_t size = read(port_->device_fd(), held_bytes_, sizeof held_bytes_);
    if (size <= 0) return false;
    held_size_ = static_cast<size_t>(size);
  }
  Result result;
  if (DecodeResult(held_bytes_, held_size_, &result)) {
    was_blocking_ = result.blocking;
    const LockRecord* record = locks_.Find(result.cookie.index, result.cookie.generation);
    if (record != nullptr && !result.blocking && record->completed_in_batch == batch_) {
      // Its status block already tells of a completion that JavaScript has not seen.
      Signal();
      return false;
    }
    if (record != nullptr && record->operation == Pending::kLock &&
        (record->request_flags & DLM_LKF_ORPHAN) != 0) {
      // It is in somebody's way already, but JavaScript has not been told that it has it; the
      // answer that says so is a moment away, and signals.
      return false;
    }
    if (HandleResult(result, &events[*count])) ++*count;
  }
  held_size_ = 0;
  return true;
}

bool Lockspace::HandleResult(const Result& result, EventRecord* event) {
  LockRecord* record = locks_.Find(result.cookie.index, result.cookie.generation);
  // A record that ended in this batch is still in the table, but no longer the kernel's.
  if (record == nullptr || record->ended) return false;
  *event = {};
  event->index = static_cast<int32_t>(result.cookie.index);
  if (result.blocking) {
    event->kind = EventKind::kBlocking;
    event->value = result.blocked_mode;
    // Nobody can let go any sooner of what is being unlocked.
    return !record->unlock_follows;
  }
  return HandleCompletion(result, record, event);
}

bool Lockspace::HandleCompletion(const Result& result, LockRecord* record, EventRecord* event) {
  const uint32_t index = result.cookie.index;
  if (results_due_ > 0) --results_due_;
  record->lock_id = result.lock_id;
  const bool granted = result.status == 0;
  const int mode_before =
      (result.sb_flags & DLM_SBF_DEMOTED) != 0 ? DLM_LOCK_NL : record->granted_mode;
  int status = result.status;
  if (record->cancelling && (status == kStatusCanceled || status == -EDEADLK)) {
    // fs/dlm forgets what a cancel was for while a request is on its way to the master, and
    // remembers it for the next one when the grant was faster.
    status = record->breaking_deadlock ? -EDEADLK : kStatusCanceled;
    record->cancelling = false;
  }
  record->cancel_lost = record->cancelling;
  record->cancelling = record->breaking_deadlock = false;
  if (granted) {
    record->granted_mode = record->requested_mode;
    if ((result.sb_flags & DLM_SBF_ALTMODE) != 0) {
      record->granted_mode = static_cast<int8_t>(
          (record->request_flags & DLM_LKF_ALTPR) != 0 ? DLM_LOCK_PR : DLM_LOCK_CW);
    }
  } else if ((result.sb_flags & DLM_SBF_DEMOTED) != 0) {
    record->granted_mode = DLM_LOCK_NL;
  }

  if (record->unlock_follows && result.status != kStatusUnlocked) {
    record->unlock_follows = false;
    record->operation = Pending::kNone;
    if (granted) {
      SubmitUnlock(index, record, 0);
      return false;
    }
    record->unlocking = false;
    event->kind = EventKind::kUnlock;
    event->value = result.status;
    return true;
  }

  record->operation = Pending::kNone;
  record->completed_in_batch = batch_;
  record->status_block.set_status(status);
  record->status_block.set_flags(result.sb_flags);
  record->status_block.set_lock_id(result.lock_id);
  if (granted && result.lvb != nullptr && (record->request_flags & DLM_LKF_VALBLK) != 0 &&
      ReadsValueBlock(mode_before, record->granted_mode)) {
    std::memcpy(record->known_lvb.data(), result.lvb, kLvbLen);
    std::memcpy(record->status_block.lvb(), result.lvb, kLvbLen);
  }
  event->kind = EventKind::kCompletion;
  // fs/dlm/user.c:lkb_is_endoflife
  if (result.status == kStatusUnlocked || (!granted && record->granted_mode < 0)) {
    End(index, record, event);
  }
  return true;
}

void Lockspace::End(uint32_t index, LockRecord* record, EventRecord* event) {
  record->ended = true;
  event->final = 1;
  ended_.push_back(index);
}

// Has the loop call Collect() again.
void Lockspace::Signal() const {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(port_->signal_fd(), &one, sizeof one);
}

}  // namespace stackglue::libdlm
