// A copy of a lockspace's state, for debugging and for tests: what the kernel shows in debugfs
// (fs/dlm/debug_fs.c).
//
// Threads: any. Each view is of one instant, taken under the cluster's mutex, and owns its data.
// Taking one costs time in proportion to the locks of the lockspace.
#ifndef STACKGLUE_NATIVE_FSDLM_INSPECT_H_
#define STACKGLUE_NATIVE_FSDLM_INSPECT_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fsdlm.h"

namespace stackglue::fsdlm {

struct LockView {
  LockId id = 0;
  int node = 0;
  int pid = 0;  // of the process that has it, or that left it
  bool is_orphan = false;
  uint64_t transaction = 0;  // 0: none
  uint32_t exflags = 0;
  int grmode = kModeIv;
  int rqmode = kModeIv;
  // What the lock's node takes it to hold, where the master knows better; otherwise kModeIv.
  int believed_mode = kModeIv;
  int highbast = 0;
  uint8_t sb_flags = 0;
  std::optional<ValueBlock> lvb;  // the lock's own copy
  // What a master on another node has of that, where a refused call has changed it since.
  std::optional<ValueBlock> lvb_at_master;
};

struct ResourceView {
  std::string name;
  int master = 0;
  bool valid = true;
  std::optional<ValueBlock> lvb;
  // The head first.
  std::vector<LockView> granted;
  std::vector<LockView> converting;
  std::vector<LockView> waiting;
};

struct LockspaceView {
  std::vector<int> members;             // their node numbers, one for each member
  std::vector<ResourceView> resources;  // by name; tossed ones too
};

// The lockspace's state; nothing when there is no such lockspace or no memory. `cluster` comes from
// Cluster::Named() or Cluster::Create().
[[nodiscard]] std::optional<LockspaceView> InspectLockspace(Cluster* cluster,
                                                            std::string_view lockspace) noexcept;

}  // namespace stackglue::fsdlm

#endif  // STACKGLUE_NATIVE_FSDLM_INSPECT_H_
