#include "machine/host_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <fstream>
#include <string_view>
#include <system_error>
#include <utility>

namespace stackglue::fake_device {
namespace {

namespace fs = std::filesystem;

// In place, in one call: as one event of inotify, and never seen half.
void Overwrite(const fs::path& path, std::string_view text) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0 || pwrite(fd, text.data(), text.size(), 0) < 0) {
    throw fs::filesystem_error("write", path, std::error_code(errno, std::generic_category()));
  }
  close(fd);
}

}  // namespace

HostFiles::HostFiles(fs::path root) : root_(std::move(root)) {
  for (const char* folder :
       {"run", "proc", "dev/misc", "sys/kernel/dlm", "sys/kernel/debug/dlm",
        "sys/kernel/config/dlm/cluster/comms", "sys/kernel/config/dlm/cluster/spaces"}) {
    fs::create_directories(root_ / folder);
  }
  Overwrite(root_ / "dev/misc/dlm-control", "");
  WriteDevices();
  AddPeers();
}

void HostFiles::AddPeers() {
  for (const int node : {kThisNode, 2, 3}) AddPeer(node);
}

fs::path HostFiles::Sysfs(const std::string& lockspace) const {
  return root_ / "sys/kernel/dlm" / lockspace;
}

fs::path HostFiles::Nodes(const std::string& lockspace) const {
  return root_ / "sys/kernel/config/dlm/cluster/spaces" / lockspace / "nodes";
}

void HostFiles::WriteDevices() {
  const fs::path next = root_ / "proc/misc.next";
  std::ofstream list(next);
  list << " 61 dlm-control\n";
  for (const auto& [name, minor] : devices_) list << ' ' << minor << " dlm_" << name << '\n';
  list.close();
  fs::rename(next, root_ / "proc/misc");
}

void HostFiles::AddPeer(int node) {
  const fs::path peer = root_ / "sys/kernel/config/dlm/cluster/comms" / std::to_string(node);
  if (!fs::create_directory(peer)) return;
  Overwrite(peer / "local", node == kThisNode ? "1\n" : "0\n");
  Overwrite(peer / "addr_list", "AF_INET 192.0.2." + std::to_string(node) + "\n");
}

void HostFiles::RemovePeer(int node) {
  const fs::path peer = root_ / "sys/kernel/config/dlm/cluster/comms" / std::to_string(node);
  std::error_code missing;
  fs::remove(peer / "addr_list", missing);
  fs::remove(peer / "local", missing);
  fs::remove(peer, missing);
}

void HostFiles::RemovePeers() {
  for (int node = 1; node <= kNodeMax; ++node) RemovePeer(node);
}

void HostFiles::AddSpace(const std::string& lockspace) {
  AddPeers();  // a daemon that has ended has been started again
  fs::create_directories(Sysfs(lockspace));
  Overwrite(Sysfs(lockspace) / "recover_status", "40\n");
  Overwrite(Sysfs(lockspace) / "control", "1");
  fs::create_directories(Nodes(lockspace));
  for (const int node : {kThisNode, 2}) AddMember(lockspace, node);
  uint32_t minor = 62;
  while (!FindSpace(minor).empty()) ++minor;
  devices_[lockspace] = minor;
  WriteDevices();
}

void HostFiles::NameDevice(const std::string& lockspace) {
  Overwrite(root_ / "dev/misc" / ("dlm_" + lockspace), "");
}

std::string HostFiles::FindSpace(uint32_t minor) const {
  for (const auto& [name, known] : devices_) {
    if (known == minor) return name;
  }
  return {};
}

void HostFiles::RemoveSpace(const std::string& lockspace) {
  devices_.erase(lockspace);
  std::error_code missing;
  fs::remove(root_ / "dev/misc" / ("dlm_" + lockspace), missing);
  WriteDevices();
  fs::remove_all(Nodes(lockspace).parent_path());
  // Kept, as sysfs gives no inode's number again so soon.
  fs::create_directories(root_ / "removed");
  fs::rename(Sysfs(lockspace), root_ / "removed" / std::to_string(++removed_));
}

void HostFiles::AddMember(const std::string& lockspace, int node) {
  fs::create_directory(Nodes(lockspace) / std::to_string(node));
}

void HostFiles::RemoveMember(const std::string& lockspace, int node) {
  fs::remove(Nodes(lockspace) / std::to_string(node));
}

bool HostFiles::IsMember(const std::string& lockspace, int node) const {
  return fs::exists(Nodes(lockspace) / std::to_string(node));
}

void HostFiles::Stop(const std::string& lockspace) {
  Overwrite(Sysfs(lockspace) / "recover_status", "00\n");
  Overwrite(Sysfs(lockspace) / "control", "0");
}

void HostFiles::Recover(const std::string& lockspace) {
  Overwrite(Sysfs(lockspace) / "control", "1");
  Overwrite(Sysfs(lockspace) / "recover_status", "01\n");
}

void HostFiles::Run(const std::string& lockspace) {
  Overwrite(Sysfs(lockspace) / "recover_status", "40\n");
}

}  // namespace stackglue::fake_device
