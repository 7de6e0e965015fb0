// Names of o2dlm's statuses, for messages and logs.
//
// Threads: any. Invariants: every value of Status has a name, and no two share one.
#ifndef STACKGLUE_NATIVE_O2DLM_STATUS_H_
#define STACKGLUE_NATIVE_O2DLM_STATUS_H_

#include "o2dlm.h"

namespace stackglue::o2dlm {

// The name in enum dlm_status (dlm/dlmapi.h), as dlm/dlmdebug.c:dlm_errname() gives it. A number
// outside the enum has the name "DLM_MAXSTATS". Never null.
const char* StatusName(Status status) noexcept;

}  // namespace stackglue::o2dlm

#endif  // STACKGLUE_NATIVE_O2DLM_STATUS_H_
