// What JavaScript and native code tell each other about a batch, and the requests that JavaScript
// leaves there. lib/native.ts repeats the numbers and the places.
//
// Threads: the loop's.
#ifndef STACKGLUE_NATIVE_BINDING_BATCH_STATE_H_
#define STACKGLUE_NATIVE_BINDING_BATCH_STATE_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "util/event_record.h"

namespace stackglue::binding {

// DLM_RESNAME_MAXLEN, bytes: the longest name of any stack.
inline constexpr size_t kNameMax = 64;
// What there is room for. A name of so many bytes stands for all that are too long, which every
// stack refuses for its length.
inline constexpr size_t kNameRoom = kNameMax + 4;

// A request that JavaScript leaves in memory: what crosses by Node-API takes longer than the
// request.
enum class RequestKind : int32_t {
  kLock = 1,     // mode, flags, bytes of the name: a new lock
  kUnlock = 2,   // index, flags
  kConvert = 3,  // index, mode, flags
};

inline bool IsRequest(RequestKind kind) {
  return kind >= RequestKind::kLock && kind <= RequestKind::kConvert;
}

// What JavaScript and native code tell each other about a batch, behind its last place.
struct BatchState {
  // JavaScript: the place of the last event that a handler was called for, and kBatchMax when all
  // handlers have returned; native code: -1 when it puts a batch.
  int32_t told = -1;
  // Native code: the size of a batch that it has put while the last event of the one before was
  // told, and the memory was free again; JavaScript: 0 when it begins with that.
  int32_t next = 0;
  // JavaScript: a request, before it calls; native code: what that returned.
  RequestKind request = RequestKind::kLock;
  int32_t arguments[3] = {};
  int32_t transaction[2] = {};  // of a lock or convert: the low half, and the high half
  int32_t result = 0;
  // JavaScript: the program's value block, for an unlock or conversion with VALBLK.
  std::array<uint8_t, kBlockMax> block{};
  // JavaScript: a new lock's name.
  std::array<char, kNameRoom> name{};
};

}  // namespace stackglue::binding

#endif  // STACKGLUE_NATIVE_BINDING_BATCH_STATE_H_
