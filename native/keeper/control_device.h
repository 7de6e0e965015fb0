// What the kernel says and does about lockspaces without libdlm: their devices, and the control
// device. fs/dlm/user.c, drivers/char/misc.c.
//
// Threads: any.
#ifndef STACKGLUE_NATIVE_KEEPER_CONTROL_DEVICE_H_
#define STACKGLUE_NATIVE_KEEPER_CONTROL_DEVICE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace stackglue::keeper {

class ControlDevice {
 public:
  // The paths of the control device and of the kernel's list of miscellaneous devices.
  ControlDevice(std::string path, std::string list_path)
      : path_(std::move(path)), list_path_(std::move(list_path)) {}

  const std::string& path() const { return path_; }
  // Where udev puts the device of a lockspace.
  std::string PathOf(const std::string& lockspace) const;

  // The kernel has the control device.
  bool IsThere() const { return Find("dlm-control").has_value(); }
  // The number of a lockspace's device; nothing where the kernel has none.
  std::optional<uint32_t> FindLockspace(const std::string& lockspace) const;

  // Gives up one share in a lockspace, as dlm_release_lockspace() does, by its device's number
  // alone. Waits for the cluster. 0 or an errno: EBUSY, there are locks; EPERM, this process may
  // not.
  int Remove(uint32_t minor) const;

  // Whether this process may create lockspaces, as the kernel sees it: a capability of a
  // container's own user namespace is none.
  bool MayCreate() const;

 private:
  std::optional<uint32_t> Find(const std::string& device) const;

  const std::string path_;
  const std::string list_path_;
};

}  // namespace stackglue::keeper

#endif  // STACKGLUE_NATIVE_KEEPER_CONTROL_DEVICE_H_
