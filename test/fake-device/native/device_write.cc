// Preloaded: write(2) of a request to a lockspace's device, as fs/dlm would return from it. The
// device of the fake machine is a socket, whose own write would neither refuse nor wait; and its
// control device is a file, which is written to only to remove a lockspace.
//
// Threads: any.
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/dlm_device.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

#include "machine_call.h"

using stackglue::fake_device::ConnectAs;
using stackglue::fake_device::MachineCall;

namespace {

using Write = ssize_t (*)(int, const void*, size_t);

Write NextWrite() {
  static const Write next = reinterpret_cast<Write>(dlsym(RTLD_NEXT, "write"));
  return next;
}

bool IsRemoval(int fd, const void* bytes, uint32_t major) {
  struct stat file;
  return major == DLM_DEVICE_VERSION_MAJOR &&
         static_cast<const dlm_write_request*>(bytes)->cmd == DLM_USER_REMOVE_LOCKSPACE &&
         fstat(fd, &file) == 0 && S_ISREG(file.st_mode);
}

// Waits for the cluster.
ssize_t Remove(int minor, size_t size) {
  MachineCall call{};
  call.kind = MachineCall::kRemove;
  call.flags = static_cast<uint32_t>(minor);
  int32_t error = EIO;
  const int fd = ConnectAs(call);
  if (fd >= 0 && recv(fd, &error, sizeof error, 0) != sizeof error) error = EIO;
  if (fd >= 0) close(fd);
  if (error == 0) return static_cast<ssize_t>(size);
  errno = error;
  return -1;
}

// Cheap for all that is none.
bool IsRequest(int fd, const void* bytes, size_t size) {
  uint32_t major = 0;
  if (size < sizeof(dlm_write_request) || size > 512) return false;
  std::memcpy(&major, bytes, sizeof major);
  if (IsRemoval(fd, bytes, major)) return true;
  int type = 0;
  socklen_t length = sizeof type;
  return major == DLM_DEVICE_VERSION_MAJOR &&
         getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_SEQPACKET;
}

bool SendWith(int fd, const void* bytes, size_t size, int handed_over) {
  iovec part{const_cast<void*>(bytes), size};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof handed_over)] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof handed_over);
  std::memcpy(CMSG_DATA(header), &handed_over, sizeof handed_over);
  return sendmsg(fd, &message, MSG_NOSIGNAL) == static_cast<ssize_t>(size);
}

ssize_t WriteRequest(int fd, const void* bytes, size_t size) {
  dlm_write_request request;
  std::memcpy(&request, bytes, sizeof request);
  if (IsRemoval(fd, bytes, request.version[0])) return Remove(request.i.lspace.minor, size);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return -1;
  int32_t result = -EIO;
  const bool is_sent = SendWith(fd, bytes, size, ends[1]);
  close(ends[1]);
  // Waits while the lockspace is stopped.
  ssize_t length = 0;
  do {
    length = is_sent ? read(ends[0], &result, sizeof result) : 0;
  } while (length < 0 && errno == EINTR);
  close(ends[0]);
  if (length != sizeof result) result = -EIO;
  if (result >= 0) return result;
  errno = -result;
  return -1;
}

}  // namespace

extern "C" __attribute__((visibility("default"))) ssize_t write(int fd, const void* bytes,
                                                                size_t size) {
  return IsRequest(fd, bytes, size) ? WriteRequest(fd, bytes, size) : NextWrite()(fd, bytes, size);
}
