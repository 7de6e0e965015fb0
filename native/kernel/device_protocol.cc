#include "kernel/device_protocol.h"

#include <linux/dlmconstants.h>

#include <cstring>

namespace stackglue::kernel {
namespace {

// The kernel hands these two back untouched; they tell a completion from a blocking AST.
void* const kCompletionAddress = reinterpret_cast<void*>(1);
void* const kBlockingAddress = reinterpret_cast<void*>(2);

void* ToParameter(Cookie cookie) {
  return reinterpret_cast<void*>((static_cast<uintptr_t>(cookie.generation) << 32) | cookie.index);
}

Cookie FromParameter(const void* parameter) {
  const auto value = reinterpret_cast<uintptr_t>(parameter);
  return {static_cast<uint32_t>(value), static_cast<uint32_t>(value >> 32)};
}

static_assert(sizeof(void*) == 8, "the cookie fills a 64-bit AST parameter");

dlm_write_request Header(uint8_t command) {
  dlm_write_request header;
  std::memset(&header, 0, sizeof header);
  header.version[0] = DLM_DEVICE_VERSION_MAJOR;
  header.version[1] = 0;  // the oldest minor that has all we use
  header.version[2] = 0;
  header.cmd = command;
  header.is64bit = 1;
  return header;
}

void SetLock(dlm_write_request* header, Cookie cookie, uint32_t flags) {
  header->i.lock.flags = flags;
  header->i.lock.castparam = ToParameter(cookie);
  header->i.lock.castaddr = kCompletionAddress;
  header->i.lock.bastparam = ToParameter(cookie);
  header->i.lock.bastaddr = kBlockingAddress;
  // Refused when null, never dereferenced by the kernel.
  header->i.lock.lksb = reinterpret_cast<dlm_lksb*>(kCompletionAddress);
}

void SetLvb(dlm_write_request* header, const uint8_t* lvb) {
  if ((header->i.lock.flags & DLM_LKF_VALBLK) != 0 && lvb != nullptr) {
    std::memcpy(header->i.lock.lvb, lvb, kLvbLen);
  }
}

void Store(const dlm_write_request& header, std::string_view name, Request* request) {
  // Where the name starts: the header may end in padding, which belongs to the name.
  constexpr size_t kNameOffset =
      offsetof(dlm_write_request, i.lock) + offsetof(dlm_lock_params, name);
  static_assert(kNameOffset <= sizeof header);
  std::memcpy(request->bytes, &header, sizeof header);
  name.copy(request->bytes + kNameOffset, name.size());
  request->size = static_cast<uint32_t>(sizeof header + name.size());
  // What is sent beyond the name is no more than the difference, and that is zero.
  if (const size_t end = kNameOffset + name.size(); end < request->size) {
    std::memset(request->bytes + end, 0, request->size - end);
  }
}

}  // namespace

void Request::EncodeLock(Cookie cookie, int mode, uint32_t flags, uint64_t xid,
                         std::string_view name) {
  dlm_write_request header = Header(DLM_USER_LOCK);
  SetLock(&header, cookie, flags);
  header.i.lock.mode = static_cast<uint8_t>(mode);
  header.i.lock.namelen = static_cast<uint8_t>(name.size());
  header.i.lock.xid = xid;
  Store(header, name, this);
}

void Request::EncodeConvert(Cookie cookie, int mode, uint32_t flags, uint64_t xid,
                            const uint8_t* lvb) {
  dlm_write_request header = Header(DLM_USER_LOCK);
  SetLock(&header, cookie, flags);
  SetLvb(&header, lvb);
  header.i.lock.mode = static_cast<uint8_t>(mode);
  header.i.lock.xid = xid;
  Store(header, {}, this);
}

void Request::EncodeUnlock(Cookie cookie, uint32_t flags, const uint8_t* lvb) {
  dlm_write_request header = Header(DLM_USER_UNLOCK);
  SetLock(&header, cookie, flags);
  SetLvb(&header, lvb);
  Store(header, {}, this);
}

void Request::EncodeDeadlockCancel(Cookie cookie) {
  dlm_write_request header = Header(DLM_USER_DEADLOCK);
  // With another flag fs/dlm would check it as an unlock (fs/dlm/lock.c:validate_unlock_args).
  SetLock(&header, cookie, DLM_LKF_CANCEL);
  Store(header, {}, this);
}

void Request::EncodePurge(int32_t node, int32_t pid) {
  dlm_write_request header = Header(DLM_USER_PURGE);
  header.i.purge.nodeid = node;
  header.i.purge.pid = pid;
  Store(header, {}, this);
}

void Request::EncodeNothing() { Store(Header(DLM_USER_LOCK), {}, this); }

void Request::set_lock_id(uint32_t lock_id) {
  constexpr size_t kLockIdOffset =
      offsetof(dlm_write_request, i.lock) + offsetof(dlm_lock_params, lkid);
  std::memcpy(bytes + kLockIdOffset, &lock_id, sizeof lock_id);
}

bool DecodeResult(const uint8_t* bytes, size_t size, Result* result) {
  dlm_lock_result raw;
  if (size < sizeof raw) return false;
  std::memcpy(&raw, bytes, sizeof raw);
  if (raw.version[0] != DLM_DEVICE_VERSION_MAJOR) return false;

  result->cookie = FromParameter(raw.user_astparam);
  result->blocking = raw.user_astaddr == kBlockingAddress;
  if (!result->blocking && raw.user_astaddr != kCompletionAddress) return false;
  result->blocked_mode = raw.bast_mode;
  result->status = raw.lksb.sb_status;
  result->lock_id = raw.lksb.sb_lkid;
  result->sb_flags = static_cast<uint32_t>(static_cast<unsigned char>(raw.lksb.sb_flags));
  result->lvb = nullptr;
  if (raw.lvb_offset != 0) {
    if (raw.lvb_offset > size || size - raw.lvb_offset < kLvbLen) return false;
    result->lvb = bytes + raw.lvb_offset;
  }
  return true;
}

}  // namespace stackglue::kernel
