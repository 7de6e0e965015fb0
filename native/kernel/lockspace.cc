// An open lockspace of the kernel's DLM: how it opens, runs, stops and ends. See lockspace.h.
#include "kernel/lockspace.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

namespace stackglue::kernel {
namespace {

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

// ---- Signals and time ----

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
  // This process may have stood still, with the answers in its socket: all of them are heard first.
  const bool is_overdue = !order_->OverdueCauses().empty();
  if (is_overdue) HandleKeeper();
  if (!IsWatching()) return;
  watch_.LookAtState();
  HandleSeen();
  if (is_overdue) watch_.GiveUpCauses();
  if (!Serves() || is_stopped() || watch_.is_tense()) return;
  book_.LookAfterProbes();
}

void Lockspace::SetPaused(bool paused) {
  is_paused_ = paused;
  port_->area()->paused.store(paused ? 1 : 0, std::memory_order_release);
  if (paused) return;
  book_.RestartProbes();
  Kick();
}

// ---- The end ----

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

}  // namespace stackglue::kernel
