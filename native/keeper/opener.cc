#include "keeper/opener.h"

#include <fcntl.h>
#include <linux/dlm.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

#include "keeper/device_users.h"
#include "keeper/lock_list.h"
#include "util/host_path.h"
#include "util/text_file.h"

namespace stackglue::keeper {
namespace {

using kernel::OpenFailure;
using kernel::OpenResult;

// How long another process may take to give a device to a lockspace that the kernel knows already.
constexpr std::chrono::milliseconds kJoinPatience{5000};
// How long udev may take to name a device that the kernel has: as long as libdlm waits for it.
constexpr std::chrono::milliseconds kDevicePatience{10000};
// How long our own unlocks may be on their way to other nodes after the device is closed.
constexpr std::chrono::milliseconds kUnlockPatience{5000};
constexpr std::chrono::milliseconds kTick{20};

// In the place of an errno: the kernel of this node has made the lockspace for itself.
constexpr int kIsForeign = -1;

// What a lockspace is not opened under that is about to be released by force: a lock on its folder
// in sysfs, shared by those who open it.
class FolderLock {
 public:
  // `how` is LOCK_SH or LOCK_EX. Does not wait.
  FolderLock(const std::string& sysfs, int how)
      : fd_(open(sysfs.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)),
        is_refused_(fd_ >= 0 && flock(fd_, how | LOCK_NB) != 0) {}
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;
  ~FolderLock() {
    const int error = errno;
    if (fd_ >= 0) close(fd_);
    errno = error;
  }

  bool is_held() const { return fd_ >= 0 && !is_refused_; }
  // Somebody else has it.
  bool is_refused() const { return is_refused_; }

 private:
  const int fd_;
  const bool is_refused_;
};

OpenFailure DeniedOr(int error, OpenFailure other) {
  return error == EPERM || error == EACCES ? OpenFailure::kPermission : other;
}

// Whether a thread of this process sleeps where a signal would wake it, so in no call that waits
// for the cluster.
bool IsAsleep(pid_t thread) {
  const std::string stat = ReadText("/proc/self/task/" + std::to_string(thread) + "/stat");
  const size_t name_end = stat.rfind(')');
  return name_end != std::string::npos && stat.compare(name_end, 3, ") S") == 0;
}

}  // namespace

Opener::Opener(const kernel::KeeperRequest& request, const std::atomic<bool>& is_over)
    : name_(request.name),
      library_path_(request.library),
      sysfs_(HostPath("/sys/kernel/dlm/") + name_),
      control_(HostPath("/dev/misc/dlm-control"), HostPath("/proc/misc")),
      create_(request.create != 0),
      flags_(request.lockspace_flags),
      mode_(static_cast<mode_t>(request.device_mode)),
      is_over_(is_over) {}

OpenResult Opener::Open() {
  worker_ = static_cast<pid_t>(syscall(SYS_gettid));
  OpenResult result = OpenAny();
  Stage idle = Stage::kIdle;
  if (!stage_.compare_exchange_strong(idle, Stage::kOpened) && idle == Stage::kEnding) {
    for (;;) pause();
  }
  stage_ = Stage::kOpened;
  return result;
}

bool Opener::MayEnd() {
  Stage stage = Stage::kIdle;
  if (stage_.compare_exchange_strong(stage, Stage::kEnding)) return true;
  // libdlm waits for something before it asks the kernel: until then the kernel knows nothing.
  return stage == Stage::kCalling && access(sysfs_.c_str(), F_OK) != 0 &&
         !control_.FindLockspace(name_) && IsAsleep(worker_);
}

OpenResult Opener::OpenAny() {
  OpenResult result;
  static std::unique_ptr<Library> loaded = Library::Load(library_path_, &result.detail);
  library_ = loaded.get();
  if (library_ == nullptr) {
    result.failure = OpenFailure::kNoLibrary;
    return result;
  }
  // Looked at here because libdlm waits ten seconds for a device that udev has yet to make.
  if (!control_.IsThere()) return {OpenFailure::kNoDlm, 0, {}};
  if (access(control_.path().c_str(), F_OK) != 0) {
    return {OpenFailure::kNoDevice, errno, control_.path()};
  }
  if (!ReadVersions(&result)) return result;

  const bool exclusive = (flags_ & DLM_LSFL_NEWEXCL) != 0;
  const bool existed = control_.FindLockspace(name_).has_value();
  if (create_) {
    const int error = Create();
    // Creating takes CAP_SYS_ADMIN; a lockspace that is there already can be used without.
    if (error != 0) result = CreationFailure(error);
    if (error != 0 && (result.failure != OpenFailure::kPermission || !existed || exclusive)) {
      return result;
    }
  } else if (!AwaitDevice()) {
    return {OpenFailure::kForeignLockspace, EPERM, {}};
  }
  if (handle_ == nullptr) {
    result = OpeningFailure(OpenExisting());
    if (result.failure != OpenFailure::kNone) return result;
  }

  device_fd_ = library_->dlm_ls_get_fd(handle_);
  const int flags = fcntl(device_fd_, F_GETFL);
  if (flags < 0 || fcntl(device_fd_, F_SETFL, flags | O_NONBLOCK) < 0) {
    return {OpenFailure::kFailed, errno, {}};
  }
  return result;
}

bool Opener::ReadVersions(OpenResult* result) {
  uint32_t* kernel = versions_.kernel;
  if (library_->dlm_kernel_version(&kernel[0], &kernel[1], &kernel[2]) != 0) {
    const int error = errno;
    const bool denied =
        error == EACCES || error == EPERM || access(control_.path().c_str(), R_OK) != 0;
    *result = {denied ? OpenFailure::kPermission : OpenFailure::kFailed, error, control_.path()};
    return false;
  }
  uint32_t* library = versions_.library;
  library_->dlm_library_version(&library[0], &library[1], &library[2]);
  return true;
}

OpenResult Opener::CreationFailure(int error) const {
  switch (error) {
    case EUNATCH:
    case ENOTCONN:
      return {OpenFailure::kNoDaemon, error, {}};
    case kIsForeign:
      return {OpenFailure::kForeignLockspace, EPERM, {}};
    case EPROTO:
      return {OpenFailure::kForeignLockspace, error, {}};
    case EEXIST:
      return {OpenFailure::kLockspaceExists, error, {}};
    case ENOENT:
      return {OpenFailure::kDeviceMissing, error, control_.PathOf(name_)};
    case EPERM:
      // The kernel hands on the daemon's refusal, which is -1 for whatever reason.
      if (!control_.MayCreate()) break;
      return {OpenFailure::kDaemonRefused, 0, {}};
  }
  return {DeniedOr(error, OpenFailure::kFailed), error, {}};
}

OpenResult Opener::OpeningFailure(int error) const {
  switch (error) {
    case 0:
      return {};
    case ENODEV:
      return {OpenFailure::kUnknownLockspace, ENOENT, {}};
    case ENOENT:
      return {OpenFailure::kDeviceMissing, error, control_.PathOf(name_)};
  }
  return {DeniedOr(error, OpenFailure::kFailed), error, {}};
}

// ---- Creating it ----

// Creates the lockspace, or takes a share in one that user space has made. 0, or the errno of the
// kernel or libdlm; EPROTO: another node's kernel has made it for itself, kIsForeign: this node's
// has, EEXIST: it was to be created exclusively.
//
// First exclusively, so that what is there stays as it is; and the kernel waits for whoever is
// creating a lockspace or giving one up then, however long that takes (fs/dlm/lockspace.c:
// ls_lock). A share in the kernel's own would be given to us, and we would write beyond the 32
// bytes that it keeps for a value block of ours: so it is looked, before and after, whether it is
// the same one that had a device for user space.
int Opener::Create() {
  auto named_by = kDevicePatience;
  for (;;) {
    {
      CreationTurn turn(control_.path());
      const int error = New(flags_ | DLM_LSFL_NEWEXCL, mode_, &turn);
      if (error != EEXIST) return error;
      if (control_.FindLockspace(name_)) {
        if ((flags_ & DLM_LSFL_NEWEXCL) != 0) return EEXIST;
        const auto before = Identity();
        // One that is there keeps its permissions, which libdlm sets anew unless the mode is 0. Nor
        // is the turn held while libdlm waits for a device to be named.
        const bool is_named = access(control_.PathOf(name_).c_str(), F_OK) == 0;
        if (control_.FindLockspace(name_) && (is_named || named_by <= kTick)) {
          const int shared = New(flags_, 0, &turn);
          if (shared != 0 || Identity() == before) return shared;
          // Another one by now.
          library_->dlm_release_lockspace(name_.c_str(), std::exchange(handle_, nullptr), 0);
          created_ = false;
          stage_ = Stage::kIdle;
        }
        named_by -= kTick;
      }
    }
    if (!AwaitDevice()) return kIsForeign;
    std::this_thread::sleep_for(kTick);
  }
}

// One call of dlm_new_lockspace(), in the turn: 0 or its errno. The turn ends as soon as the kernel
// has done its part. Where the lockspace was made but udev names no device for it, or that may not
// be opened, it is given up again: nobody could use it, and libdlm leaves it.
int Opener::New(uint32_t flags, mode_t mode, CreationTurn* turn) {
  Stage idle = Stage::kIdle;
  if (!stage_.compare_exchange_strong(idle, Stage::kCalling)) {
    for (;;) pause();  // the process ends
  }
  turn->EndWhen([this] { return control_.FindLockspace(name_).has_value(); });
  errno = 0;
  handle_ = library_->dlm_new_lockspace(name_.c_str(), mode, flags);
  const int error = errno;
  created_ = handle_ != nullptr;
  if (created_) {
    joined_ = Identity();
    return 0;
  }
  if (error == ENOENT || error == ENXIO || error == ENODEV || error == EACCES || error == EPERM) {
    const auto minor = control_.FindLockspace(name_);
    const int fd = open(control_.PathOf(name_).c_str(), O_RDWR | O_CLOEXEC);
    if (minor && fd < 0) control_.Remove(*minor);
    if (fd >= 0) close(fd);
  }
  stage_ = Stage::kIdle;
  return error != 0 ? error : EIO;
}

// Opens a lockspace that the kernel has a device for, and returns 0, or why not: ENODEV, it has
// gone, or there is none. On a host the device has its name when udev has heard of it, which libdlm
// waits for only where it creates a lockspace.
int Opener::OpenExisting() {
  for (auto patience = kDevicePatience;; patience -= kTick) {
    if (!control_.FindLockspace(name_)) return ENODEV;
    int error = EBUSY;
    {
      const FolderLock use(sysfs_, LOCK_SH);
      if (!use.is_refused()) {
        handle_ = library_->dlm_open_lockspace(name_.c_str());
        if (handle_ != nullptr) return 0;
        error = errno;
      }
    }
    if (error != ENOENT && error != EBUSY) return error;
    if (patience <= kTick || is_over_) return error;
    std::this_thread::sleep_for(kTick);
  }
}

// Whether the kernel knows the lockspace, and user space cannot use it: it is being created or
// given up by another process, or is none for user space.
bool Opener::HasNoDevice() const {
  return access(sysfs_.c_str(), F_OK) == 0 && !control_.FindLockspace(name_);
}

// Which of the lockspaces that have had this name it is; nothing where there is none.
std::optional<ino_t> Opener::Identity() const {
  struct stat folder;
  if (stat(sysfs_.c_str(), &folder) != 0) return std::nullopt;
  return folder.st_ino;
}

// Waits until a lockspace that is there has a device, or has gone. False: it is not for user space
// but made by the kernel itself, for GFS2 or OCFS2. One that another process is just creating has
// no device yet either, so this waits until it has been joined, and then some.
bool Opener::AwaitDevice() const {
  const std::string configfs =
      HostPath("/sys/kernel/config/dlm/cluster/spaces/") + name_ + "/nodes";
  auto patience = kJoinPatience;
  while (HasNoDevice()) {
    if (patience <= kTick || is_over_) return false;
    if (access(configfs.c_str(), F_OK) == 0) patience -= kTick;
    std::this_thread::sleep_for(kTick);
  }
  return true;
}

// ---- Giving it up ----

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
  // First, because the locks go with it, and the turn may be long in coming.
  library_->dlm_close_lockspace(handle_);
  for (auto patience = kUnlockPatience;; patience -= kTick) {
    {
      const CreationTurn turn(control_.path());
      // Ours was taken away, and this one is somebody else's.
      if (const auto now = Identity(); now && now != joined_) return;
      handle_ = library_->dlm_open_lockspace(name_.c_str());
      if (handle_ == nullptr) {
        // Somebody else has released it, or its name is gone.
        if (const auto minor = control_.FindLockspace(name_)) control_.Remove(*minor);
        return;
      }
      // libdlm does not hand on what the kernel says, but leaves its errno.
      errno = 0;
      library_->dlm_release_lockspace(name_.c_str(), handle_, 0);
      if (errno != EBUSY || patience <= kTick || ReleaseByForce()) return;
    }
    std::this_thread::sleep_for(kTick);
  }
}

// Only where nobody on this node has it open, or can open it now: who has may lock at any moment,
// and who does not has no locks but orphans.
bool Opener::ReleaseByForce() {
  const FolderLock alone(sysfs_, LOCK_EX);
  if (!alone.is_held()) return false;
  handle_ = library_->dlm_open_lockspace(name_.c_str());
  if (handle_ == nullptr) return true;  // somebody else has released it
  if (!IsOpenElsewhere(library_->dlm_ls_get_fd(handle_)) && HasOnlyOthersLocks(name_)) {
    library_->dlm_release_lockspace(name_.c_str(), handle_, 1);
    return true;
  }
  library_->dlm_close_lockspace(handle_);
  return false;
}

}  // namespace stackglue::keeper
