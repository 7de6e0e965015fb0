#include "kernel/lockspace_watch.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string_view>

#include "util/host_path.h"

namespace stackglue::kernel {
namespace {

std::string CommsPath() { return HostPath("/sys/kernel/config/dlm/cluster/comms"); }
std::string SpacesPath() { return HostPath("/sys/kernel/config/dlm/cluster/spaces/"); }
std::string SysfsPath() { return HostPath("/sys/kernel/dlm/"); }

// DLM_RS_DONE of fs/dlm/dlm_internal.h: this node's part of the recovery is done, and the lockspace
// runs as soon as all have done theirs. dlm_ls_stop() clears it.
constexpr unsigned long kRecoveryDone = 0x40;

// Recovery is a matter of milliseconds, once it may begin.
constexpr int64_t kTenseForMs = 5000;

// A node number, or 0 when the name is none.
int ParseNode(std::string_view name) {
  int node = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), node);
  return error == std::errc() && end == name.data() + name.size() && node > 0 ? node : 0;
}

template <typename Visit>
int ForEachNode(const std::string& path, Visit visit) {
  DIR* directory = opendir(path.c_str());
  if (directory == nullptr) return errno;
  while (const dirent* entry = readdir(directory)) {
    if (const int node = ParseNode(entry->d_name); node != 0) visit(node);
  }
  closedir(directory);
  return 0;
}

std::string CommsOf(int node) { return CommsPath() + "/" + std::to_string(node); }

bool HasComms(int node) {
  struct stat info;
  return stat(CommsOf(node).c_str(), &info) == 0;
}

// A small file of configfs; empty when it cannot be read. No child of this process inherits it.
std::string ReadFile(const std::string& path) {
  char text[4096];
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  const ssize_t size = read(fd, text, sizeof text);
  close(fd);
  return {text, static_cast<size_t>(std::max<ssize_t>(size, 0))};
}

int FindThisNode() {
  int local_node = 0;
  ForEachNode(CommsPath(), [&local_node](int node) {
    if (ReadFile(CommsOf(node) + "/local").rfind("1", 0) == 0) local_node = node;
  });
  return local_node;
}

}  // namespace

LockspaceWatch::~LockspaceWatch() {
  if (status_fd_ >= 0) close(status_fd_);
}

int LockspaceWatch::Open(const std::string& lockspace) {
  if (const int error = inotify_.Open()) return error;
  const std::string nodes = SpacesPath() + lockspace + "/nodes";
  const std::string sysfs = SysfsPath() + lockspace;
  nodes_path_ = nodes;
  comms_watch_ = inotify_.Add(CommsPath().c_str(), IN_DELETE | IN_DELETE_SELF | IN_ONLYDIR);
  if (comms_watch_ < 0) return errno;
  control_watch_ = inotify_.Add(sysfs.c_str(), IN_MODIFY | IN_ONLYDIR);
  if (control_watch_ < 0) return errno;
  nodes_watch_ = inotify_.Add(nodes.c_str(), IN_CREATE | IN_DELETE | IN_DELETE_SELF | IN_ONLYDIR);
  if (nodes_watch_ < 0) return errno;
  status_fd_ = open((sysfs + "/recover_status").c_str(), O_RDONLY | O_CLOEXEC);
  if (status_fd_ < 0) return errno;
  // Watched first, listed second: a change in between is seen twice rather than missed, and the
  // second sight of it changes nothing.
  drained_s_ = order_->clock().NowMs() / 1000;
  const int error = ForEachNode(nodes, [&](int node) { members_.try_emplace(node, drained_s_); });
  this_node_ = FindThisNode();
  for (const auto& [node, since_s] : members_) {
    if (!HasComms(node)) disconnected_.insert(node);
  }
  // Nobody has to be told of what was so from the start.
  if (const auto state = ReadState()) order_->SetState(*state);
  return error;
}

std::vector<std::string> LockspaceWatch::AddressesOf(int node) {
  // Lines of a family, such as AF_INET, and an address.
  std::istringstream list(ReadFile(CommsOf(node) + "/addr_list"));
  std::vector<std::string> addresses;
  std::string family;
  std::string address;
  while (list >> family >> address) addresses.push_back(address);
  return addresses;
}

// Reads all that inotify has.
bool LockspaceWatch::Drain() {
  alignas(inotify_event) char buffer[4096];
  bool was_any = false;
  for (;;) {
    const int64_t now_s = order_->clock().NowMs() / 1000;
    const ssize_t size = inotify_.Read(buffer, sizeof buffer);
    if (size <= 0) {
      drained_s_ = now_s;
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
        List();
      } else if (event.wd == control_watch_) {
        if (std::strcmp(name, "control") != 0) continue;
        order_->SeeControl();
        tense_until_ms_ = order_->clock().NowMs() + kTenseForMs;
      } else if (event.wd == nodes_watch_) {
        HandleMember(ParseNode(name), event.mask);
      } else if (event.wd == comms_watch_) {
        HandleComms(ParseNode(name), event.mask);
      }
    }
  }
}

void LockspaceWatch::HandleComms(int node, uint32_t mask) {
  if ((mask & (IN_DELETE_SELF | IN_IGNORED)) != 0 || node == this_node_) {
    order_->SeeOwnEnd();
    return;
  }
  if (members_.count(node) != 0) {
    disconnected_.insert(node);
  } else {
    late_failures_.insert(node);
  }
}

void LockspaceWatch::HandleMember(int node, uint32_t mask) {
  if ((mask & (IN_DELETE_SELF | IN_IGNORED)) != 0 ||
      ((mask & IN_DELETE) != 0 && node == this_node_)) {
    order_->SeeLoss(NoticeKind::kReleased);
    return;
  }
  // Nobody's going and coming is the lockspace's any more.
  if (node == 0 || order_->has_own_end()) return;
  if ((mask & IN_CREATE) != 0) {
    // Not since now: it may have failed again before this was seen.
    if (!members_.try_emplace(node, drained_s_).second) return;
    // It was the end of the life before.
    if (late_failures_.erase(node) != 0) order_->SeeFailure(node);
    disconnected_.erase(node);
    has_joined_ = true;
    order_->SeeJoin(node);
  } else if (const auto gone = members_.extract(node)) {
    const bool has_failed = disconnected_.erase(node) != 0;
    const uint64_t number =
        order_->SeeDeparture(node, has_failed ? order::Cause::kFailed : order::Cause::kUnknown);
    if (!has_failed) to_ask_.push_back({number, node, gone.mapped()});
  }
}

// Finds by comparison what events that were dropped would have told.
void LockspaceWatch::List() {
  std::set<int> listed;
  const bool is_there = ForEachNode(nodes_path_, [&listed](int node) { listed.insert(node); }) == 0;
  if (!is_there || listed.count(this_node_) == 0) {
    order_->SeeLoss(NoticeKind::kReleased);
    return;
  }
  if (!HasComms(this_node_)) order_->SeeOwnEnd();
  const std::map<int, int64_t> known = members_;
  for (const auto& [node, since_s] : known) {
    if (!HasComms(node)) HandleComms(node, IN_DELETE);
    if (listed.count(node) == 0) HandleMember(node, IN_DELETE);
  }
  for (const int node : order_->UnknownNodes()) {
    if (!HasComms(node)) order_->SeeFailure(node);
  }
  for (const int node : listed) HandleMember(node, IN_CREATE);
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

void LockspaceWatch::LookAtState() {
  Drain();
  std::optional<order::RunState> state;
  // Until nothing has happened since it was read. dlm_controld removes a node before it starts the
  // lockspace, so all that a state has come from is known then.
  do {
    state = ReadState();
  } while (Drain());
  if (order_->is_lost()) return;
  // Not what goes with this node's own end.
  for (const int node : std::exchange(late_failures_, {})) {
    if (HasComms(this_node_)) order_->SeeFailure(node);
  }
  // A failure of which neither its comms directory nor dlm_controld has told is taken for a leave.
  for (const uint64_t departure : order_->OverdueCauses()) order_->SeeCause(departure, false);
  if (!state) return;  // the watch on its members tells
  order_->SeeState(*state);
  if (*state == order::RunState::kRunning) tense_until_ms_ = 0;
}

}  // namespace stackglue::kernel
