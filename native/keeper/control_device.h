// What the kernel says and does about lockspaces without libdlm: their devices, and the control
// device. fs/dlm/user.c, drivers/char/misc.c.
//
// Threads: any.
#ifndef STACKGLUE_NATIVE_KEEPER_CONTROL_DEVICE_H_
#define STACKGLUE_NATIVE_KEEPER_CONTROL_DEVICE_H_

#include <cstdint>
#include <optional>
#include <string>

namespace stackglue::keeper {

// The path of the control device.
std::string ControlDevice();
// The path at which udev puts the device of a lockspace.
std::string LockspaceDevice(const std::string& lockspace);

// The number of a miscellaneous device that the kernel has; nothing where there is none of that
// name.
std::optional<uint32_t> FindMiscDevice(const std::string& name);
// The same for the device of a lockspace.
std::optional<uint32_t> FindLockspaceDevice(const std::string& lockspace);

// Gives up one share in a lockspace, as dlm_release_lockspace() does, by its device's number alone.
// Waits for the cluster. 0 or an errno: EBUSY, there are locks; EPERM, this process may not.
int RemoveLockspace(uint32_t minor);

// Whether this process may create lockspaces, as the kernel sees it: a capability of a container's
// own user namespace is none.
bool MayCreateLockspaces();

}  // namespace stackglue::keeper

#endif  // STACKGLUE_NATIVE_KEEPER_CONTROL_DEVICE_H_
