#include "keeper/lock_list.h"

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

#include "util/host_path.h"
#include "util/text_file.h"

namespace stackglue::keeper {
namespace {

// fs/dlm/dlm_internal.h: DLM_IFL_MSTCPY, the master's copy of another node's lock.
constexpr uint32_t kMasterCopy = 0x00010000;

// lkb id nodeid remid pid xid exflags flags ... (fs/dlm/debug_fs.c:print_format3_lock)
bool IsMasterCopy(std::string_view fields) {
  for (int i = 0; i < 6; ++i) TakeWord(&fields);
  const std::string_view digits = TakeWord(&fields);
  uint32_t flags = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), flags, 16);
  return (flags & kMasterCopy) != 0;
}

}  // namespace

// NAME_all and not NAME_locks: there a resource's name stands as it is, be there a line in it, and
// here in hexadecimal digits unless all of it can be printed.
bool HasOnlyOthersLocks(const std::string& lockspace) {
  TextFile list(HostPath("/sys/kernel/debug/dlm/") + lockspace + "_all");
  bool has_any = false;
  for (std::string line; list.Next(&line);) {
    std::string_view fields = line;
    if (TakeWord(&fields) != "lkb") continue;
    if (!IsMasterCopy(fields)) return false;
    has_any = true;
  }
  return has_any && list.error() == 0;
}

}  // namespace stackglue::keeper
