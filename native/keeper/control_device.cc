#include "keeper/control_device.h"

#include <fcntl.h>
#include <linux/dlm_device.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <string_view>

#include "util/text_file.h"

namespace stackglue::keeper {

std::string ControlDevice::PathOf(const std::string& lockspace) const {
  return path_.substr(0, path_.rfind('/') + 1) + "dlm_" + lockspace;
}

std::optional<uint32_t> ControlDevice::Find(const std::string& device) const {
  TextFile devices(list_path_);
  for (std::string line; devices.Next(&line);) {
    std::string_view words = line;
    const std::string_view number = TakeWord(&words);
    if (TakeWord(&words) != device) continue;
    uint32_t minor = 0;
    const char* end = number.data() + number.size();
    if (std::from_chars(number.data(), end, minor).ptr == end) return minor;
  }
  return std::nullopt;
}

std::optional<uint32_t> ControlDevice::FindLockspace(const std::string& lockspace) const {
  return Find("dlm_" + lockspace);
}

int ControlDevice::Remove(uint32_t minor) const {
  const int fd = open(path_.c_str(), O_RDWR | O_CLOEXEC);
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

bool ControlDevice::MayCreate() const {
  // What takes the same right, and is never done: there cannot be such a device. One that cannot
  // even be opened cannot be asked.
  const int error = Remove(UINT32_MAX);
  return error != EPERM && error != EACCES;
}

}  // namespace stackglue::keeper
