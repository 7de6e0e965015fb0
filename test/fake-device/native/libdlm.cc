// A double of libdlm_lt.so.3, for the keeper: the functions that it loads, on the fake machine.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

#include "machine_call.h"

using stackglue::fake_device::ConnectAs;
using stackglue::fake_device::MachineCall;

namespace {

struct Handle {
  int fd;
};

// The descriptor on which the call was answered with 0; otherwise -1, and errno tells.
int Call(MachineCall::Kind kind, const char* name, uint32_t flags, uint32_t force) {
  MachineCall call{};
  call.kind = kind;
  call.flags = flags;
  call.force = force;
  std::strncpy(call.name, name, sizeof call.name - 1);
  int32_t error = EIO;
  const int fd = ConnectAs(call);
  // Waits for the cluster.
  if (fd >= 0 && recv(fd, &error, sizeof error, 0) != sizeof error) error = EIO;
  if (error == 0) return fd;
  if (fd >= 0) close(fd);
  errno = error;
  return -1;
}

void* HandleOf(int fd) { return fd < 0 ? nullptr : new Handle{fd}; }

void Close(void* handle) {
  auto* given = static_cast<Handle*>(handle);
  close(given->fd);
  delete given;
}

}  // namespace

extern "C" {

int dlm_kernel_version(uint32_t* major, uint32_t* minor, uint32_t* patch) {
  *major = 6;
  *minor = *patch = 0;
  return 0;
}

void dlm_library_version(uint32_t* major, uint32_t* minor, uint32_t* patch) {
  *major = 3;
  *minor = *patch = 0;
}

void* dlm_new_lockspace(const char* name, mode_t, uint32_t flags) {
  return HandleOf(Call(MachineCall::kCreate, name, flags, 0));
}

void* dlm_open_lockspace(const char* name) {
  return HandleOf(Call(MachineCall::kOpen, name, 0, 0));
}

int dlm_close_lockspace(void* handle) {
  Close(handle);
  return 0;
}

int dlm_release_lockspace(const char* name, void* handle, int force) {
  Close(handle);
  const int fd = Call(MachineCall::kRelease, name, 0, static_cast<uint32_t>(force));
  if (fd < 0) return -1;
  close(fd);
  errno = 0;
  return 0;
}

int dlm_ls_get_fd(void* handle) { return static_cast<Handle*>(handle)->fd; }

}  // extern "C"
