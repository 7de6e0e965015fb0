// The ids that the kernel gave to locks, by the loop's index of the lock: for requests that were
// made before the loop knew the id, and not for longer, so that it does not stay as large as a
// crowd of locks once made it.
//
// Threads: whoever makes the calls.
//
// Invariants:
//  1. An id is of one use of an index, told by its generation.
//  2. Chunks come with the first lock in them. At most kSpares chunks have no id in them.
#ifndef STACKGLUE_NATIVE_KERNEL_MADE_LOCKS_H_
#define STACKGLUE_NATIVE_KERNEL_MADE_LOCKS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "user/request.h"

namespace stackglue::kernel {

class MadeLocks {
 public:
  // Makes room for the id of a lock that is about to be made. May throw std::bad_alloc.
  void MakeRoomFor(uint32_t index) {
    if (index / kChunkSize >= chunks_.size()) chunks_.resize(index / kChunkSize + 1);
    std::unique_ptr<Chunk>& chunk = chunks_[index / kChunkSize];
    if (chunk != nullptr) return;
    chunk = std::make_unique<Chunk>();
    ++empty_;
    ++held_;
  }

  // There is room for it; what an earlier use of the index left goes. `id` is not 0.
  void Put(user::Cookie cookie, uint32_t id) {
    Chunk& chunk = *chunks_[cookie.index / kChunkSize];
    MadeLock& place = chunk.locks[cookie.index % kChunkSize];
    if (place.id == 0 && chunk.used++ == 0) --empty_;
    place = {cookie.generation, id};
  }

  // 0: it is not known here.
  uint32_t IdOf(user::Cookie cookie) const {
    const Chunk* chunk = ChunkOf(cookie.index);
    if (chunk == nullptr) return 0;
    const MadeLock& place = chunk->locks[cookie.index % kChunkSize];
    return place.generation == cookie.generation ? place.id : 0;
  }

  // Nobody will ask for it: the loop knows it, or the lock ends, or was never made.
  void Forget(user::Cookie cookie) {
    Chunk* chunk = ChunkOf(cookie.index);
    if (chunk == nullptr) return;
    MadeLock& place = chunk->locks[cookie.index % kChunkSize];
    if (place.id != 0 && place.generation == cookie.generation) {
      place = {};
      if (--chunk->used == 0) ++empty_;
    }
    if (chunk->used > 0 || empty_ <= kSpares) return;
    chunks_[cookie.index / kChunkSize].reset();
    --empty_;
    --held_;
  }

  // How many ids there is memory for.
  size_t capacity() const { return held_ * kChunkSize; }

 private:
  static constexpr uint32_t kChunkSize = 256;
  static constexpr size_t kSpares = 16;

  struct MadeLock {
    uint32_t generation = 0;
    uint32_t id = 0;
  };
  struct Chunk {
    std::array<MadeLock, kChunkSize> locks;
    uint32_t used = 0;
  };

  Chunk* ChunkOf(uint32_t index) const {
    return index / kChunkSize < chunks_.size() ? chunks_[index / kChunkSize].get() : nullptr;
  }

  std::vector<std::unique_ptr<Chunk>> chunks_;
  size_t empty_ = 0;  // chunks without an id
  size_t held_ = 0;   // chunks that there are
};

}  // namespace stackglue::kernel

#endif  // STACKGLUE_NATIVE_KERNEL_MADE_LOCKS_H_
