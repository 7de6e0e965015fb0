// A double of libquorum.so.5, for the keeper: corosync says what the fake machine says of the
// quorum.
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "machine_call.h"

using stackglue::fake_device::ConnectAs;
using stackglue::fake_device::MachineCall;
using stackglue::fake_device::QuorumSaid;

extern "C" {

// <corosync/quorum.h>
struct quorum_callbacks_t {
  void (*notify)(uint64_t handle, uint32_t quorate, uint64_t ring_seq, uint32_t count,
                 uint32_t* list);
};

// A process has one.
static quorum_callbacks_t callbacks;

// The handle is the connection's descriptor; 1 is CS_OK, 2 CS_ERR_LIBRARY.
int quorum_initialize(uint64_t* handle, quorum_callbacks_t* given, uint32_t* type) {
  MachineCall call{};
  call.kind = MachineCall::kQuorum;
  const int fd = ConnectAs(call);
  if (fd < 0) return 2;
  callbacks = *given;
  *handle = static_cast<uint64_t>(fd);
  *type = 1;  // there is a provider
  return 1;
}

int quorum_finalize(uint64_t handle) {
  close(static_cast<int>(handle));
  return 1;
}

int quorum_fd_get(uint64_t handle, int* fd) {
  *fd = static_cast<int>(handle);
  return 1;
}

// What is so is there to be dispatched when this returns.
int quorum_trackstart(uint64_t handle, unsigned) {
  pollfd polled{static_cast<int>(handle), POLLIN, 0};
  while (poll(&polled, 1, -1) < 0 && errno == EINTR) {
  }
  return 1;
}

int quorum_dispatch(uint64_t handle, int) {
  QuorumSaid said;
  ssize_t size = 0;
  while ((size = recv(static_cast<int>(handle), &said, sizeof said, MSG_DONTWAIT)) == sizeof said) {
    callbacks.notify(handle, said.is_quorate, said.ring, said.node_count, said.nodes);
  }
  return size < 0 && (errno == EAGAIN || errno == EINTR) ? 1 : 2;
}

}  // extern "C"
