// The names that a connection's locks were asked for with lately, each at a place that JavaScript
// chooses and remembers with it, so that a lock on the same name again needs no string.
//
// Threads: the environment's own.
#ifndef STACKGLUE_NATIVE_BINDING_NAMES_H_
#define STACKGLUE_NATIVE_BINDING_NAMES_H_

#include <cstdint>
#include <vector>

#include "binding/arguments.h"

namespace stackglue::binding {

class Names {
 public:
  // So many are remembered. lib/native.ts repeats it.
  static constexpr uint32_t kPlaces = 16384;

  // The name at a place; null: there is no such place.
  const LockName* Find(uint32_t place) const {
    return place < names_.size() ? &names_[place] : nullptr;
  }

  // The same, for a name that is to be put there. Valid until the next call. Throws std::bad_alloc.
  LockName* At(uint32_t place) {
    if (place >= kPlaces) return nullptr;
    if (place >= names_.size()) names_.resize(place + 1);
    return &names_[place];
  }

 private:
  std::vector<LockName> names_;
};

}  // namespace stackglue::binding

#endif  // STACKGLUE_NATIVE_BINDING_NAMES_H_
