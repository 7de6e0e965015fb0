// The memory of one lock status block, seen by JavaScript and native code alike: the union of
// struct dlm_lockstatus and struct dlm_lksb that fs/ocfs2/stackglue.h keeps in an ocfs2_dlm_lksb.
//
// Threads: written on the event loop's thread only, between two JavaScript callbacks.
// lib/native.ts repeats these offsets.
#ifndef STACKGLUE_NATIVE_UTIL_STATUS_BLOCK_H_
#define STACKGLUE_NATIVE_UTIL_STATUS_BLOCK_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace stackglue {

class StatusBlock {
 public:
  // Bytes: int32 status, uint32 flags, uint32 lock id, 4 spare, the value block.
  static constexpr size_t kSize = 80;
  static constexpr size_t kStatusOffset = 0;
  static constexpr size_t kFlagsOffset = 4;
  static constexpr size_t kLockIdOffset = 8;
  static constexpr size_t kLvbOffset = 16;
  static constexpr size_t kLvbMax = 64;

  StatusBlock() = default;
  // `memory`: kSize bytes, aligned to 4, that outlive the lock.
  explicit StatusBlock(uint8_t* memory) : memory_(memory) {}

  void set_status(int32_t status) { Store(kStatusOffset, status); }
  void set_flags(uint32_t flags) { Store(kFlagsOffset, flags); }
  void set_lock_id(uint32_t lock_id) { Store(kLockIdOffset, lock_id); }
  uint8_t* lvb() const { return memory_ + kLvbOffset; }

 private:
  template <typename T>
  void Store(size_t offset, T value) {
    std::memcpy(memory_ + offset, &value, sizeof value);
  }

  uint8_t* memory_ = nullptr;
};

}  // namespace stackglue

#endif  // STACKGLUE_NATIVE_UTIL_STATUS_BLOCK_H_
