// A copy of a domain's state, for debugging and for tests: what the kernel shows in debugfs
// (dlm/dlmdebug.c: locking_state, dlm_state).
//
// Threads: any. Each view is of one instant, taken under the cluster's mutex, and owns its data.
// Taking one costs time in proportion to the locks of the domain.
#ifndef STACKGLUE_NATIVE_O2DLM_INSPECT_H_
#define STACKGLUE_NATIVE_O2DLM_INSPECT_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "o2dlm.h"

namespace stackglue::o2dlm {

struct LockView {
  LockId id = 0;
  int node = 0;
  uint64_t astarg = 0;
  int mode = kModeInvalid;
  int convert_mode = kModeInvalid;
  int highest_blocked = kModeInvalid;  // the level of the pending BAST
  bool ast_pending = false;
  bool bast_pending = false;
};

struct ResourceView {
  std::string name;
  int master = 0;
  ValueBlock lvb{};
  // Oldest first.
  std::vector<LockView> granted;
  std::vector<LockView> converting;
  std::vector<LockView> blocked;
};

struct DomainView {
  ProtocolVersion version;
  std::vector<int> members;             // their node numbers, one for each member
  std::vector<ResourceView> resources;  // in no particular order
};

// Whether TakeEvents() would find any.
[[nodiscard]] bool HasEvents(Member* member);

// The domain's state; nothing when there is no such domain or no memory. `cluster` comes from
// Cluster::Named() or Cluster::Create().
[[nodiscard]] std::optional<DomainView> InspectDomain(Cluster* cluster,
                                                      std::string_view domain) noexcept;

}  // namespace stackglue::o2dlm

#endif  // STACKGLUE_NATIVE_O2DLM_INSPECT_H_
