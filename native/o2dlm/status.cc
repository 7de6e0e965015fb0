// Names of o2dlm's statuses: one switch, so that the compiler reports a value without a name.
#include "status.h"

namespace stackglue::o2dlm {

const char* StatusName(Status status) noexcept {
  switch (status) {
    case Status::kNormal:
      return "DLM_NORMAL";
    case Status::kGranted:
      return "DLM_GRANTED";
    case Status::kDenied:
      return "DLM_DENIED";
    case Status::kDeniedNoLocks:
      return "DLM_DENIED_NOLOCKS";
    case Status::kWorking:
      return "DLM_WORKING";
    case Status::kBlocked:
      return "DLM_BLOCKED";
    case Status::kBlockedOrphan:
      return "DLM_BLOCKED_ORPHAN";
    case Status::kDeniedGracePeriod:
      return "DLM_DENIED_GRACE_PERIOD";
    case Status::kSysErr:
      return "DLM_SYSERR";
    case Status::kNoSupport:
      return "DLM_NOSUPPORT";
    case Status::kCancelGrant:
      return "DLM_CANCELGRANT";
    case Status::kIvLockId:
      return "DLM_IVLOCKID";
    case Status::kSync:
      return "DLM_SYNC";
    case Status::kBadType:
      return "DLM_BADTYPE";
    case Status::kBadResource:
      return "DLM_BADRESOURCE";
    case Status::kMaxHandles:
      return "DLM_MAXHANDLES";
    case Status::kNoClInfo:
      return "DLM_NOCLINFO";
    case Status::kNoLockMgr:
      return "DLM_NOLOCKMGR";
    case Status::kNoPurged:
      return "DLM_NOPURGED";
    case Status::kBadArgs:
      return "DLM_BADARGS";
    case Status::kVoid:
      return "DLM_VOID";
    case Status::kNotQueued:
      return "DLM_NOTQUEUED";
    case Status::kIvBufLen:
      return "DLM_IVBUFLEN";
    case Status::kCvtUngrant:
      return "DLM_CVTUNGRANT";
    case Status::kBadParam:
      return "DLM_BADPARAM";
    case Status::kValNotValid:
      return "DLM_VALNOTVALID";
    case Status::kRejected:
      return "DLM_REJECTED";
    case Status::kAbort:
      return "DLM_ABORT";
    case Status::kCancel:
      return "DLM_CANCEL";
    case Status::kIvResHandle:
      return "DLM_IVRESHANDLE";
    case Status::kDeadlock:
      return "DLM_DEADLOCK";
    case Status::kDeniedNoAsts:
      return "DLM_DENIED_NOASTS";
    case Status::kForward:
      return "DLM_FORWARD";
    case Status::kTimeout:
      return "DLM_TIMEOUT";
    case Status::kIvGroupId:
      return "DLM_IVGROUPID";
    case Status::kVersConflict:
      return "DLM_VERS_CONFLICT";
    case Status::kBadDevicePath:
      return "DLM_BAD_DEVICE_PATH";
    case Status::kNoDevicePermission:
      return "DLM_NO_DEVICE_PERMISSION";
    case Status::kNoControlDevice:
      return "DLM_NO_CONTROL_DEVICE";
    case Status::kRecovering:
      return "DLM_RECOVERING";
    case Status::kMigrating:
      return "DLM_MIGRATING";
  }
  return "DLM_MAXSTATS";
}

}  // namespace stackglue::o2dlm
