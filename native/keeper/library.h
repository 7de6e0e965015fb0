// libdlm, found and loaded at run time, so that one binary serves hosts with and without a cluster.
//
// libdlm opens, creates, closes and releases lockspaces. It is not asked to lock: its unlock
// request carries uninitialised memory and its dispatcher drops the blocking mode (see README.md),
// so requests and results are written and read by kernel/device_protocol.h in libdlm's own format.
//
// Threads: one; a keeper has one lockspace.
#ifndef STACKGLUE_NATIVE_KEEPER_LIBRARY_H_
#define STACKGLUE_NATIVE_KEEPER_LIBRARY_H_

#include <dlfcn.h>
#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>

namespace stackglue::keeper {

// dlm_lshandle_t of <libdlm.h>.
using LockspaceHandle = void*;

struct Library {
  // Loads `path`, or, when it is empty, libdlm_lt.so.3 (the library without its thread) and then
  // libdlm.so.3. Null, with the loader's own words in `error`, when there is none or a function is
  // missing.
  static std::unique_ptr<Library> Load(const std::string& path, std::string* error);

  // The functions of <libdlm.h>, under their own names.
  int (*dlm_kernel_version)(uint32_t* major, uint32_t* minor, uint32_t* patch) = nullptr;
  void (*dlm_library_version)(uint32_t* major, uint32_t* minor, uint32_t* patch) = nullptr;
  LockspaceHandle (*dlm_new_lockspace)(const char* name, mode_t mode, uint32_t flags) = nullptr;
  LockspaceHandle (*dlm_open_lockspace)(const char* name) = nullptr;
  int (*dlm_close_lockspace)(LockspaceHandle lockspace) = nullptr;
  int (*dlm_release_lockspace)(const char* name, LockspaceHandle lockspace, int force) = nullptr;
  int (*dlm_ls_get_fd)(LockspaceHandle lockspace) = nullptr;
};

// Looks a function up in a library that was opened by dlopen(3); false when it is not there.
template <typename Function>
[[nodiscard]] bool Resolve(void* object, const char* symbol, Function* function) {
  *function = reinterpret_cast<Function>(dlsym(object, symbol));
  return *function != nullptr;
}

}  // namespace stackglue::keeper

#endif  // STACKGLUE_NATIVE_KEEPER_LIBRARY_H_
