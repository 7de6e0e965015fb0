#include "keeper/device_users.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <string>

#include "kernel/kernel_thread_id.h"

namespace stackglue::keeper {
namespace {

bool IsSame(const struct stat& one, const struct stat& other) {
  if (S_ISCHR(one.st_mode)) return S_ISCHR(other.st_mode) && one.st_rdev == other.st_rdev;
  return one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

// Whether an entry of the folder is one that is looked for. `error`: the errno of what kept this
// from looking at all of them.
template <typename IsWanted>
bool HasEntry(const std::string& folder, IsWanted is_wanted, int* error) {
  bool is_found = false;
  DIR* const entries = opendir(folder.c_str());
  *error = entries == nullptr ? errno : 0;
  while (entries != nullptr && !is_found) {
    errno = 0;
    const dirent* const entry = readdir(entries);
    if (entry == nullptr) {
      *error = errno;
      break;
    }
    is_found = is_wanted(folder + "/" + entry->d_name, entry->d_name);
  }
  if (entries != nullptr) closedir(entries);
  return is_found;
}

// A process that has ended meanwhile has nothing open.
bool MayHaveOpen(const std::string& process, const struct stat& device) {
  int error = 0;
  const auto is_device = [&device](const std::string& path, const char*) {
    struct stat file;
    return stat(path.c_str(), &file) == 0 && IsSame(device, file);
  };
  return HasEntry(process + "/fd", is_device, &error) || error == EACCES || error == EPERM;
}

}  // namespace

bool IsOpenElsewhere(int fd) {
  struct stat device;
  if (!kernel::SeesKernelsPids() || fstat(fd, &device) != 0) return true;
  const std::string own = std::to_string(getpid());
  int error = 0;
  const auto has_open = [&device, &own](const std::string& process, const char* name) {
    return std::isdigit(static_cast<unsigned char>(*name)) != 0 && name != own &&
           MayHaveOpen(process, device);
  };
  return HasEntry("/proc", has_open, &error) || error != 0;
}

}  // namespace stackglue::keeper
