// What a machine shows as files, in a folder: configfs and sysfs of the DLM, /proc/misc, the
// devices. The machine is node 1.
//
// Threads: one.
#ifndef STACKGLUE_TEST_FAKE_DEVICE_MACHINE_HOST_FILES_H_
#define STACKGLUE_TEST_FAKE_DEVICE_MACHINE_HOST_FILES_H_

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

namespace stackglue::fake_device {

inline constexpr int kThisNode = 1;
inline constexpr int kNodeMax = 16;

class HostFiles {
 public:
  // All of these throw std::filesystem::filesystem_error.
  explicit HostFiles(std::filesystem::path root);

  const std::filesystem::path& root() const { return root_; }

  void AddPeer(int node);
  void RemovePeer(int node);
  void AddSpace(const std::string& lockspace);
  void RemoveSpace(const std::string& lockspace);
  // What udev does for a lockspace.
  void NameDevice(const std::string& lockspace);
  // By the number of its device; empty where there is none.
  std::string FindSpace(uint32_t minor) const;
  void AddMember(const std::string& lockspace, int node);
  void RemoveMember(const std::string& lockspace, int node);
  bool IsMember(const std::string& lockspace, int node) const;
  // As the kernel and dlm_controld do: the status is there when inotify tells of the write.
  void Stop(const std::string& lockspace);
  // The two parts of a start: dlm_controld's, and the end of the recovery.
  void Recover(const std::string& lockspace);
  void Run(const std::string& lockspace);
  // dlm_controld ends here: nobody is in the cluster any more.
  void RemovePeers();

 private:
  void AddPeers();
  std::filesystem::path Sysfs(const std::string& lockspace) const;
  std::filesystem::path Nodes(const std::string& lockspace) const;
  void WriteDevices();

  const std::filesystem::path root_;
  std::map<std::string, uint32_t> devices_;  // and their numbers
  int removed_ = 0;
};

}  // namespace stackglue::fake_device

#endif  // STACKGLUE_TEST_FAKE_DEVICE_MACHINE_HOST_FILES_H_
