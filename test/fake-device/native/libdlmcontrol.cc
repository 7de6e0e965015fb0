// A double of libdlmcontrol.so.3, for the keeper: dlm_controld says of a node what the file
// run/says-of-<node> of the fake machine says, "fail_reason fail_monotime", or that it knows
// nothing.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <fstream>
#include <string>

#include "machine_call.h"

using stackglue::fake_device::AddressOf;
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

int dlmc_node_info(char*, int nodeid, dlmc_node* node) {
  std::ifstream says(MachineFolder() + "/run/says-of-" + std::to_string(nodeid));
  int reason = 0;
  uint64_t time = 0;
  if (!(says >> reason >> time)) return -ENOENT;
  node->fail_reason = reason;
  node->fail_monotime = time;
  return 0;
}

}  // extern "C"
