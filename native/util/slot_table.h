// A table of records that live at a fixed address and are named by index and generation: the handle
// that travels through the kernel or the engine instead of a pointer, and can be checked on return.
//
// Threads: one thread owns the table. A record's address stays valid while the record is in use.
//
// Invariants:
// 1. A generation is never 0 and changes with every Release(), so a stale handle never finds the
//    record's next use (short of 2^32 uses of one place between two looks at the same handle).
// 2. Places come and go in chunks. At most kSpares chunks have no record in use, so that a table
//    which has been large does not stay so, and records that come and go in crowds ask for no
//    memory.
// 3. A chunk that comes begins above all generations of those that have gone.
#ifndef STACKGLUE_NATIVE_UTIL_SLOT_TABLE_H_
#define STACKGLUE_NATIVE_UTIL_SLOT_TABLE_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace stackglue {

template <typename Record>
class SlotTable {
 public:
  SlotTable() = default;
  SlotTable(const SlotTable&) = delete;
  SlotTable& operator=(const SlotTable&) = delete;

  // Takes a free place, whose record is as its last use left it. May throw std::bad_alloc.
  uint32_t Acquire() {
    if (first_ == nullptr) Grow();
    Chunk* chunk = first_;
    const uint32_t at = chunk->first_free;
    Slot& slot = chunk->slots[at];
    chunk->first_free = slot.next_free;
    slot.next_free = kUsed;
    if (chunk->used == 0) --spares_;
    if (++chunk->used == kChunkSize) Unlink(chunk);
    return chunk->number * kChunkSize + at;
  }

  // Gives the place back; handles to it die.
  void Release(uint32_t index) {
    Chunk* chunk = chunks_[index / kChunkSize].get();
    Slot& slot = chunk->slots[index % kChunkSize];
    if (++slot.generation == 0) slot.generation = 1;
    slot.next_free = chunk->first_free;
    chunk->first_free = index % kChunkSize;
    if (chunk->used-- == kChunkSize) LinkFirst(chunk);
    if (chunk->used == 0) Empty(chunk);
  }

  // Places that there is memory for.
  size_t capacity() const { return (chunks_.size() - vacant_.size()) * kChunkSize; }

  // The record in use at `index`, or null.
  Record* Find(uint32_t index) {
    if (index / kChunkSize >= chunks_.size()) return nullptr;
    Chunk* chunk = chunks_[index / kChunkSize].get();
    if (chunk == nullptr) return nullptr;
    Slot& slot = chunk->slots[index % kChunkSize];
    return slot.next_free == kUsed ? &slot.record : nullptr;
  }

  // The same, for that one use of the place.
  Record* Find(uint32_t index, uint32_t generation) {
    Record* record = Find(index);
    return record != nullptr && this->generation(index) == generation ? record : nullptr;
  }

  // Calls `visit(index, record)` for every record in use, by index.
  template <typename Visit>
  void ForEach(Visit visit) {
    for (uint32_t index = 0; index < chunks_.size() * kChunkSize; ++index) {
      if (Record* record = Find(index)) visit(index, *record);
    }
  }

  // Of a place in use.
  uint32_t generation(uint32_t index) const {
    return chunks_[index / kChunkSize]->slots[index % kChunkSize].generation;
  }

 private:
  static constexpr uint32_t kChunkSize = 256;

  static constexpr uint32_t kSpares = 16;
  static constexpr uint32_t kUsed = UINT32_MAX;

  struct Slot {
    Record record;
    uint32_t generation;
    uint32_t next_free;  // within the chunk; or kUsed
  };
  struct Chunk {
    std::array<Slot, kChunkSize> slots;
    uint32_t number = 0;
    uint32_t used = 0;
    uint32_t first_free = 0;
    // Those that have a free place.
    Chunk* previous = nullptr;
    Chunk* next = nullptr;
  };

  void Grow() {
    if (vacant_.empty()) {
      // There is room for each chunk that goes.
      vacant_.reserve(chunks_.size() + 1);
      chunks_.emplace_back();
      vacant_.push_back(static_cast<uint32_t>(chunks_.size()) - 1);
    }
    auto chunk = std::make_unique<Chunk>();
    chunk->number = vacant_.back();
    for (uint32_t at = 0; at < kChunkSize; ++at) {
      chunk->slots[at].generation = first_generation_;
      chunk->slots[at].next_free = at + 1;
    }
    vacant_.pop_back();
    LinkFirst(chunk.get());
    ++spares_;
    chunks_[chunk->number] = std::move(chunk);
  }

  // The last record of the chunk has been released.
  void Empty(Chunk* chunk) {
    if (spares_ < kSpares) {
      ++spares_;
      return;
    }
    Unlink(chunk);
    for (const Slot& slot : chunk->slots) {
      first_generation_ = std::max(first_generation_, slot.generation);
    }
    if (++first_generation_ == 0) first_generation_ = 1;
    const uint32_t number = chunk->number;
    chunks_[number].reset();
    vacant_.push_back(number);
  }

  void LinkFirst(Chunk* chunk) {
    chunk->previous = nullptr;
    chunk->next = first_;
    if (first_ != nullptr) first_->previous = chunk;
    first_ = chunk;
  }
  void Unlink(Chunk* chunk) {
    (chunk->previous != nullptr ? chunk->previous->next : first_) = chunk->next;
    if (chunk->next != nullptr) chunk->next->previous = chunk->previous;
  }

  std::vector<std::unique_ptr<Chunk>> chunks_;
  // Numbers without a chunk.
  std::vector<uint32_t> vacant_;
  Chunk* first_ = nullptr;
  // How many have no record in use.
  uint32_t spares_ = 0;
  uint32_t first_generation_ = 1;
};

}  // namespace stackglue

#endif  // STACKGLUE_NATIVE_UTIL_SLOT_TABLE_H_
