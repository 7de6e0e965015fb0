// The kernel's own list of a lockspace's locks on this node, which is in debugfs.
#ifndef STACKGLUE_NATIVE_KEEPER_LOCK_LIST_H_
#define STACKGLUE_NATIVE_KEEPER_LOCK_LIST_H_

#include <string>

namespace stackglue::keeper {

// Whether there are locks, and all of them are other nodes', which this one is the master of. False
// where that cannot be seen: debugfs is not mounted, or not for us to read.
bool HasOnlyOthersLocks(const std::string& lockspace);

}  // namespace stackglue::keeper

#endif  // STACKGLUE_NATIVE_KEEPER_LOCK_LIST_H_
