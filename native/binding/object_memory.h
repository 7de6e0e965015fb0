// The memory of what JavaScript constructs. Napi::ObjectWrap makes objects by a plain `new`, inside
// a call from Node.js, which no exception may leave; so where there is no memory, an error is
// thrown into JavaScript instead, which ObjectWrap looks for before it uses the object.
//
// Threads: the environment's own.
#ifndef STACKGLUE_NATIVE_BINDING_OBJECT_MEMORY_H_
#define STACKGLUE_NATIVE_BINDING_OBJECT_MEMORY_H_

#include <napi.h>

#include <cstddef>
#include <exception>
#include <new>

#include "binding/arguments.h"

namespace stackglue::binding {

// To be a base of such a class.
class ObjectMemory {
 public:
  // Each environment has a thread of its own. To be called there before the first object is made.
  static void Initialize(napi_env env) { env_ = env; }

  // Null, and then nothing is constructed: an error is pending in JavaScript.
  static void* operator new(size_t size) noexcept {
    void* memory = ::operator new(size, std::nothrow);
    if (memory != nullptr) return memory;
    ThrowOutOfMemory(env_);
    bool is_pending = false;
    napi_is_exception_pending(env_, &is_pending);
    // Nothing can be thrown into a worker thread that is being terminated.
    if (!is_pending) std::terminate();
    return nullptr;
  }
  static void operator delete(void* memory) { ::operator delete(memory); }

 private:
  static inline thread_local napi_env env_ = nullptr;
};

}  // namespace stackglue::binding

#endif  // STACKGLUE_NATIVE_BINDING_OBJECT_MEMORY_H_
