// A double of libdlmcontrol.so.3, for the keeper: dlm_controld says of a node what the fake machine
// says, which may take its time.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

#include "machine_call.h"

using stackglue::fake_device::AddressOf;
using stackglue::fake_device::ConnectAs;
using stackglue::fake_device::MachineCall;
using stackglue::fake_device::MachineFolder;

extern "C" {

// <libdlmcontrol.h>
struct dlmc_node {
  int nodeid;
  uint32_t flags;
  uint32_t added_seq;
  uint32_t removed_seq;
  int fail_reason;
  uint64_t fail_walltime;
  uint64_t fail_monotime;
};

// A connection that ends with the daemon: here the machine's own control socket.
int dlmc_fs_connect() {
  sockaddr_un address;
  if (!AddressOf(MachineFolder() + "/run/control", &address)) return -ENOTCONN;
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd >= 0 && connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return fd;
  if (fd >= 0) close(fd);
  return -ENOTCONN;
}

int dlmc_node_info(char* lockspace, int nodeid, dlmc_node* node) {
  MachineCall call{};
  call.kind = MachineCall::kWhyGone;
  call.flags = static_cast<uint32_t>(nodeid);
  std::strncpy(call.name, lockspace, sizeof call.name - 1);
  int32_t failed_s = 0;
  const int fd = ConnectAs(call);
  const bool is_answered = fd >= 0 && recv(fd, &failed_s, sizeof failed_s, 0) == sizeof failed_s;
  if (fd >= 0) close(fd);
  if (!is_answered) return -ENOTCONN;
  node->fail_reason = failed_s == 0 ? 0 : 1;
  node->fail_monotime = static_cast<uint64_t>(failed_s);
  return 0;
}

}  // extern "C"
