#include "keeper/opener.h"

#include <fcntl.h>
#include <linux/dlm.h>
#include <linux/dlm_device.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <fstream>
#include <thread>

#include "keeper/lock_list.h"
#include "util/host_path.h"

namespace stackglue::keeper {
namespace {

using libdlm::OpenFailure;
using libdlm::OpenResult;

std::string ControlDevice() { return HostPath("/dev/misc/dlm-control"); }

// How long another process may take to give a device to a lockspace that the kernel knows already.
constexpr std::chrono::milliseconds kJoinPatience{5000};
// How long udev may take to name a device that the kernel has: as long as libdlm waits for it.
constexpr std::chrono::milliseconds kDevicePatience{10000};
// How long our own unlocks may be on their way to other nodes after the device is closed.
constexpr std::chrono::milliseconds kUnlockPatience{5000};
constexpr std::chrono::milliseconds kTick{20};

bool IsMiscDevice(const std::string& name) {
  std::ifstream devices(HostPath("/proc/misc"));
  std::string minor;
  std::string device;
  while (devices >> minor >> device) {
    if (device == name) return true;
  }
  return false;
}

// The turn of creating a lockspace on this node. The kernel does not take turns when it registers
// the device of a lockspace that two processes create at once: the second fails with EEXIST, and
// takes the name of the first one's device with it (fs/dlm/user.c:dlm_device_register).
class CreationTurn {
 public:
  CreationTurn() : fd_(open(ControlDevice().c_str(), O_RDONLY | O_CLOEXEC)) {
    while (fd_ >= 0 && flock(fd_, LOCK_EX) != 0 && errno == EINTR) {
    }
  }
  CreationTurn(const CreationTurn&) = delete;
  CreationTurn& operator=(const CreationTurn&) = delete;
  ~CreationTurn() {
    const int error = errno;  // that of the creation
    if (fd_ >= 0) close(fd_);
    errno = error;
  }

 private:
  const int fd_;
};

// Whether this process may create lockspaces, by asking the kernel for what takes the same right
// and is never done: to remove the lockspace of a device that there cannot be. (A capability of a
// container's own user namespace is none here.)
bool MayCreate() {
  const int fd = open(ControlDevice().c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return false;
  dlm_write_request request{};
  request.version[0] = DLM_DEVICE_VERSION_MAJOR;
  request.version[1] = DLM_DEVICE_VERSION_MINOR;
  request.version[2] = DLM_DEVICE_VERSION_PATCH;
  request.cmd = DLM_USER_REMOVE_LOCKSPACE;
  request.i.lspace.minor = UINT32_MAX;
  const bool is_denied = write(fd, &request, sizeof request) < 0 && errno == EPERM;
  close(fd);
  return !is_denied;
}

OpenFailure DeniedOr(int error, OpenFailure other) {
  return error == EPERM || error == EACCES ? OpenFailure::kPermission : other;
}

}  // namespace

Opener::Opener(const libdlm::KeeperRequest& request, const std::atomic<bool>& is_over)
    : name_(request.name),
      library_path_(request.library),
      create_(request.create != 0),
      flags_(request.lockspace_flags),
      mode_(static_cast<mode_t>(request.device_mode)),
      is_over_(is_over) {}

OpenResult Opener::Open() {
  OpenResult result;
  static std::unique_ptr<Library> loaded = Library::Load(library_path_, &result.detail);
  library_ = loaded.get();
  if (library_ == nullptr) {
    result.failure = OpenFailure::kNoLibrary;
    return result;
  }
  // Looked at here because libdlm waits ten seconds for a device that udev has yet to make.
  if (!IsMiscDevice("dlm-control")) return {OpenFailure::kNoDlm, 0, {}};
  if (access(ControlDevice().c_str(), F_OK) != 0)
    return {OpenFailure::kNoDevice, errno, ControlDevice()};
  if (!OpenHandle(&result)) return result;

  device_fd_ = library_->dlm_ls_get_fd(handle_);
  const int flags = fcntl(device_fd_, F_GETFL);
  if (flags < 0 || fcntl(device_fd_, F_SETFL, flags | O_NONBLOCK) < 0) {
    return {OpenFailure::kFailed, errno, {}};
  }
  return result;
}

bool Opener::OpenHandle(OpenResult* result) {
  uint32_t* kernel = versions_.kernel;
  if (library_->dlm_kernel_version(&kernel[0], &kernel[1], &kernel[2]) != 0) {
    const int error = errno;
    const bool denied =
        error == EACCES || error == EPERM || access(ControlDevice().c_str(), R_OK) != 0;
    *result = {denied ? OpenFailure::kPermission : OpenFailure::kFailed, error, ControlDevice()};
    return false;
  }
  uint32_t* library = versions_.library;
  library_->dlm_library_version(&library[0], &library[1], &library[2]);
  // Exclusively, so what is there stays as it is. But first the kernel waits for whoever is
  // creating a lockspace, or giving one up, however long that takes (fs/dlm/lockspace.c: ls_lock).
  if (create_ && HasNoDevice() && Create(flags_ | DLM_LSFL_NEWEXCL)) return true;
  if (IsKernelLockspace()) {
    *result = {OpenFailure::kForeignLockspace, EPERM, {}};
    return false;
  }
  const bool exists = IsMiscDevice("dlm_" + name_);
  const bool exclusive = (flags_ & DLM_LSFL_NEWEXCL) != 0;
  if (create_) {
    if (Create(flags_)) return true;
    const int error = errno;
    switch (error) {
      case EUNATCH:
      case ENOTCONN:
        *result = {OpenFailure::kNoDaemon, error, {}};
        return false;
      case EPROTO:
        *result = {OpenFailure::kForeignLockspace, error, {}};
        return false;
      case EEXIST:
        *result = {OpenFailure::kLockspaceExists, error, {}};
        return false;
      case EPERM:
        // The kernel hands on the daemon's refusal, which is -1 for whatever reason.
        if (!MayCreate()) break;
        *result = {OpenFailure::kDaemonRefused, 0, {}};
        return false;
    }
    // Creating takes CAP_SYS_ADMIN; a lockspace that is there already can be used without.
    *result = {DeniedOr(error, OpenFailure::kFailed), error, {}};
    if (result->failure != OpenFailure::kPermission || !exists || exclusive) return false;
    *result = {};
  } else if (!exists) {
    *result = {OpenFailure::kUnknownLockspace, ENOENT, {}};
    return false;
  }
  if (const int error = OpenExisting()) {
    *result = {
        error == ENODEV ? OpenFailure::kUnknownLockspace : DeniedOr(error, OpenFailure::kFailed),
        error,
        {}};
    return false;
  }
  return true;
}

// Opens a lockspace that the kernel has a device for, and returns 0, or why not: ENODEV, it has
// gone meanwhile. On a host the device has its name when udev has heard of it, which libdlm waits
// for only where it creates a lockspace.
int Opener::OpenExisting() {
  for (auto patience = kDevicePatience;; patience -= kTick) {
    handle_ = library_->dlm_open_lockspace(name_.c_str());
    if (handle_ != nullptr) return 0;
    const int error = errno;
    if (error != ENOENT) return error;
    if (!IsMiscDevice("dlm_" + name_)) return ENODEV;
    if (patience <= kTick || is_over_) return error;
    std::this_thread::sleep_for(kTick);
  }
}

bool Opener::Create(uint32_t flags) {
  const CreationTurn turn;
  if (is_over_) return false;
  handle_ = library_->dlm_new_lockspace(name_.c_str(), mode_, flags | DLM_LSFL_NEWEXCL);
  if (handle_ == nullptr && errno == EEXIST && (flags & DLM_LSFL_NEWEXCL) == 0) {
    // One that is there keeps its permissions, which libdlm sets anew unless the mode is 0.
    handle_ = library_->dlm_new_lockspace(name_.c_str(), 0, flags);
  }
  created_ = handle_ != nullptr;
  return created_;
}

// Whether the kernel knows the lockspace, and user space cannot use it: it is being created or
// given up by another process, or is none for user space.
bool Opener::HasNoDevice() const {
  const std::string sysfs = HostPath("/sys/kernel/dlm/") + name_;
  return access(sysfs.c_str(), F_OK) == 0 && !IsMiscDevice("dlm_" + name_);
}

// Whether the lockspace is there but not for user space: made by the kernel itself, for GFS2 or
// OCFS2, with value blocks of another size. The kernel would let us in and write beyond the 32
// bytes that it keeps for ours. One that another process is just creating has no device yet either,
// so this waits until it has been joined, and then some. One that is being given up has none any
// more, which only Create() tells apart.
bool Opener::IsKernelLockspace() const {
  const std::string configfs =
      HostPath("/sys/kernel/config/dlm/cluster/spaces/") + name_ + "/nodes";
  auto patience = kJoinPatience;
  while (HasNoDevice()) {
    if (patience <= kTick || is_over_) return true;
    if (access(configfs.c_str(), F_OK) == 0) patience -= kTick;
    std::this_thread::sleep_for(kTick);
  }
  return false;
}

void Opener::Shut() {
  if (handle_ == nullptr) return;
  if (created_) {
    Release();
  } else {
    library_->dlm_close_lockspace(handle_);
  }
  handle_ = nullptr;
}

// Force would take away the locks of a process on this node that has only opened the lockspace, and
// the orphans that others may want to adopt. Without it the kernel refuses while it knows of any
// lock: for a moment our own, whose unlocks are on their way to other nodes, but also those of
// other nodes that have this one for their master, for as long as they please (fs/dlm/lockspace.c:
// lockspace_busy). So once there are no others than those, it is by force.
void Opener::Release() {
  auto patience = kUnlockPatience;
  bool by_force = false;
  for (;;) {
    // libdlm does not hand on what the kernel says, but leaves its errno.
    errno = 0;
    library_->dlm_release_lockspace(name_.c_str(), handle_, by_force ? 1 : 0);
    if (errno != EBUSY || patience <= kTick) return;
    by_force = HasOnlyOthersLocks(name_);
    if (!by_force) std::this_thread::sleep_for(kTick);
    patience -= kTick;
    handle_ = library_->dlm_open_lockspace(name_.c_str());
    if (handle_ == nullptr) return;  // somebody else has released it
  }
}

}  // namespace stackglue::keeper
