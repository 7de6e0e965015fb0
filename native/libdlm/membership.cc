#include "libdlm/membership.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <string_view>

namespace stackglue::libdlm {
namespace {

constexpr char kCommsPath[] = "/sys/kernel/config/dlm/cluster/comms";
constexpr char kSpacesPath[] = "/sys/kernel/config/dlm/cluster/spaces";

// A node number, or 0 when the name is none.
int ParseNode(std::string_view name) {
  int node = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), node);
  return error == std::errc() && end == name.data() + name.size() && node > 0 ? node : 0;
}

template <typename Visit>
int ForEachNode(const char* path, Visit visit) {
  DIR* directory = opendir(path);
  if (directory == nullptr) return errno;
  while (const dirent* entry = readdir(directory)) {
    if (const int node = ParseNode(entry->d_name); node != 0) visit(node);
  }
  closedir(directory);
  return 0;
}

bool HasComms(int node) {
  struct stat info;
  return stat((std::string(kCommsPath) + "/" + std::to_string(node)).c_str(), &info) == 0;
}

}  // namespace

Membership::~Membership() {
  if (fd_ >= 0) close(fd_);
}

std::string Membership::NodesPath(const std::string& lockspace) {
  return std::string(kSpacesPath) + "/" + lockspace + "/nodes";
}

int Membership::Open(const std::string& lockspace) {
  fd_ = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (fd_ < 0) return errno;
  const std::string nodes = NodesPath(lockspace);
  comms_watch_ = inotify_add_watch(fd_, kCommsPath, IN_DELETE | IN_ONLYDIR);
  if (comms_watch_ < 0) return errno;
  nodes_watch_ = inotify_add_watch(fd_, nodes.c_str(), IN_CREATE | IN_DELETE | IN_ONLYDIR);
  if (nodes_watch_ < 0) return errno;
  // Watched first, listed second: a change in between is seen twice rather than missed, and the
  // second sight of it changes nothing.
  return ForEachNode(nodes.c_str(), [this](int node) { members_.insert(node); });
}

void Membership::TakeDepartures(std::vector<Departure>* departures) {
  alignas(inotify_event) char buffer[4096];
  for (;;) {
    const ssize_t size = read(fd_, buffer, sizeof buffer);
    if (size <= 0) return;
    for (ssize_t offset = 0; offset < size;) {
      inotify_event event;
      std::memcpy(&event, buffer + offset, sizeof event);
      const char* name = buffer + offset + sizeof event;
      offset += static_cast<ssize_t>(sizeof event + event.len);
      const int node = event.len > 0 ? ParseNode(name) : 0;
      if (node == 0) continue;
      if (event.wd == nodes_watch_) {
        HandleMember(node, event.mask, departures);
      } else if (event.wd == comms_watch_ && members_.count(node) != 0) {
        disconnected_.insert(node);
      }
    }
  }
}

void Membership::HandleMember(int node, uint32_t mask, std::vector<Departure>* departures) {
  if ((mask & IN_CREATE) != 0) {
    if (members_.insert(node).second) disconnected_.erase(node);
  } else if (members_.erase(node) != 0) {
    departures->push_back({node, disconnected_.erase(node) != 0 || !HasComms(node)});
  }
}

int Membership::ThisNode() {
  int local_node = 0;
  ForEachNode(kCommsPath, [&local_node](int node) {
    const std::string path = std::string(kCommsPath) + "/" + std::to_string(node) + "/local";
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    char value = '0';
    if (read(fd, &value, 1) == 1 && value == '1') local_node = node;
    close(fd);
  });
  return local_node;
}

}  // namespace stackglue::libdlm
