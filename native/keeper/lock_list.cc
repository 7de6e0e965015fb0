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

// id nodeid remid pid xid exflags flags ... (fs/dlm/debug_fs.c:print_format2_lock)
bool IsMasterCopy(const std::string& line) {
  std::istringstream fields(line);
  std::string skipped;
  for (int i = 0; i < 6; ++i) fields >> skipped;
  uint32_t flags = 0;
  fields >> std::hex >> flags;
  return !fields.fail() && (flags & kMasterCopy) != 0;
}

}  // namespace

bool HasOnlyOthersLocks(const std::string& lockspace) {
  std::ifstream locks(HostPath("/sys/kernel/debug/dlm/") + lockspace + "_locks");
  std::string line;
  std::getline(locks, line);  // the names of the fields
  bool has_any = false;
  while (std::getline(locks, line)) {
    if (!IsMasterCopy(line)) return false;
    has_any = true;
  }
  return has_any;
}

}  // namespace stackglue::keeper
