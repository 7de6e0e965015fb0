// A file of dlmfs on one node. See dlmfs.h.
#include "dlmfs.h"

#include <algorithm>
#include <cerrno>

namespace stackglue::differential {
namespace {

using o2dlm::kModeEx;
using o2dlm::kModeNl;
using o2dlm::kModePr;
using What = Task::What;

// user_highest_compat_lock_level()
int8_t HighestCompatible(int level) {
  if (level == kModeEx) return kModeNl;
  return level == kModePr ? kModePr : kModeEx;
}

}  // namespace

void DlmfsFile::Perform(Host* host, const Task& task) {
  switch (task.what) {
    case What::kOpen:
      return Open(host, task.handle);
    case What::kRequest:
      return Request(host, task.handle);
    case What::kClose:
      return Close(host, task.level);
    case What::kUnlink:
      return Unlink(host);
    case What::kUnblock:
      return Unblock(host);
    case What::kCancel:
      return host->Cancel();
    case What::kDown:
      if (host->Lock(task.level, true, false) != 0) is_busy_ = false;
      return;
    case What::kSignal:
      return host->Interrupt(task.handle);
    case What::kOpener:
    case What::kUnlinker:
    case What::kUnlinked:
      return Sleep(host, task);
  }
}

// user_dlm_cluster_lock()
void DlmfsFile::Open(Host* host, int handle) {
  const Opener& opener = host->opener(handle);
  const auto level = static_cast<int8_t>(opener.level);
  if (opener.is_interrupted) return Fail(host, handle, EINTR);
  if (is_in_teardown_) return Fail(host, handle, EAGAIN);
  if (is_busy_ && level > level_) {
    return Sleep(host, {.what = What::kOpener, .handle = handle});
  }
  if (is_blocked_ && level > HighestCompatible(blocking_)) {
    return Sleep(host, {.what = What::kOpener, .waits_for_blocked = true, .handle = handle});
  }
  if (level <= level_) {
    (level == kModeEx ? writers_ : readers_) += 1;
    return host->Opened(handle, 0);
  }
  requested_ = level;
  is_busy_ = true;
  host->Run({.what = What::kRequest, .level = level_, .handle = handle});
}

void DlmfsFile::Request(Host* host, int handle) {
  const Opener& opener = host->opener(handle);
  const int status = host->Lock(opener.level, level_ != -1, opener.tries);
  if (status == 0) return Sleep(host, {.what = What::kOpener, .handle = handle});
  // user_recover_from_dlm_error(), which wakes nobody.
  is_busy_ = false;
  Fail(host, handle, status);
}

void DlmfsFile::Fail(Host* host, int handle, int error) {
  host->Opened(handle, host->opener(handle).tries && error == EAGAIN ? ETXTBSY : error);
}

// user_dlm_cluster_unlock()
void DlmfsFile::Close(Host* host, int level) {
  (level == kModeEx ? writers_ : readers_) -= 1;
  if (is_blocked_ && !HoldsUp()) Queue(host);
}

// user_dlm_destroy_lock()
void DlmfsFile::Unlink(Host* host) {
  if (is_in_teardown_) return host->Unlinked(EBUSY);
  is_in_teardown_ = true;
  GoOnUnlinking(host);
}

void DlmfsFile::GoOnUnlinking(Host* host) {
  if (is_busy_) return Sleep(host, {.what = What::kUnlinker});
  if (readers_ > 0 || writers_ > 0) {
    is_in_teardown_ = false;
    return host->Unlinked(EBUSY);
  }
  if (!is_attached_) return host->Unlinked(0);
  is_busy_ = true;
  const int status = host->Unlock();
  if (status == 0) return Sleep(host, {.what = What::kUnlinked});
  is_in_teardown_ = false;
  is_busy_ = false;
  host->Unlinked(status);
}

void DlmfsFile::LockAst(Host* host) {
  // A conversion down is done.
  if (requested_ < level_ && requested_ <= HighestCompatible(blocking_)) {
    blocking_ = kModeNl;
    is_blocked_ = false;
  }
  level_ = requested_;
  requested_ = -1;
  is_attached_ = true;
  is_busy_ = false;
  Wake(host);
}

void DlmfsFile::BlockingAst(Host* host, int level) {
  is_blocked_ = true;
  blocking_ = std::max(blocking_, static_cast<int8_t>(level));
  Queue(host);
  Wake(host);
}

void DlmfsFile::UnlockAst(Host* host) {
  if (is_in_teardown_ && !is_in_cancel_) {
    level_ = -1;
  } else {
    requested_ = -1;
    is_in_cancel_ = false;
    if (is_blocked_) Queue(host);
  }
  is_busy_ = false;
  Wake(host);
}

bool DlmfsFile::HoldsUp() const { return writers_ > 0 || (blocking_ == kModeEx && readers_ > 0); }

void DlmfsFile::Queue(Host* host) {
  if (is_queued_) return;
  is_queued_ = true;
  host->Run({.what = What::kUnblock});
}

// user_dlm_unblock_lock()
void DlmfsFile::Unblock(Host* host) {
  is_queued_ = false;
  if (!is_blocked_ || is_in_teardown_) return;
  if (is_busy_) {
    if (is_in_cancel_) return;
    is_in_cancel_ = true;
    return host->Run({.what = What::kCancel});
  }
  if (HoldsUp()) return;
  requested_ = HighestCompatible(blocking_);
  is_busy_ = true;
  host->Run({.what = What::kDown, .level = requested_});
}

void DlmfsFile::Sleep(Host* host, const Task& when_woken) {
  if (when_woken.waits_for_blocked ? is_blocked_ : is_busy_) {
    // Who went to sleep last is likely to be woken first (prepare_to_wait()).
    sleepers_.insert(sleepers_.begin(), when_woken);
  } else if (when_woken.what == What::kOpener) {
    Open(host, when_woken.handle);
  } else if (when_woken.what == What::kUnlinker) {
    GoOnUnlinking(host);
  } else {
    host->Unlinked(0);
  }
}

void DlmfsFile::Wake(Host* host) {
  for (const Task& sleeper : sleepers_) host->Run(sleeper);
  sleepers_.clear();
}

bool DlmfsFile::IsIdle(const Task& task) const {
  const bool was_woken =
      task.what == What::kOpener || task.what == What::kUnlinker || task.what == What::kUnlinked;
  return was_woken && (task.waits_for_blocked ? is_blocked_ : is_busy_);
}

bool DlmfsFile::IsIdleUnblock() const {
  return !is_blocked_ || (!is_busy_ && !is_in_teardown_ && HoldsUp());
}

void DlmfsFile::AppendState(const Host& host, std::string* state) const {
  for (const int number : {+level_, +requested_, +blocking_, +writers_, +readers_}) {
    state->push_back(static_cast<char>(number));
  }
  unsigned flags = 0;
  for (const bool flag :
       {is_attached_, is_busy_, is_blocked_, is_in_teardown_, is_queued_, is_in_cancel_}) {
    flags = flags * 2 + (flag ? 1 : 0);
  }
  state->push_back(static_cast<char>(flags));
  std::vector<std::string> sleepers;
  for (const Task& each : sleepers_) {
    std::string& text = sleepers.emplace_back(1, static_cast<char>(each.what));
    text += each.waits_for_blocked ? 'b' : 'f';
    if (each.what == What::kOpener) text += host.NameOf(each.handle);
  }
  std::sort(sleepers.begin(), sleepers.end());
  for (const std::string& sleeper : sleepers) *state += sleeper;
}

}  // namespace stackglue::differential
