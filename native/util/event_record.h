// One event on its way to JavaScript, in the batch that both sides see: all that it tells of a lock
// travels with it, so that no memory of a lock's own is shared.
// lib/native.ts repeats the numbers.
#ifndef STACKGLUE_NATIVE_UTIL_EVENT_RECORD_H_
#define STACKGLUE_NATIVE_UTIL_EVENT_RECORD_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace stackglue {

// Bytes of the longest value block of any stack.
inline constexpr size_t kBlockMax = 64;

enum class EventKind : int32_t {
  kCompletion =
      1,          // a lock, conversion or (fs/dlm) unlock completed; value: the stack's own status
  kBlocking = 2,  // value: the blocked mode
  kUnlock = 3,    // the unlock AST; value: the stack's own status
  kNodeDown = 4,  // value: the number of a node that died
  kCall = 5,      // a call that is about no lock completed; index: its ticket, value: its status
};

struct EventRecord {
  EventKind kind = EventKind::kCompletion;
  int32_t index = 0;  // which lock; not for node events
  int32_t value = 0;
  int32_t final = 0;  // 1: the lock is no more, its index is free again after this batch
  // Of completions.
  uint32_t flags = 0;  // DLM_SBF_*
  uint32_t lock_id = 0;
  // Of completions and unlock ASTs: the mode that is held now, or kNoMode.
  int32_t mode = kNoMode;
  // Of completions, 1: `block` is the value block that came.
  int32_t has_block = 0;
  std::array<uint8_t, kBlockMax> block{};

  static constexpr int32_t kNoMode = -1;

  // `bytes`: at most kBlockMax of them.
  void SetBlock(const uint8_t* bytes, size_t size) {
    has_block = 1;
    std::memcpy(block.data(), bytes, size);
  }
};

static_assert(sizeof(EventRecord) == 32 + kBlockMax);

// The most events that one call into JavaScript carries: it bounds the work of one turn.
inline constexpr size_t kBatchMax = 128;

}  // namespace stackglue

#endif  // STACKGLUE_NATIVE_UTIL_EVENT_RECORD_H_
