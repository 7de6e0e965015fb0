// Opens and gives up one lockspace by libdlm: all that waits for the cluster and is no request.
//
// Threads: one, the worker; MayEnd() and is_opening() are the main one's.
#ifndef STACKGLUE_NATIVE_KEEPER_OPENER_H_
#define STACKGLUE_NATIVE_KEEPER_OPENER_H_

#include <sys/types.h>

#include <atomic>
#include <optional>
#include <string>

#include "keeper/control_device.h"
#include "keeper/creation_turn.h"
#include "keeper/library.h"
#include "kernel/keeper_protocol.h"
#include "kernel/open_failure.h"

namespace stackglue::keeper {

class Opener {
 public:
  // `is_over` tells that nobody waits for the lockspace any more.
  Opener(const kernel::KeeperRequest& request, const std::atomic<bool>& is_over);

  // Waits for the cluster.
  kernel::OpenResult Open();

  // Open() has not returned yet.
  bool is_opening() const { return stage_ != Stage::kOpened; }
  // Whether Open() has done nothing yet that somebody would have to undo. If so it will not do
  // anything any more, nor return: the process is to end.
  bool MayEnd();

  // The lockspace's device, after Open().
  int device_fd() const { return device_fd_; }
  const kernel::KeeperVersions& versions() const { return versions_; }

  // Gives up all locks, if no other process has a descriptor of the open file, and the lockspace,
  // if nobody else on this node has one. Waits for the cluster.
  void Shut();

 private:
  // kIdle: nothing of ours is in the kernel. kCalling: dlm_new_lockspace() is being called, or has
  // made what is not given up yet. kEnding: the main thread ends the process.
  enum class Stage { kIdle, kCalling, kEnding, kOpened };

  kernel::OpenResult OpenAny();
  bool ReadVersions(kernel::OpenResult* result);
  int Create();
  int New(uint32_t flags, mode_t mode, CreationTurn* turn);
  int OpenExisting();
  kernel::OpenResult CreationFailure(int error) const;
  kernel::OpenResult OpeningFailure(int error) const;
  bool HasNoDevice() const;
  std::optional<ino_t> Identity() const;
  bool AwaitDevice() const;
  void Release();
  bool ReleaseByForce();

  const std::string name_;
  const std::string library_path_;
  const std::string sysfs_;
  const ControlDevice control_;
  const bool create_;
  const uint32_t flags_;
  const mode_t mode_;
  const std::atomic<bool>& is_over_;

  std::atomic<Stage> stage_{Stage::kIdle};
  std::atomic<pid_t> worker_{0};
  const Library* library_ = nullptr;
  LockspaceHandle handle_ = nullptr;
  bool created_ = false;
  std::optional<ino_t> joined_;  // the Identity() that our share is in
  int device_fd_ = -1;
  kernel::KeeperVersions versions_{};
};

}  // namespace stackglue::keeper

#endif  // STACKGLUE_NATIVE_KEEPER_OPENER_H_
