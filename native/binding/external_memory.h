// Tells the garbage collector of native memory that a JavaScript object holds, so that it does not
// take an object for small and leave thousands of them for later.
//
// Threads: the environment's own.
#ifndef STACKGLUE_NATIVE_BINDING_EXTERNAL_MEMORY_H_
#define STACKGLUE_NATIVE_BINDING_EXTERNAL_MEMORY_H_

#include <napi.h>

#include <cstddef>
#include <cstdint>

namespace stackglue::binding {

// About what a connection holds: itself, the first 256 locks, and its part of an engine.
inline constexpr size_t kConnectionBytes = 32 * 1024;

// To be a member of what holds the memory.
class ExternalMemory {
 public:
  ExternalMemory(napi_env env, size_t bytes) : env_(env), bytes_(static_cast<int64_t>(bytes)) {
    Adjust(bytes_);
  }
  ExternalMemory(const ExternalMemory&) = delete;
  ExternalMemory& operator=(const ExternalMemory&) = delete;
  ~ExternalMemory() { Adjust(-bytes_); }

 private:
  void Adjust(int64_t change) {
    int64_t all = 0;
    napi_adjust_external_memory(env_, change, &all);
  }

  const napi_env env_;
  const int64_t bytes_;
};

}  // namespace stackglue::binding

#endif  // STACKGLUE_NATIVE_BINDING_EXTERNAL_MEMORY_H_
