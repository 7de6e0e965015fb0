#include "keeper/device_users.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cctype>
#include <filesystem>
#include <string>
#include <system_error>

#include "kernel/kernel_thread_id.h"

namespace stackglue::keeper {
namespace {

namespace fs = std::filesystem;

bool IsSame(const struct stat& one, const struct stat& other) {
  if (S_ISCHR(one.st_mode)) return S_ISCHR(other.st_mode) && one.st_rdev == other.st_rdev;
  return one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

// A process that has ended meanwhile has nothing open.
bool MayHaveOpen(const fs::path& process, const struct stat& device) {
  std::error_code error;
  fs::directory_iterator files(process / "fd", error);
  for (; !error && files != fs::directory_iterator(); files.increment(error)) {
    struct stat file;
    if (stat(files->path().c_str(), &file) == 0 && IsSame(device, file)) return true;
  }
  return error == std::errc::permission_denied || error == std::errc::operation_not_permitted;
}

}  // namespace

bool IsOpenElsewhere(int fd) {
  struct stat device;
  if (!kernel::SeesKernelsPids() || fstat(fd, &device) != 0) return true;
  const std::string own = std::to_string(getpid());
  std::error_code error;
  fs::directory_iterator processes("/proc", error);
  for (; !error && processes != fs::directory_iterator(); processes.increment(error)) {
    const std::string name = processes->path().filename();
    if (std::isdigit(static_cast<unsigned char>(name.front())) == 0 || name == own) continue;
    if (MayHaveOpen(processes->path(), device)) return true;
  }
  return static_cast<bool>(error);
}

}  // namespace stackglue::keeper
