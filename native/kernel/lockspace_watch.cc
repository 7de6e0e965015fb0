#include "kernel/lockspace_watch.h"

#include <fcntl.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "util/host_path.h"

namespace stackglue::kernel {
namespace {

// DLM_RS_DONE of fs/dlm/dlm_internal.h: this node's part of the recovery is done, and the lockspace
// runs as soon as all have done theirs. dlm_ls_stop() clears it.
constexpr unsigned long kRecoveryDone = 0x40;

// Recovery is a matter of milliseconds, once it may begin.
constexpr int64_t kTenseForMs = 5000;

}  // namespace

LockspaceWatch::~LockspaceWatch() {
  if (status_fd_ >= 0) close(status_fd_);
}

int LockspaceWatch::Open(const std::string& lockspace) {
  if (const int error = inotify_.Open()) return error;
  const std::string nodes = Membership::NodesPath(lockspace);
  const std::string sysfs = HostPath("/sys/kernel/dlm/") + lockspace;
  comms_watch_ =
      inotify_.Add(Membership::CommsPath().c_str(), IN_DELETE | IN_DELETE_SELF | IN_ONLYDIR);
  if (comms_watch_ < 0) return errno;
  control_watch_ = inotify_.Add(sysfs.c_str(), IN_MODIFY | IN_ONLYDIR);
  if (control_watch_ < 0) return errno;
  nodes_watch_ = inotify_.Add(nodes.c_str(), IN_CREATE | IN_DELETE | IN_DELETE_SELF | IN_ONLYDIR);
  if (nodes_watch_ < 0) return errno;
  status_fd_ = open((sysfs + "/recover_status").c_str(), O_RDONLY | O_CLOEXEC);
  if (status_fd_ < 0) return errno;
  // Watched first, listed second: a change in between is seen twice rather than missed, and the
  // second sight of it changes nothing.
  membership_.SetDrained(order_->clock().NowMs() / 1000);
  const int error = membership_.List(lockspace);
  // Nobody has to be told of what was so from the start.
  if (const auto state = ReadState()) order_->SetState(*state);
  return error;
}

// Reads all that inotify has.
bool LockspaceWatch::Drain() {
  alignas(inotify_event) char buffer[4096];
  bool was_any = false;
  for (;;) {
    const int64_t now_s = order_->clock().NowMs() / 1000;
    const ssize_t size = inotify_.Read(buffer, sizeof buffer);
    if (size <= 0) {
      membership_.SetDrained(now_s);
      return was_any;
    }
    was_any = true;
    for (ssize_t offset = 0; offset < size;) {
      inotify_event event;
      std::memcpy(&event, buffer + offset, sizeof event);
      const char* name = event.len > 0 ? buffer + offset + sizeof event : "";
      offset += static_cast<ssize_t>(sizeof event + event.len);
      if (order_->is_lost()) continue;
      if ((event.mask & IN_Q_OVERFLOW) != 0) {
        membership_.Compare();
        ExpectStart();
      } else if (event.wd == control_watch_) {
        if (std::strcmp(name, "control") != 0) continue;
        ExpectStart();
      } else if (event.wd == nodes_watch_) {
        membership_.HandleNodes(name, event.mask);
      } else if (event.wd == comms_watch_) {
        membership_.HandleComms(name, event.mask);
      }
    }
  }
}

void LockspaceWatch::ExpectStart() {
  order_->SeeControl();
  tense_until_ms_ = order_->clock().NowMs() + kTenseForMs;
}

// How far it has come since the last stop that we may have heard of: a stop has cleared the status
// before it is over (fs/dlm/member.c:dlm_ls_stop). Nothing when the lockspace has gone.
std::optional<order::RunState> LockspaceWatch::ReadState() const {
  char text[16] = "";
  if (pread(status_fd_, text, sizeof text - 1, 0) <= 0) return std::nullopt;
  const unsigned long status = std::strtoul(text, nullptr, 16);
  if (status == 0) return order::RunState::kStopped;
  return (status & kRecoveryDone) != 0 ? order::RunState::kRunning : order::RunState::kRecovering;
}

bool LockspaceWatch::is_tense() const {
  return order_->HasUnknownCause() || order_->clock().NowMs() < tense_until_ms_;
}

void LockspaceWatch::Look() {
  if (Drain() || order_->HoldsResults()) LookAtState();
}

void LockspaceWatch::GiveUpCauses() {
  for (const uint64_t departure : order_->OverdueCauses()) order_->SeeCause(departure, false);
}

void LockspaceWatch::LookAtState() {
  Drain();
  std::optional<order::RunState> state;
  // Until nothing has happened since it was read. dlm_controld removes a node before it starts the
  // lockspace, so all that a state has come from is known then.
  do {
    state = ReadState();
  } while (Drain());
  if (order_->is_lost()) return;
  membership_.SettleFailures();
  if (!state) return;  // the watch on its members tells
  order_->SeeState(*state);
  if (*state == order::RunState::kRunning) tense_until_ms_ = 0;
}

}  // namespace stackglue::kernel
