// Who is in a lockspace. See membership.h.
#include "kernel/membership.h"

#include <dirent.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include <cerrno>
#include <charconv>
#include <string_view>

#include "util/host_path.h"
#include "util/text_file.h"

namespace stackglue::kernel {
namespace {

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

std::string CommsOf(int node) { return Membership::CommsPath() + "/" + std::to_string(node); }

bool HasComms(int node) {
  struct stat info;
  return stat(CommsOf(node).c_str(), &info) == 0;
}

int FindThisNode() {
  int local_node = 0;
  ForEachNode(Membership::CommsPath(), [&local_node](int node) {
    if (ReadText(CommsOf(node) + "/local").rfind("1", 0) == 0) local_node = node;
  });
  return local_node;
}

}  // namespace

std::string Membership::CommsPath() { return HostPath("/sys/kernel/config/dlm/cluster/comms"); }

std::string Membership::NodesPath(const std::string& lockspace) {
  return HostPath("/sys/kernel/config/dlm/cluster/spaces/") + lockspace + "/nodes";
}

int Membership::List(const std::string& lockspace) {
  nodes_path_ = NodesPath(lockspace);
  const int error =
      ForEachNode(nodes_path_, [&](int node) { members_.try_emplace(node, drained_s_); });
  this_node_ = FindThisNode();
  for (const auto& [node, since_s] : members_) {
    if (!HasComms(node)) disconnected_.insert(node);
  }
  return error;
}

std::vector<std::string> Membership::AddressesOf(int node) {
  // Lines of a family, such as AF_INET, and an address.
  const std::string list = ReadText(CommsOf(node) + "/addr_list");
  std::vector<std::string> addresses;
  std::string_view words = list;
  while (!TakeWord(&words).empty()) {
    if (const std::string_view address = TakeWord(&words); !address.empty()) {
      addresses.emplace_back(address);
    }
  }
  return addresses;
}

void Membership::HandleComms(const char* name, uint32_t mask) { HandleNode(ParseNode(name), mask); }

void Membership::HandleNodes(const char* name, uint32_t mask) {
  HandleMember(ParseNode(name), mask);
}

void Membership::HandleNode(int node, uint32_t mask) {
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

void Membership::HandleMember(int node, uint32_t mask) {
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
    changes_.push_back({node, true});
    order_->SeeJoin(node);
  } else if (const auto gone = members_.extract(node)) {
    const bool has_failed = disconnected_.erase(node) != 0;
    changes_.push_back({node, false});
    const uint64_t number =
        order_->SeeDeparture(node, has_failed ? order::Cause::kFailed : order::Cause::kUnknown);
    if (!has_failed) to_ask_.push_back({number, node, gone.mapped()});
  }
}

void Membership::Compare() {
  std::set<int> listed;
  const bool is_there = ForEachNode(nodes_path_, [&listed](int node) { listed.insert(node); }) == 0;
  if (!is_there || listed.count(this_node_) == 0) {
    order_->SeeLoss(NoticeKind::kReleased);
    return;
  }
  if (!HasComms(this_node_)) order_->SeeOwnEnd();
  const std::map<int, int64_t> known = members_;
  for (const auto& [node, since_s] : known) {
    if (!HasComms(node)) HandleNode(node, IN_DELETE);
    if (listed.count(node) == 0) HandleMember(node, IN_DELETE);
  }
  for (const int node : order_->UnknownNodes()) {
    if (!HasComms(node)) order_->SeeFailure(node);
  }
  for (const int node : listed) HandleMember(node, IN_CREATE);
}

void Membership::SettleFailures() {
  // Not what goes with this node's own end.
  for (const int node : std::exchange(late_failures_, {})) {
    if (HasComms(this_node_)) order_->SeeFailure(node);
  }
}

}  // namespace stackglue::kernel
