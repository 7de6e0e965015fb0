// A table of records that live at a fixed address and are named by index and generation: the handle
// that travels through the kernel or the engine instead of a pointer, and can be checked on return.
//
// Threads: one thread owns the table. A record's address stays valid until the table is destroyed.
//
// Invariants: a generation is never 0 and changes with every Release(), so a stale handle never
// finds the record's next use (short of 2^32 uses of one place between two looks at the same
// handle).
#ifndef STACKGLUE_NATIVE_UTIL_SLOT_TABLE_H_
#define STACKGLUE_NATIVE_UTIL_SLOT_TABLE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace stackglue {

template <typename Record>
class SlotTable {
 public:
  // Takes a free place, whose record is as its last use left it. May throw std::bad_alloc.
  uint32_t Acquire() {
    if (free_.empty()) Grow();
    const uint32_t index = free_.back();
    free_.pop_back();
    At(index).used = true;
    return index;
  }

  // Gives the place back; handles to it die.
  void Release(uint32_t index) {
    Slot& slot = At(index);
    slot.used = false;
    if (++slot.generation == 0) slot.generation = 1;
    free_.push_back(index);
  }

  // The record in use at `index`, or null.
  Record* Find(uint32_t index) {
    if (index / kChunkSize >= chunks_.size()) return nullptr;
    Slot& slot = At(index);
    return slot.used ? &slot.record : nullptr;
  }

  // The same, for that one use of the place.
  Record* Find(uint32_t index, uint32_t generation) {
    Record* record = Find(index);
    return record != nullptr && At(index).generation == generation ? record : nullptr;
  }

  // Calls `visit(index, record)` for every record in use, by index.
  template <typename Visit>
  void ForEach(Visit visit) {
    for (uint32_t index = 0; index < chunks_.size() * kChunkSize; ++index) {
      if (Record* record = Find(index)) visit(index, *record);
    }
  }

  uint32_t generation(uint32_t index) const {
    return (*chunks_[index / kChunkSize])[index % kChunkSize].generation;
  }

 private:
  static constexpr uint32_t kChunkSize = 256;

  struct Slot {
    Record record;
    uint32_t generation = 1;
    bool used = false;
  };
  using Chunk = std::array<Slot, kChunkSize>;

  Slot& At(uint32_t index) { return (*chunks_[index / kChunkSize])[index % kChunkSize]; }

  void Grow() {
    const auto first = static_cast<uint32_t>(chunks_.size()) * kChunkSize;
    free_.reserve(first + kChunkSize);
    chunks_.push_back(std::make_unique<Chunk>());
    for (uint32_t offset = kChunkSize; offset > 0; --offset) free_.push_back(first + offset - 1);
  }

  std::vector<std::unique_ptr<Chunk>> chunks_;
  std::vector<uint32_t> free_;
};

}  // namespace stackglue

#endif  // STACKGLUE_NATIVE_UTIL_SLOT_TABLE_H_
