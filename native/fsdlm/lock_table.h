// The locks of one lockspace by their ids: the emulation of ls_lkbidr.
//
// Threads: guarded by the cluster's mutex.
//
// Invariants: the low half of an id is a place, the high half tells one use of the place from
// another and is never 0.
#ifndef STACKGLUE_NATIVE_FSDLM_LOCK_TABLE_H_
#define STACKGLUE_NATIVE_FSDLM_LOCK_TABLE_H_

#include <new>

#include "lock.h"
#include "util/slot_table.h"

namespace stackglue::fsdlm {

class LockTable {
 public:
  size_t size() const { return size_; }

  // Gives the lock its id. False: no memory, nothing changed.
  [[nodiscard]] bool Insert(Lock* lock) {
    try {
      const uint32_t index = locks_.Acquire();
      *locks_.Find(index) = lock;
      lock->id = static_cast<uint64_t>(locks_.generation(index)) << 32 | index;
    } catch (const std::bad_alloc&) {
      return false;
    }
    ++size_;
    return true;
  }

  Lock* Find(LockId id) {
    Lock** lock = locks_.Find(static_cast<uint32_t>(id), static_cast<uint32_t>(id >> 32));
    return lock == nullptr ? nullptr : *lock;
  }

  void Remove(const Lock* lock) {
    locks_.Release(static_cast<uint32_t>(lock->id));
    --size_;
  }

 private:
  SlotTable<Lock*> locks_;
  size_t size_ = 0;
};

}  // namespace stackglue::fsdlm

#endif  // STACKGLUE_NATIVE_FSDLM_LOCK_TABLE_H_
