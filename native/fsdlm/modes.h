// What the modes of two locks mean for each other, and for the value block.
//
// Threads: pure functions. Rows and columns of the tables: IV (no mode yet), NL, CR, CW, PR, PW,
// EX.
#ifndef STACKGLUE_NATIVE_FSDLM_MODES_H_
#define STACKGLUE_NATIVE_FSDLM_MODES_H_

#include <cstdint>

#include "fsdlm.h"

namespace stackglue::fsdlm {

inline constexpr int kModeCount = 6;

// Bit m of row a: mode m goes with mode a (fs/dlm/lock.c: __dlm_compat_matrix). No mode goes with
// everything.
inline constexpr uint8_t kGoesWith[kModeCount] = {
    0b111111,  // NL: all
    0b011111,  // CR: all but EX
    0b000111,  // CW: NL, CR, CW
    0b001011,  // PR: NL, CR, PR
    0b000011,  // PW: NL, CR
    0b000001,  // EX: NL
};
constexpr bool Compatible(int a, int b) {
  return a == kModeIv || b == kModeIv || (kGoesWith[a] >> b & 1) != 0;
}

// Whether a conversion may ask for QUECVT (fs/dlm/lock.c: __quecvt_compat_matrix): upwards, and
// between CW and PR.
constexpr bool MayQueueConversion(int from, int to) {
  return from != kModeIv && (to > from || (from == kModePr && to == kModeCw));
}

// What a grant from one mode to another does (fs/dlm/lock.c: dlm_lvb_operations).
enum class BlockOperation : uint8_t { kNone, kRead, kWrite };
constexpr BlockOperation BlockOperationOf(int from, int to) {
  if (to == kModeIv) return BlockOperation::kNone;
  if (from == kModeEx || (from == kModePw && to <= kModePw)) return BlockOperation::kWrite;
  return to >= from ? BlockOperation::kRead : BlockOperation::kNone;
}

// Neither up nor down: PR and CW bar each other.
constexpr bool IsMiddleConversion(int from, int to) {
  return (from == kModePr && to == kModeCw) || (from == kModeCw && to == kModePr);
}
constexpr bool IsDownConversion(int from, int to) {
  return !IsMiddleConversion(from, to) && to < from;
}

}  // namespace stackglue::fsdlm

#endif  // STACKGLUE_NATIVE_FSDLM_MODES_H_
