#include "keeper/lock_list.h"

#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>

#include "util/host_path.h"

namespace stackglue::keeper {
namespace {

// fs/dlm/dlm_internal.h: DLM_IFL_MSTCPY, the master's copy of another node's lock.
constexpr uint32_t kMasterCopy = 0x00010000;

// lkb id nodeid remid pid xid exflags flags ... (fs/dlm/debug_fs.c:print_format3_lock)
bool IsMasterCopy(std::istringstream* fields) {
  std::string skipped;
  for (int i = 0; i < 6; ++i) *fields >> skipped;
  uint32_t flags = 0;
  *fields >> std::hex >> flags;
  return !fields->fail() && (flags & kMasterCopy) != 0;
}

}  // namespace

// NAME_all and not NAME_locks: there a resource's name stands as it is, be there a line in it, and
// here in hexadecimal digits unless all of it can be printed.
bool HasOnlyOthersLocks(const std::string& lockspace) {
  std::ifstream list(HostPath("/sys/kernel/debug/dlm/") + lockspace + "_all");
  bool has_any = false;
  for (std::string line; std::getline(list, line);) {
    std::istringstream fields(line);
    std::string kind;
    fields >> kind;
    if (kind != "lkb") continue;
    if (!IsMasterCopy(&fields)) return false;
    has_any = true;
  }
  return has_any && list.eof() && !list.bad();
}

}  // namespace stackglue::keeper
