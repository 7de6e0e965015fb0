// The locks of one lockspace by their ids: the emulation of ls_lkbidr.
//
// Threads: guarded by the cluster's mutex.
//
// Invariants: the low half of an id is a place, the high half tells one use of the place from
// another and is never 0. A free place holds the next free one, shifted and with the low bit set.
#ifndef STACKGLUE_NATIVE_FSDLM_LOCK_TABLE_H_
#define STACKGLUE_NATIVE_FSDLM_LOCK_TABLE_H_

#include <bit>
#include <cstdlib>

#include "lock.h"

namespace stackglue::fsdlm {

class LockTable {
 public:
  LockTable() = default;
  ~LockTable() {
    for (uintptr_t* segment : segments_) std::free(segment);
  }
  LockTable(const LockTable&) = delete;
  LockTable& operator=(const LockTable&) = delete;

  size_t size() const { return size_; }

  // Gives the lock its id. False: no memory, nothing changed.
  [[nodiscard]] bool Insert(Lock* lock) {
    uint32_t index = first_free_;
    if (index != kNoPlace) {
      first_free_ = static_cast<uint32_t>(*Place(index) >> 1);
    } else {
      index = used_;
      uintptr_t*& segment = segments_[std::bit_width(index)];
      const auto places = index == 0 ? size_t{1} : size_t{std::bit_floor(index)};
      if (index == kNoPlace) return false;
      // Large ones come from the system as zeros, so this takes no longer for them.
      if (segment == nullptr) {
        segment = static_cast<uintptr_t*>(std::calloc(places, sizeof(uintptr_t)));
      }
      if (segment == nullptr) return false;
      ++used_;
    }
    if (++generation_ == 0) ++generation_;
    lock->id = static_cast<uint64_t>(generation_) << 32 | index;
    *Place(index) = reinterpret_cast<uintptr_t>(lock);
    ++size_;
    return true;
  }

  Lock* Find(LockId id) const {
    const auto index = static_cast<uint32_t>(id);
    if (index >= used_) return nullptr;
    const uintptr_t value = *Place(index);
    if ((value & 1) != 0) return nullptr;
    auto* lock = reinterpret_cast<Lock*>(value);
    return lock->id == id ? lock : nullptr;
  }

  void Remove(const Lock* lock) {
    const auto index = static_cast<uint32_t>(lock->id);
    *Place(index) = static_cast<uintptr_t>(first_free_) << 1 | 1;
    first_free_ = index;
    --size_;
  }

 private:
  static constexpr uint32_t kNoPlace = 0xffffffff;

  uintptr_t* Place(uint32_t index) const {
    return index == 0 ? segments_[0]
                      : segments_[std::bit_width(index)] + (index - std::bit_floor(index));
  }

  uintptr_t* segments_[33] = {};
  uint32_t used_ = 0;
  uint32_t first_free_ = kNoPlace;
  uint32_t generation_ = 0;
  size_t size_ = 0;
};

static_assert(sizeof(uintptr_t) == 8);

}  // namespace stackglue::fsdlm

#endif  // STACKGLUE_NATIVE_FSDLM_LOCK_TABLE_H_
