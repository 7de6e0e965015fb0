// libdlm, found and loaded at run time, so that one binary serves hosts with and without a cluster.
//
// libdlm opens, creates, closes and releases lockspaces. It is not asked to lock: its unlock
// request carries uninitialised memory and its dispatcher drops the blocking mode (see README.md),
// so requests and results are written and read by device_protocol.h in libdlm's own format.
//
// Threads: Load() and Prepare() may be called from any thread; a loaded library is immutable.
#ifndef STACKGLUE_NATIVE_LIBDLM_LIBRARY_H_
#define STACKGLUE_NATIVE_LIBDLM_LIBRARY_H_

#include <sys/types.h>

#include <cstdint>
#include <mutex>
#include <string>

namespace stackglue::libdlm {

// dlm_lshandle_t of <libdlm.h>.
using LockspaceHandle = void*;

class Library {
 public:
  // Loads `path`, or, when it is empty, libdlm_lt.so.3 (the library without its thread) and then
  // libdlm.so.3. A library is loaded once for each path and never unloaded. Returns null, with the
  // loader's own words in `error`, when there is none or a function is missing.
  static const Library* Load(const std::string& path, std::string* error);

  // Opens the control device and agrees on the interface version. libdlm keeps both in globals that
  // it fills in unguarded, so this runs once, alone, before any thread opens a lockspace. Returns
  // false while the kernel's side is not there; it may be called again.
  bool Prepare() const;

  // The functions of <libdlm.h>, under their own names.
  int (*dlm_kernel_version)(uint32_t* major, uint32_t* minor, uint32_t* patch) = nullptr;
  void (*dlm_library_version)(uint32_t* major, uint32_t* minor, uint32_t* patch) = nullptr;
  LockspaceHandle (*dlm_create_lockspace)(const char* name, mode_t mode) = nullptr;
  LockspaceHandle (*dlm_open_lockspace)(const char* name) = nullptr;
  int (*dlm_close_lockspace)(LockspaceHandle lockspace) = nullptr;
  int (*dlm_release_lockspace)(const char* name, LockspaceHandle lockspace, int force) = nullptr;
  int (*dlm_ls_get_fd)(LockspaceHandle lockspace) = nullptr;

 private:
  Library() = default;

  mutable std::mutex prepare_mutex_;
  mutable bool prepared_ = false;
};

}  // namespace stackglue::libdlm

#endif  // STACKGLUE_NATIVE_LIBDLM_LIBRARY_H_
