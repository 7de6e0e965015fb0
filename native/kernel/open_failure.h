// Why a lockspace could not be opened, in terms of what its operator can do about it.
// lib/stacks/user/open-failure.ts repeats the numbers.
#ifndef STACKGLUE_NATIVE_KERNEL_OPEN_FAILURE_H_
#define STACKGLUE_NATIVE_KERNEL_OPEN_FAILURE_H_

#include <string>

namespace stackglue::kernel {

enum class OpenFailure {
  kNone = 0,
  kNoLibrary = 1,         // libdlm is not installed, or not one that we know
  kNoDlm = 2,             // the kernel has no DLM: module not loaded
  kNoDevice = 3,          // the DLM is there, its device node is not: udev
  kPermission = 4,        // the device may not be used by this user
  kNoDaemon = 5,          // dlm_controld does not run, or is not ready
  kUnknownLockspace = 6,  // it does not exist on this node and was not to be created
  kNoMembership = 7,      // configfs cannot be watched, so a node's death could not be reported
  kForeignLockspace = 8,  // it is one of the kernel's own, here or on another node
  kFailed = 9,            // anything else; the errno tells
  kLockspaceExists = 10,  // it was to be created exclusively
  kNoKeeper = 11,         // the keeper could not be started, or has died
  kDaemonRefused = 12,    // dlm_controld did not let the node join it
  kDeviceMissing = 13,    // it was joined, but udev made no device for it: it is given up again
  kOtherKeeper = 14,      // the keeper is of another version; the detail tells which, if it could
};

struct OpenResult {
  OpenFailure failure = OpenFailure::kNone;
  int error = 0;       // errno, 0 when there is none
  std::string detail;  // the loader's words, a path, or nothing
};

}  // namespace stackglue::kernel

#endif  // STACKGLUE_NATIVE_KERNEL_OPEN_FAILURE_H_
