#include "keeper/control_device.h"

#include <fcntl.h>
#include <linux/dlm_device.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>

#include "util/host_path.h"

namespace stackglue::keeper {

std::string ControlDevice() { return HostPath("/dev/misc/dlm-control"); }

std::string LockspaceDevice(const std::string& lockspace) {
  return HostPath("/dev/misc/dlm_") + lockspace;
}

std::optional<uint32_t> FindMiscDevice(const std::string& name) {
  std::ifstream devices(HostPath("/proc/misc"));
  uint32_t minor = 0;
  std::string device;
  while (devices >> minor >> device) {
    if (device == name) return minor;
  }
  return std::nullopt;
}

std::optional<uint32_t> FindLockspaceDevice(const std::string& lockspace) {
  return FindMiscDevice("dlm_" + lockspace);
}

int RemoveLockspace(uint32_t minor) {
  const int fd = open(ControlDevice().c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return errno;
  dlm_write_request request{};
  request.version[0] = DLM_DEVICE_VERSION_MAJOR;
  request.version[1] = DLM_DEVICE_VERSION_MINOR;
  request.version[2] = DLM_DEVICE_VERSION_PATCH;
  request.cmd = DLM_USER_REMOVE_LOCKSPACE;
  request.is64bit = 1;
  request.i.lspace.minor = static_cast<int>(minor);
  const int error = write(fd, &request, sizeof request) < 0 ? errno : 0;
  close(fd);
  return error;
}

bool MayCreateLockspaces() {
  // What takes the same right, and is never done: there cannot be such a device. One that cannot
  // even be opened cannot be asked.
  const int error = RemoveLockspace(UINT32_MAX);
  return error != EPERM && error != EACCES;
}

}  // namespace stackglue::keeper
