// By which number the kernel itself knows a thread.
#ifndef STACKGLUE_NATIVE_KERNEL_KERNEL_THREAD_ID_H_
#define STACKGLUE_NATIVE_KERNEL_KERNEL_THREAD_ID_H_

#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace stackglue::kernel {

// Whether the numbers of processes that this one sees are the kernel's own: it is in the machine's
// first PID namespace (include/uapi/linux/nsfs.h: PID_NS_INIT_INO).
inline bool SeesKernelsPids() {
  static const bool sees = [] {
    constexpr ino_t kInitialPidNamespace = 0xEFFFFFFC;
    struct stat own;
    return stat("/proc/self/ns/pid", &own) == 0 && own.st_ino == kInitialPidNamespace;
  }();
  return sees;
}

// The calling thread's; 0 in another PID namespace, where nothing tells. By its system call: glibc
// has a function for it since 2.30 only.
inline uint32_t KernelThreadId() {
  return SeesKernelsPids() ? static_cast<uint32_t>(syscall(SYS_gettid)) : 0;
}

}  // namespace stackglue::kernel

#endif  // STACKGLUE_NATIVE_KERNEL_KERNEL_THREAD_ID_H_
