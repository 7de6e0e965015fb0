// Opens and gives up one lockspace by libdlm: all that waits for the cluster and is no request.
//
// Threads: one.
#ifndef STACKGLUE_NATIVE_KEEPER_OPENER_H_
#define STACKGLUE_NATIVE_KEEPER_OPENER_H_

#include <atomic>
#include <string>

#include "keeper/library.h"
#include "libdlm/keeper_protocol.h"
#include "libdlm/open_failure.h"

namespace stackglue::keeper {

class Opener {
 public:
  // `is_over` tells that nobody waits for the lockspace any more.
  Opener(const libdlm::KeeperRequest& request, const std::atomic<bool>& is_over);

  // Waits for the cluster.
  libdlm::OpenResult Open();

  // The lockspace's device, after Open().
  int device_fd() const { return device_fd_; }
  const libdlm::KeeperVersions& versions() const { return versions_; }

  // Gives up all locks, if no other process has a descriptor of the open file, and the lockspace,
  // if nobody else on this node has one. Waits for the cluster.
  void Shut();

 private:
  bool OpenHandle(libdlm::OpenResult* result);
  bool Create(uint32_t flags);
  int OpenExisting();
  bool HasNoDevice() const;
  bool IsKernelLockspace() const;
  void Release();

  const std::string name_;
  const std::string library_path_;
  const bool create_;
  const uint32_t flags_;
  const mode_t mode_;
  const std::atomic<bool>& is_over_;

  const Library* library_ = nullptr;
  LockspaceHandle handle_ = nullptr;
  bool created_ = false;
  int device_fd_ = -1;
  libdlm::KeeperVersions versions_{};
};

}  // namespace stackglue::keeper

#endif  // STACKGLUE_NATIVE_KEEPER_OPENER_H_
