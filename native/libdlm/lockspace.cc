#include "libdlm/lockspace.h"

#include <fcntl.h>
#include <linux/dlm.h>
#include <linux/dlmconstants.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <utility>

namespace stackglue::libdlm {
namespace {

constexpr char kControlDevice[] = "/dev/misc/dlm-control";

// The kernel's own numbers (fs/dlm: DLM_ECANCEL, DLM_EUNLOCK in <linux/dlmconstants.h>).
constexpr int kStatusCanceled = -DLM_ECANCEL;
constexpr int kStatusUnlocked = -DLM_EUNLOCK;

// fs/dlm/lock.c:set_unlock_args refuses any other.
constexpr uint32_t kUnlockFlags =
    DLM_LKF_CANCEL | DLM_LKF_VALBLK | DLM_LKF_IVVALBLK | DLM_LKF_FORCEUNLOCK;

uint64_t Identity(uint32_t generation, uint32_t lock_id) {
  return (static_cast<uint64_t>(generation) << 32) | lock_id;
}
uint32_t GenerationOf(uint64_t identity) { return static_cast<uint32_t>(identity >> 32); }
uint32_t LockIdOf(uint64_t identity) { return static_cast<uint32_t>(identity); }

bool IsMiscDevice(const std::string& name) {
  std::ifstream devices("/proc/misc");
  std::string minor;
  std::string device;
  while (devices >> minor >> device) {
    if (device == name) return true;
  }
  return false;
}

// The rules of fs/dlm/lock.c:set_lock_args, applied before the request is on its way so that the
// caller hears of a mistake at once. LKF_TIMEOUT is refused: no current kernel honours it.
int CheckLockFlags(int mode, uint32_t flags) {
  if (mode < DLM_LOCK_NL || mode > DLM_LOCK_EX) return -EINVAL;
  if ((flags & (DLM_LKF_CANCEL | DLM_LKF_TIMEOUT)) != 0) return -EINVAL;
  const bool convert = (flags & DLM_LKF_CONVERT) != 0;
  if (!convert && (flags & (DLM_LKF_QUECVT | DLM_LKF_CONVDEADLK)) != 0) return -EINVAL;
  if ((flags & DLM_LKF_CONVDEADLK) != 0 && (flags & DLM_LKF_NOQUEUE) != 0) return -EINVAL;
  if ((flags & DLM_LKF_EXPEDITE) != 0 &&
      (convert || (flags & DLM_LKF_NOQUEUE) != 0 || mode != DLM_LOCK_NL)) {
    return -EINVAL;
  }
  return 0;
}

}  // namespace

Lockspace::Lockspace(Options options, Waker* waker) : options_(std::move(options)), waker_(waker) {
  // Signals are the event loop's business.
  sigset_t all;
  sigset_t previous;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &previous);
  thread_ = std::thread([this] { Run(); });
  pthread_sigmask(SIG_SETMASK, &previous, nullptr);
}

Lockspace::~Lockspace() {
  Close();
  thread_.join();
}

// ---- The lockspace's thread ----

void Lockspace::Run() {
  pthread_setname_np(pthread_self(), "dlm-lockspace");
  open_result_ = Open();
  if (open_result_.failure == OpenFailure::kNone) {
    state_.store(State::kOpen, std::memory_order_release);
    waker_->Wake();
    Serve();
    Shut();
    state_.store(State::kClosed, std::memory_order_release);
  } else {
    Shut();
    state_.store(State::kFailed, std::memory_order_release);
  }
  waker_->Wake();
}

OpenResult Lockspace::Open() {
  OpenResult result;
  library_ = Library::Load(options_.library, &result.detail);
  if (library_ == nullptr) {
    result.failure = OpenFailure::kNoLibrary;
    return result;
  }
  // Looked at here because libdlm waits ten seconds for a device that udev has yet to make.
  if (!IsMiscDevice("dlm-control")) {
    result.failure = OpenFailure::kNoDlm;
    return result;
  }
  if (access(kControlDevice, F_OK) != 0) {
    result = {OpenFailure::kNoDevice, errno, kControlDevice};
    return result;
  }
  if (!OpenHandle(*library_, &result)) return result;

  device_fd_ = library_->dlm_ls_get_fd(handle_);
  const int flags = fcntl(device_fd_, F_GETFL);
  if (flags < 0 || fcntl(device_fd_, F_SETFL, flags | O_NONBLOCK) < 0 ||
      fcntl(device_fd_, F_SETFD, FD_CLOEXEC) < 0) {
    return {OpenFailure::kFailed, errno, {}};
  }
  if (const int error = membership_.Open(options_.name)) {
    return {OpenFailure::kNoMembership, error, {}};
  }
  this_node_ = Membership::ThisNode();
  if (this_node_ == 0) return {OpenFailure::kNoDaemon, 0, {}};
  return result;
}

bool Lockspace::OpenHandle(const Library& library, OpenResult* result) {
  if (!library.Prepare()) {
    const int error = errno;
    const bool denied = error == EACCES || error == EPERM || access(kControlDevice, R_OK) != 0;
    *result = {denied ? OpenFailure::kPermission : OpenFailure::kFailed, error, kControlDevice};
    return false;
  }
  if (IsKernelLockspace()) {
    *result = {OpenFailure::kForeignLockspace, EPERM, {}};
    return false;
  }
  const bool exists = IsMiscDevice("dlm_" + options_.name);
  int error = 0;
  if (options_.create) {
    handle_ = library.dlm_create_lockspace(options_.name.c_str(), options_.mode);
    if (handle_ != nullptr) {
      created_ = true;
      return true;
    }
    error = errno;
    if (error == EUNATCH || error == ENOTCONN) {
      *result = {OpenFailure::kNoDaemon, error, {}};
      return false;
    }
    if (error == EPROTO) {
      *result = {OpenFailure::kForeignLockspace, error, {}};
      return false;
    }
    // Creating takes CAP_SYS_ADMIN; a lockspace that is there already can be used without.
    const bool denied = error == EPERM || error == EACCES;
    if (!denied || !exists) {
      *result = {denied ? OpenFailure::kPermission : OpenFailure::kFailed, error, {}};
      return false;
    }
  } else if (!exists) {
    *result = {OpenFailure::kUnknownLockspace, ENOENT, {}};
    return false;
  }
  handle_ = library.dlm_open_lockspace(options_.name.c_str());
  if (handle_ != nullptr) return true;
  error = errno;
  const bool denied = error == EPERM || error == EACCES;
  *result = {denied ? OpenFailure::kPermission : OpenFailure::kFailed, error, {}};
  return false;
}

// Whether the lockspace is there but not for user space: made by the kernel itself, for GFS2 or
// OCFS2, with value blocks of another size. The kernel would let us in and write beyond the 32
// bytes that it keeps for ours. One that another process is just creating has no device yet either,
// so this waits until it has been joined, and then some.
bool Lockspace::IsKernelLockspace() {
  const std::string sysfs = "/sys/kernel/dlm/" + options_.name;
  const std::string configfs = Membership::NodesPath(options_.name);
  const std::string device = "dlm_" + options_.name;
  constexpr auto kTick = std::chrono::milliseconds(20);
  auto patience = std::chrono::milliseconds(5000);
  while (access(sysfs.c_str(), F_OK) == 0 && !IsMiscDevice(device)) {
    if (patience <= kTick || IsClosing()) return true;
    if (access(configfs.c_str(), F_OK) == 0) patience -= kTick;
    std::this_thread::sleep_for(kTick);
  }
  return false;
}

bool Lockspace::IsClosing() {
  const std::lock_guard<std::mutex> guard(queue_mutex_);
  return closing_;
}

void Lockspace::Serve() {
  std::vector<QueuedRequest> taken;
  for (;;) {
    {
      std::unique_lock<std::mutex> guard(queue_mutex_);
      queue_filled_.wait(guard, [this] { return !queue_.empty() || closing_; });
      if (queue_.empty()) return;
      taken.swap(queue_);
    }
    for (QueuedRequest& queued : taken) Submit(&queued);
    taken.clear();
  }
}

void Lockspace::Submit(QueuedRequest* queued) {
  const bool is_new = queued->operation == Operation::kLock;
  const uint64_t identity = queued->record->identity.load(std::memory_order_acquire);
  int status = 0;
  if (GenerationOf(identity) != queued->cookie.generation || (!is_new && LockIdOf(identity) == 0)) {
    status = -ENOENT;  // the request that should have made it was refused
  } else {
    queued->request.set_lock_id(is_new ? 0 : LockIdOf(identity));
    ssize_t written;
    do {
      written = write(device_fd_, queued->request.bytes.data(), queued->request.size);
    } while (written < 0 && (errno == EINTR || (errno == EBUSY && AwaitCancelAnswer(*queued))));
    status = written < 0 ? -errno : static_cast<int>(written);
  }
  if (is_new && status > 0) {
    // The loop may have read the grant, and even the end, before this line.
    uint64_t unknown = Identity(queued->cookie.generation, 0);
    queued->record->identity.compare_exchange_strong(
        unknown, Identity(queued->cookie.generation, static_cast<uint32_t>(status)),
        std::memory_order_acq_rel);
  }

  if (queued->immediate || (status < 0 && !queued->cancel)) {
    {
      const std::lock_guard<std::mutex> guard(answers_mutex_);
      answers_.push_back({queued->cookie, queued->operation, std::min(status, 0)});
    }
    waker_->Wake();
  }
}

// A lost cancel has no result, so there is nothing to wait for but its effect. It takes one round
// trip to the master. False: not the reason why the kernel is busy, or the lockspace is to be
// closed.
bool Lockspace::AwaitCancelAnswer(const QueuedRequest& queued) {
  if (!queued.after_lost_cancel || state() != State::kOpen) return false;
  std::this_thread::sleep_for(std::chrono::microseconds(100));
  return true;
}

void Lockspace::Shut() {
  if (handle_ == nullptr) return;
  if (created_) {
    // As fs/ocfs2/stack_user.c does; while others on this node use it, only a count goes down.
    library_->dlm_release_lockspace(options_.name.c_str(), handle_, 1);
  } else {
    library_->dlm_close_lockspace(handle_);
  }
  handle_ = nullptr;
}

// ---- The loop ----

void Lockspace::Enqueue(QueuedRequest queued) {
  bool was_empty;
  {
    const std::lock_guard<std::mutex> guard(queue_mutex_);
    was_empty = queue_.empty();
    queue_.push_back(queued);
  }
  if (was_empty) queue_filled_.notify_one();
}

int64_t Lockspace::Lock(int mode, uint32_t flags, std::string_view name, StatusBlock status_block) {
  if (state() != State::kOpen) return -ENOTCONN;
  if (name.size() > kResourceNameMax || (flags & DLM_LKF_CONVERT) != 0) return -EINVAL;
  if (const int error = CheckLockFlags(mode, flags)) return error;

  const uint32_t index = locks_.Acquire();
  const Cookie cookie{index, locks_.generation(index)};
  LockRecord* record = locks_.Find(index);
  record->identity.store(Identity(cookie.generation, 0), std::memory_order_release);
  record->status_block = status_block;
  record->operation = Operation::kLock;
  record->cancelling = record->cancel_lost = false;
  record->unlocking = false;
  record->unlock_follows = false;
  record->kernel_has_valblk = record->kernel_has_lvb = (flags & DLM_LKF_VALBLK) != 0;
  record->granted_mode = -1;
  record->requested_mode = static_cast<int8_t>(mode);
  record->request_flags = flags;
  record->completed_in_batch = 0;

  QueuedRequest queued;
  queued.request = Request::Lock(cookie, mode, flags | DLM_LKF_NODLCKWT, name);
  queued.record = record;
  queued.cookie = cookie;
  queued.operation = Operation::kLock;
  queued.immediate = (flags & DLM_LKF_ORPHAN) != 0;
  Enqueue(queued);
  return index;
}

int Lockspace::Convert(uint32_t index, int mode, uint32_t flags) {
  if (state() != State::kOpen) return -ENOTCONN;
  if (const int error = CheckLockFlags(mode, flags | DLM_LKF_CONVERT)) return error;
  LockRecord* record = locks_.Find(index);
  if (record == nullptr) return -EINVAL;
  // fs/dlm/lock.c:validate_lock_args
  if (record->operation != Operation::kNone || record->unlocking) return -EBUSY;

  EnqueueConvert(index, record, mode, flags, Operation::kConvert);
  return 0;
}

void Lockspace::EnqueueConvert(uint32_t index, LockRecord* record, int mode, uint32_t flags,
                               Operation operation) {
  record->operation = Operation::kConvert;
  record->cancelling = false;
  record->requested_mode = static_cast<int8_t>(mode);
  record->request_flags = flags;
  record->kernel_has_valblk = (flags & DLM_LKF_VALBLK) != 0;
  record->kernel_has_lvb = record->kernel_has_lvb || record->kernel_has_valblk;

  QueuedRequest queued;
  queued.cookie = {index, locks_.generation(index)};
  queued.request = Request::Convert(queued.cookie, mode, flags | DLM_LKF_CONVERT | DLM_LKF_NODLCKWT,
                                    record->status_block.lvb());
  queued.record = record;
  queued.operation = operation;
  queued.after_lost_cancel = record->cancel_lost;
  Enqueue(queued);
}

int Lockspace::Unlock(uint32_t index, uint32_t flags) {
  if (state() != State::kOpen) return -ENOTCONN;
  // fs/dlm/lock.c:set_unlock_args
  if ((flags & ~kUnlockFlags) != 0) return -EINVAL;
  const bool cancel = (flags & DLM_LKF_CANCEL) != 0;
  if (cancel && (flags & DLM_LKF_FORCEUNLOCK) != 0) return -EINVAL;
  LockRecord* record = locks_.Find(index);
  if (record == nullptr) return -EINVAL;

  if (record->unlocking) return -EBUSY;
  // Invariant 1.
  const bool ends_by_itself =
      record->operation == Operation::kLock && (record->request_flags & DLM_LKF_NOQUEUE) != 0;
  if (cancel) {
    // Nothing to cancel, or a cancel is under way: fs/dlm would do nothing either, but with a
    // warning and a stack trace in the kernel's log (fs/dlm/lock.c:validate_unlock_args).
    if (record->operation == Operation::kNone || record->cancelling || ends_by_itself) return 0;
    record->cancelling = true;
    QueuedRequest queued;
    queued.cookie = {index, locks_.generation(index)};
    queued.request = Request::Unlock(queued.cookie, flags, nullptr);
    queued.record = record;
    queued.operation = Operation::kUnlock;
    queued.cancel = true;
    Enqueue(queued);
    return 0;
  }

  // fs/dlm writes the value block at unlock if the last request had VALBLK, asked for or not, and
  // does not write it, asked for or not, if no request ever had it. Where that is not what the
  // caller said, going through NL is: a conversion writes just as its own flags say.
  const bool write = (flags & DLM_LKF_VALBLK) != 0;
  const bool can_write = record->granted_mode >= DLM_LOCK_PW && (flags & DLM_LKF_IVVALBLK) == 0;
  const bool would_write = write ? record->kernel_has_lvb : record->kernel_has_valblk;
  const bool through_null = can_write && write != would_write;
  if (record->operation != Operation::kNone) {
    // Without FORCEUNLOCK fs/dlm refuses only while a message is under way, which is nothing that a
    // caller can know; with it, there is no going through NL any more.
    const bool force = (flags & DLM_LKF_FORCEUNLOCK) != 0;
    if (!force || through_null || record->cancelling || ends_by_itself) return -EBUSY;
  }
  record->unlocking = true;
  if (through_null) {
    record->unlock_follows = true;
    EnqueueConvert(index, record, DLM_LOCK_NL, write ? DLM_LKF_VALBLK : 0, Operation::kUnlock);
    return 0;
  }
  EnqueueUnlock(index, record, flags);
  return 0;
}

void Lockspace::EnqueueUnlock(uint32_t index, LockRecord* record, uint32_t flags) {
  QueuedRequest queued;
  queued.cookie = {index, locks_.generation(index)};
  queued.request = Request::Unlock(queued.cookie, flags, record->status_block.lvb());
  queued.record = record;
  queued.operation = Operation::kUnlock;
  queued.after_lost_cancel = record->cancel_lost;
  Enqueue(queued);
}

size_t Lockspace::Collect(EventRecord* events, std::vector<Membership::Departure>* departures) {
  const State now = state();
  if (now != State::kOpen && now != State::kClosing) return 0;
  ++batch_;
  size_t count = TakeAnswers(events);
  while (count < kBatchMax && ReadResults(events, &count)) {
  }
  // After the results, never before: see membership.h.
  membership_.TakeDepartures(departures);
  return count;
}

void Lockspace::ReleaseEnded() {
  for (const uint32_t index : ended_) locks_.Release(index);
  ended_.clear();
}

size_t Lockspace::TakeAnswers(EventRecord* events) {
  std::vector<Answer> taken;
  {
    const std::lock_guard<std::mutex> guard(answers_mutex_);
    const size_t count = std::min(answers_.size(), kBatchMax);
    taken.assign(answers_.begin(), answers_.begin() + static_cast<ptrdiff_t>(count));
    answers_.erase(answers_.begin(), answers_.begin() + static_cast<ptrdiff_t>(count));
    if (!answers_.empty()) waker_->Wake();
  }
  size_t count = 0;
  for (const Answer& answer : taken) {
    LockRecord* record = locks_.Find(answer.cookie.index, answer.cookie.generation);
    if (record == nullptr) continue;
    EventRecord& event = events[count++];
    event = {};
    event.index = static_cast<int32_t>(answer.cookie.index);
    if (answer.operation == Operation::kUnlock) {
      event.kind = EventKind::kUnlock;
      event.value = answer.status;
      record->unlocking = false;
      if (record->unlock_follows) {
        record->unlock_follows = false;
        record->operation = Operation::kNone;
      }
    } else {
      event.kind = EventKind::kCompletion;
      record->status_block.set_status(answer.status);
      record->operation = Operation::kNone;
      record->completed_in_batch = batch_;
      if (answer.status == 0) {
        record->granted_mode = record->requested_mode;
        record->status_block.set_lock_id(LockIdOf(record->identity.load()));
      } else if (answer.operation == Operation::kLock) {
        End(answer.cookie.index, record, &event);
      }
    }
  }
  return count;
}

// Reads one result and appends its event, if it makes one. False: no more in this batch.
bool Lockspace::ReadResults(EventRecord* events, size_t* count) {
  if (held_size_ == 0) {
    const ssize_t size = read(device_fd_, held_bytes_, sizeof held_bytes_);
    if (size <= 0) return false;
    held_size_ = static_cast<size_t>(size);
  }
  Result result;
  if (DecodeResult(held_bytes_, held_size_, &result)) {
    const LockRecord* record = locks_.Find(result.cookie.index, result.cookie.generation);
    if (record != nullptr && !result.blocking && record->completed_in_batch == batch_) {
      // Its status block already tells of a completion that JavaScript has not seen.
      waker_->Wake();
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
  if (record == nullptr || GenerationOf(record->identity.load()) == 0) return false;
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
  record->identity.store(Identity(result.cookie.generation, result.lock_id),
                         std::memory_order_release);
  const bool granted = result.status == 0;
  record->cancel_lost = record->cancelling && result.status != kStatusCanceled;
  record->cancelling = false;
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
    record->operation = Operation::kNone;
    if (granted) {
      EnqueueUnlock(index, record, 0);
      return false;
    }
    record->unlocking = false;
    event->kind = EventKind::kUnlock;
    event->value = result.status;
    return true;
  }

  record->operation = Operation::kNone;
  record->completed_in_batch = batch_;
  record->status_block.set_status(result.status);
  record->status_block.set_flags(result.sb_flags);
  record->status_block.set_lock_id(result.lock_id);
  if (granted && result.lvb != nullptr && (record->request_flags & DLM_LKF_VALBLK) != 0) {
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
  record->identity.store(0, std::memory_order_release);
  event->final = 1;
  ended_.push_back(index);
}

void Lockspace::Close() {
  {
    const std::lock_guard<std::mutex> guard(queue_mutex_);
    if (closing_) return;
    closing_ = true;
    State open = State::kOpen;
    state_.compare_exchange_strong(open, State::kClosing);
  }
  queue_filled_.notify_one();
}

}  // namespace stackglue::libdlm
