// What the doubles of libdlm and of write(2) say to the fake machine. Its socket is run/machine in
// the folder that STACKGLUE_FAKE_MACHINE names; sequenced packets.
//
// A connection begins with a MachineCall, which is answered by an int32_t: 0, or an errno. That of
// a lockspace that was created or opened then is its device: read(2) takes one result, and a write
// is a packet with the request and a descriptor, to which what write(2) returns is written, an
// int32_t.
//
// Threads: plain values and functions.
#ifndef STACKGLUE_TEST_FAKE_DEVICE_MACHINE_CALL_H_
#define STACKGLUE_TEST_FAKE_DEVICE_MACHINE_CALL_H_

#include <linux/dlmconstants.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

namespace stackglue::fake_device {

struct MachineCall {
  enum Kind : uint32_t {
    kCreate,
    kOpen,
    kRelease,
    kRemove,  // by the device's number, as the control device does it
    // Of dlm_controld: answered by when the node has failed, CLOCK_MONOTONIC in seconds; 0: it has
    // not, as far as the daemon knows.
    kWhyGone,
    kQuorum,  // of corosync: a QuorumSaid, now and whenever that changes
  };

  Kind kind;
  uint32_t flags;  // kCreate: DLM_LSFL_*; kRemove: the device's number; kWhyGone: the node
  uint32_t force;  // kRelease
  char name[DLM_LOCKSPACE_LEN + 1];
};

// The membership of the nodes, as corosync says it.
struct QuorumSaid {
  uint64_t ring;
  uint32_t is_quorate;
  uint32_t node_count;
  uint32_t nodes[16];
};

// The folder of the machine that this process is on.
inline std::string MachineFolder() {
  const char* folder = std::getenv("STACKGLUE_FAKE_MACHINE");
  return folder != nullptr ? folder : "";
}

// An address of a socket; false when the path is too long for one.
inline bool AddressOf(const std::string& path, sockaddr_un* address) {
  std::memset(address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  if (path.size() >= sizeof address->sun_path) return false;
  std::memcpy(address->sun_path, path.data(), path.size());
  return true;
}

// A connection that has begun with `call`; -1: there is no machine. It waits for nobody.
inline int ConnectAs(const MachineCall& call) {
  sockaddr_un address;
  const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (fd >= 0 && AddressOf(MachineFolder() + "/run/machine", &address) &&
      connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
      send(fd, &call, sizeof call, MSG_NOSIGNAL) == sizeof call) {
    return fd;
  }
  if (fd >= 0) close(fd);
  return -1;
}

}  // namespace stackglue::fake_device

#endif  // STACKGLUE_TEST_FAKE_DEVICE_MACHINE_CALL_H_
