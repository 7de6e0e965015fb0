// Preloaded, before the sanitizer: an operator new that has no memory when it is told so. Only what
// the addon itself asks for counts, on the thread that has told it: Node.js does not survive it.
//
// Threads: any.
#include <dlfcn.h>
#include <unwind.h>

#include <cstddef>
#include <cstring>
#include <initializer_list>
#include <new>

namespace {

// The allocations of this thread until the one that fails; 0: none will.
thread_local long left = 0;
thread_local bool is_looking = false;

// Whether a frame is of those that hand the memory on to who has asked for it.
bool IsOnTheWay(const char* module) {
  for (const char* name : {"failing_new.so", "libasan.so", "libstdc++.so"}) {
    if (std::strstr(module, name) != nullptr) return true;
  }
  return false;
}

// Whether the caller of operator new is the addon.
bool IsOurs() {
  bool is_ours = false;
  const auto look = [](_Unwind_Context* frame, void* result) {
    Dl_info module{};
    const auto at = reinterpret_cast<void*>(_Unwind_GetIP(frame) - 1);
    if (dladdr(at, &module) == 0 || module.dli_fname == nullptr) return _URC_END_OF_STACK;
    if (IsOnTheWay(module.dli_fname)) return _URC_NO_REASON;
    *static_cast<bool*>(result) = std::strstr(module.dli_fname, "stackglue.node") != nullptr;
    return _URC_END_OF_STACK;
  };
  _Unwind_Backtrace(look, &is_ours);
  return is_ours;
}

bool Fails() {
  if (left == 0 || is_looking) return false;
  is_looking = true;
  const bool fails = IsOurs() && --left == 0;
  is_looking = false;
  return fails;
}

template <typename Function>
Function Next(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

}  // namespace

// The addon's `count`th allocation from now on fails, on this thread, and no other; 0: none does.
// Returns how many were still to come; 0: the one that was to fail has failed.
extern "C" __attribute__((visibility("default"))) long StackglueFailAllocation(long count) {
  const long before = left;
  left = count;
  return before;
}

using New = void* (*)(size_t);
using NewOrNull = void* (*)(size_t, const std::nothrow_t&);

__attribute__((visibility("default"))) void* operator new(size_t size) {
  static const New next = Next<New>("_Znwm");
  if (Fails()) throw std::bad_alloc();
  return next(size);
}

__attribute__((visibility("default"))) void* operator new[](size_t size) {
  static const New next = Next<New>("_Znam");
  if (Fails()) throw std::bad_alloc();
  return next(size);
}

__attribute__((visibility("default"))) void* operator new(size_t size,
                                                          const std::nothrow_t& tag) noexcept {
  static const NewOrNull next = Next<NewOrNull>("_ZnwmRKSt9nothrow_t");
  return Fails() ? nullptr : next(size, tag);
}

__attribute__((visibility("default"))) void* operator new[](size_t size,
                                                            const std::nothrow_t& tag) noexcept {
  static const NewOrNull next = Next<NewOrNull>("_ZnamRKSt9nothrow_t");
  return Fails() ? nullptr : next(size, tag);
}
