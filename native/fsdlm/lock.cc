// The callbacks that are pending for one lock. See lock.h.
#include "lock.h"

#include <limits>

namespace stackglue::fsdlm {
namespace {

constexpr int kStatuses[] = {0, -EAGAIN, -EDEADLK, -kECancel, -kEUnlock};

}  // namespace

uint16_t Callback::Pack() const {
  size_t index = 0;
  while (kStatuses[index] != status) ++index;
  return static_cast<uint16_t>((is_bast ? 1u : 0u) | (static_cast<unsigned>(mode + 1) << 1) |
                               (static_cast<unsigned>(sb_flags) << 4) | (index << 8));
}

Callback Callback::Unpack(uint16_t bits) {
  Callback callback;
  callback.is_bast = (bits & 1) != 0;
  callback.mode = static_cast<int8_t>((bits >> 1 & 7) - 1);
  callback.sb_flags = static_cast<uint8_t>(bits >> 4 & 15);
  callback.status = kStatuses[bits >> 8];
  return callback;
}

bool Lock::Grow(size_t capacity) noexcept {
  if (capacity > std::numeric_limits<uint16_t>::max()) return false;
  auto* bigger = new (std::nothrow) uint16_t[capacity];
  if (bigger == nullptr) return false;
  std::memcpy(bigger, callbacks(), callback_count_ * sizeof *bigger);
  if (callback_capacity_ > kInlineCallbacks) delete[] callbacks_.heap;
  callbacks_.heap = bigger;
  callback_capacity_ = static_cast<uint16_t>(capacity);
  return true;
}

bool Lock::AddBast(int mode) noexcept {
  if (callback_count_ > 0) {
    const Callback last = Callback::Unpack(callbacks()[callback_count_ - 1]);
    const bool covers = last.mode == mode || (last.mode > mode && last.mode > kModePr);
    if (last.is_bast && covers) return false;
  }
  // Without memory a blocking AST is lost, as in the kernel when its few places are full.
  if (callback_count_ == callback_capacity_ && !Grow(callback_capacity_ * size_t{2})) return false;
  Callback bast;
  bast.is_bast = true;
  bast.mode = static_cast<int8_t>(mode);
  Append(bast.Pack());
  return true;
}

bool Lock::ReserveCast() noexcept {
  size_t casts = 0;
  for (size_t i = 0; i < callback_count_; ++i) {
    if (!Callback::Unpack(callbacks()[i]).is_bast) ++casts;
  }
  return casts < callback_capacity_ || Grow(callback_capacity_ * size_t{2});
}

void Lock::AddCast(int status) noexcept {
  if (callback_count_ == callback_capacity_ && !Grow(callback_capacity_ * size_t{2})) {
    // A blocking AST makes room; ReserveCast() made sure that there is one.
    size_t at = 0;
    while (!Callback::Unpack(callbacks()[at]).is_bast) ++at;
    --callback_count_;
    std::memmove(callbacks() + at, callbacks() + at + 1, (callback_count_ - at) * sizeof(uint16_t));
  }
  Callback cast;
  cast.mode = believed_mode != kModeIv ? believed_mode : grmode;
  cast.status = status;
  cast.sb_flags = sb_flags;
  Append(cast.Pack());
}

Callback Lock::TakeCallback() {
  const Callback first = Callback::Unpack(callbacks()[0]);
  --callback_count_;
  std::memmove(callbacks(), callbacks() + 1, callback_count_ * sizeof(uint16_t));
  if (callback_count_ == 0 && callback_capacity_ > kInlineCallbacks) {
    delete[] callbacks_.heap;
    callbacks_ = {};
    callback_capacity_ = kInlineCallbacks;
  }
  return first;
}

}  // namespace stackglue::fsdlm
