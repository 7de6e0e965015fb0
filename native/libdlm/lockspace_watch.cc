#include "libdlm/lockspace_watch.h"

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
#include <ctime>
#include <sstream>
#include <string_view>

#include "util/host_path.h"

namespace stackglue::libdlm {
namespace {

std::string CommsPath() { return HostPath("/sys/kernel/config/dlm/cluster/comms"); }
std::string SpacesPath() { return HostPath("/sys/kernel/config/dlm/cluster/spaces/"); }
std::string SysfsPath() { return HostPath("/sys/kernel/dlm/"); }

// DLM_RS_DONE of fs/dlm/dlm_internal.h: this node's part of the recovery is done, and the lockspace
// runs as soon as all have done theirs. dlm_ls_stop() clears it.
constexpr unsigned long kRecoveryDone = 0x40;

// Five seconds: recovery is a matter of milliseconds, once it may begin.
constexpr int kTenseLooks = 500;
// Five seconds, for an answer that takes dlm_controld a few milliseconds.
constexpr int kUnclearLooks = 500;

int64_t NowInSeconds() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec;
}

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
  comms_watch_ = inotify_.Add(CommsPath().c_str(), IN_DELETE | IN_ONLYDIR);
  if (comms_watch_ < 0) return errno;
  control_watch_ = inotify_.Add(sysfs.c_str(), IN_MODIFY | IN_ONLYDIR);
  if (control_watch_ < 0) return errno;
  nodes_watch_ = inotify_.Add(nodes.c_str(), IN_CREATE | IN_DELETE | IN_DELETE_SELF | IN_ONLYDIR);
  if (nodes_watch_ < 0) return errno;
  status_fd_ = open((sysfs + "/recover_status").c_str(), O_RDONLY | O_CLOEXEC);
  if (status_fd_ < 0) return errno;
  // Watched first, listed second: a change in between is seen twice rather than missed, and the
  // second sight of it changes nothing.
  const int error =
      ForEachNode(nodes, [this](int node) { members_.try_emplace(node, NowInSeconds()); });
  this_node_ = FindThisNode();
  std::vector<Notice> stopped;
  Look(&stopped);  // nobody has to be told of what was so from the start
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

void LockspaceWatch::Take(std::vector<Notice>* notices) {
  alignas(inotify_event) char buffer[4096];
  bool was_told = false;
  for (;;) {
    const ssize_t size = inotify_.Read(buffer, sizeof buffer);
    if (size <= 0) break;
    for (ssize_t offset = 0; offset < size;) {
      inotify_event event;
      std::memcpy(&event, buffer + offset, sizeof event);
      const char* name = event.len > 0 ? buffer + offset + sizeof event : "";
      offset += static_cast<ssize_t>(sizeof event + event.len);
      if (is_released_) continue;
      if ((event.mask & IN_Q_OVERFLOW) != 0) {
        ListMembers(notices);
        was_told = true;
      } else if (event.wd == control_watch_) {
        if (std::strcmp(name, "control") != 0) continue;
        HandleControl(notices);
        was_told = true;
      } else if (event.wd == nodes_watch_) {
        HandleMember(ParseNode(name), event.mask, notices);
      } else if (event.wd == comms_watch_) {
        const int node = ParseNode(name);
        Settle(node, true, notices);
        if (members_.count(node) != 0) disconnected_.insert(node);
      }
    }
  }
  if (!was_told) return;
  tense_looks_ = kTenseLooks;
  Look(notices);
}

// Finds by comparison what events that were dropped would have told.
void LockspaceWatch::ListMembers(std::vector<Notice>* notices) {
  std::set<int> listed;
  if (ForEachNode(nodes_path_, [&listed](int node) { listed.insert(node); }) != 0) {
    HandleMember(0, IN_DELETE_SELF, notices);
    return;
  }
  const std::map<int, int64_t> known = members_;
  for (const auto& [node, since_s] : known) {
    if (listed.count(node) == 0) HandleMember(node, IN_DELETE, notices);
  }
  for (const int node : listed) HandleMember(node, IN_CREATE, notices);
}

void LockspaceWatch::HandleMember(int node, uint32_t mask, std::vector<Notice>* notices) {
  if ((mask & (IN_DELETE_SELF | IN_IGNORED)) != 0 ||
      ((mask & IN_DELETE) != 0 && node == this_node_)) {
    is_released_ = true;
    held_.clear();
    unclear_.clear();
    to_ask_.clear();
    notices->push_back({NoticeKind::kReleased});
    return;
  }
  if (node == 0) return;
  if ((mask & IN_CREATE) != 0) {
    if (!members_.try_emplace(node, NowInSeconds()).second) return;
    disconnected_.erase(node);
    held_.push_back({NoticeKind::kNodeJoined, node});
  } else if (const auto gone = members_.extract(node)) {
    unclear_.insert(node);
    if (disconnected_.erase(node) != 0 || !HasComms(node)) {
      Settle(node, true, notices);
    } else {
      to_ask_.push_back({node, gone.mapped()});
      unclear_looks_ = kUnclearLooks;
    }
  }
}

void LockspaceWatch::Settle(int node, bool has_failed, std::vector<Notice>* notices) {
  if (unclear_.erase(node) == 0) return;
  if (!has_failed) {
    held_.push_back({NoticeKind::kNodeLeft, node});
    return;
  }
  // It is not news any more that it had joined, unless it has come back already.
  if (members_.count(node) == 0) {
    std::erase_if(held_, [node](const Notice& held) { return held.node == node; });
  }
  notices->push_back({NoticeKind::kNodeFailed, node});
}

void LockspaceWatch::SettleByComms(std::vector<Notice>* notices) {
  for (const int node : std::set<int>(unclear_)) Settle(node, !HasComms(node), notices);
}

// A stop, a start, or something that looks like one: inotify makes one event of two writes that
// nothing came between, and two of a write by a shell, which truncates first. So what this goes by
// is the state. Where it runs each time that we look, every second event ends a stop that was over
// before we heard.
void LockspaceWatch::HandleControl(std::vector<Notice>* notices) {
  if (!IsRunning().value_or(true)) {
    if (!is_stopped_) Stop(notices);
    heard_half_ = false;
  } else if (!is_stopped_) {
    if (heard_half_) {
      notices->push_back({NoticeKind::kStopped});
      notices->push_back({NoticeKind::kResumed});
    }
    heard_half_ = !heard_half_;
  }
}

void LockspaceWatch::Stop(std::vector<Notice>* notices) {
  is_stopped_ = true;
  notices->push_back({NoticeKind::kStopped});
}

// Whether it has been started since the last stop that we may have heard of: a stop has cleared the
// status before it is over (fs/dlm/member.c:dlm_ls_stop). Nothing when the lockspace has gone.
std::optional<bool> LockspaceWatch::IsRunning() const {
  char text[16] = "";
  if (pread(status_fd_, text, sizeof text - 1, 0) <= 0) return std::nullopt;
  return (std::strtoul(text, nullptr, 16) & kRecoveryDone) != 0;
}

void LockspaceWatch::Look(std::vector<Notice>* notices) {
  if (tense_looks_ > 0) --tense_looks_;
  if (is_released_) return;
  if (is_unclear() && --unclear_looks_ <= 0) SettleByComms(notices);
  const auto is_running = IsRunning();
  if (!is_running) return;  // the watch on its members tells
  if (!*is_running) {
    if (!is_stopped_) Stop(notices);
    return;
  }
  if (is_unclear()) return;
  tense_looks_ = 0;
  notices->insert(notices->end(), held_.begin(), held_.end());
  held_.clear();
  if (is_stopped_) notices->push_back({NoticeKind::kResumed});
  is_stopped_ = false;
}

}  // namespace stackglue::libdlm
