// The bytes of one request to, and one result from, a lockspace's device: the user interface 6.0 of
// fs/dlm (<linux/dlm_device.h>, fs/dlm/user.c), which is what libdlm speaks too.
//
// Every byte of a request is set here: fs/dlm copies the value block field of an unlock into the
// lock and sends it to the master whether or not VALBLK was asked for, so what is not meant to
// leave this node must not be in the buffer.
//
// Threads: plain values and pure functions.
#ifndef STACKGLUE_NATIVE_KERNEL_DEVICE_PROTOCOL_H_
#define STACKGLUE_NATIVE_KERNEL_DEVICE_PROTOCOL_H_

#include <linux/dlm_device.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "user/request.h"

namespace stackglue::kernel {

using user::Cookie;
using user::kLvbLen;
using user::kResourceNameMax;
using user::Result;

// One encoded request, ready for write(2) but for the lock's id. It may lie in memory that two
// processes share, so it has no pointers and no constructor.
struct Request {
  uint32_t size;
  alignas(8) char bytes[sizeof(dlm_write_request) + kResourceNameMax];

  // A new lock. `name` is 0 to kResourceNameMax bytes, `xid` the transaction that it is of.
  void EncodeLock(Cookie cookie, int mode, uint32_t flags, uint64_t xid, std::string_view name);
  // A conversion. `lvb` (kLvbLen bytes) is sent when `flags` has VALBLK; null sends zeros.
  void EncodeConvert(Cookie cookie, int mode, uint32_t flags, uint64_t xid, const uint8_t* lvb);
  // An unlock, or a cancel when `flags` has CANCEL. `lvb` as in EncodeConvert().
  void EncodeUnlock(Cookie cookie, uint32_t flags, const uint8_t* lvb);
  // dlm_ls_deadlock_cancel: a cancel whose operation ends with -EDEADLK.
  void EncodeDeadlockCancel(Cookie cookie);
  // dlm_ls_purge: the orphans of a node and, unless `pid` is 0, of one process of it.
  void EncodePurge(int32_t node, int32_t pid);
  // What fs/dlm refuses with EINVAL wherever it still has the lockspace: a lock that nobody could
  // be told of.
  void EncodeNothing();

  void set_lock_id(uint32_t lock_id);
};

// Large enough for any result.
inline constexpr size_t kResultMax = sizeof(dlm_lock_result) + kLvbLen;

// Decodes what read(2) returned. False when it is no result of a version that we speak.
[[nodiscard]] bool DecodeResult(const uint8_t* bytes, size_t size, Result* result);

}  // namespace stackglue::kernel

#endif  // STACKGLUE_NATIVE_KERNEL_DEVICE_PROTOCOL_H_
