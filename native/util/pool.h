// New objects in the place of deleted ones of their type, for objects that come and go all the
// time.
//
// Threads: none of its own; the owner of the pool guards it.
//
// Invariants: at most kKept places wait to be used again, so a peak does not stay in memory. Under
// the address sanitizer none does, so that it sees who uses what was deleted.
#ifndef STACKGLUE_NATIVE_UTIL_POOL_H_
#define STACKGLUE_NATIVE_UTIL_POOL_H_

#include <cstddef>
#include <new>
#include <utility>

namespace stackglue {

template <class T>
class Pool {
 public:
#if defined(__SANITIZE_ADDRESS__)
  static constexpr size_t kKept = 0;
#else
  static constexpr size_t kKept = 1024;
#endif

  Pool() = default;
  ~Pool() {
    while (free_ != nullptr) ::operator delete(Pop());
  }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // Null: no memory.
  template <class... Arguments>
  [[nodiscard]] T* New(Arguments&&... arguments) noexcept {
    void* place = free_ != nullptr ? Pop() : ::operator new(sizeof(T), std::nothrow);
    return place == nullptr ? nullptr : new (place) T(std::forward<Arguments>(arguments)...);
  }

  // For what New() made, in this pool or in another one of its type.
  void Delete(T* object) noexcept {
    object->~T();
    if (count_ == kKept) {
      ::operator delete(static_cast<void*>(object));
      return;
    }
    free_ = new (static_cast<void*>(object)) Place{free_};
    ++count_;
  }

 private:
  struct Place {
    Place* next;
  };
  static_assert(sizeof(T) >= sizeof(Place) && alignof(T) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__);

  void* Pop() {
    Place* place = free_;
    free_ = place->next;
    --count_;
    return place;
  }

  Place* free_ = nullptr;
  size_t count_ = 0;
};

}  // namespace stackglue

#endif  // STACKGLUE_NATIVE_UTIL_POOL_H_
