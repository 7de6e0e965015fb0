// One event on its way to JavaScript, in the batch that both sides see: all that it tells of a lock
// travels with it, so that no memory of a lock's own is shared.
// lib/native.ts repeats the numbers, and those of BatchState.
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

// A request that JavaScript leaves in memory: what crosses by Node-API takes longer than the
// request.
enum class RequestKind : int32_t {
  kRelock = 1,   // place, mode, flags: a lock by the name that was remembered there last
  kUnlock = 2,   // index, flags
  kConvert = 3,  // index, mode, flags
};

// What JavaScript and native code tell each other about a batch, behind its last place.
struct BatchState {
  // JavaScript: the place of the last event that a handler was called for; native code: -1 when it
  // puts a batch.
  int32_t told = -1;
  // Native code: the size of a batch that it has put while the last event of the one before was
  // told, and the memory was free again; JavaScript: 0 when it begins with that.
  int32_t next = 0;
  // JavaScript: a request, before it calls; native code: what that returned.
  RequestKind request = RequestKind::kRelock;
  int32_t arguments[3] = {};
  int32_t transaction[2] = {};  // of a relock or convert: the low half, and the high half
  int32_t result = 0;
  // JavaScript: the program's value block, for an unlock or conversion with VALBLK.
  std::array<uint8_t, kBlockMax> block{};
};

// The most events that one call into JavaScript carries: it bounds the work of one turn.
inline constexpr size_t kBatchMax = 128;

}  // namespace stackglue

#endif  // STACKGLUE_NATIVE_UTIL_EVENT_RECORD_H_
