// What a connection and its keeper say to each other: messages of one sequenced-packet socket.
//
// The keeper is a small process that opens the lockspace, holds a descriptor of the same open file
// and releases the lockspace. All three wait for the cluster, and a process that waits so cannot
// even be killed; the keeper is there to wait in place of the service. The end of the service
// closes the socket, which tells the keeper to end too.
//
// Threads: plain values.
#ifndef STACKGLUE_NATIVE_KERNEL_KEEPER_PROTOCOL_H_
#define STACKGLUE_NATIVE_KERNEL_KEEPER_PROTOCOL_H_

#include <linux/dlmconstants.h>

#include <cstddef>
#include <cstdint>

namespace stackglue::kernel {

// The keeper's descriptors when it starts; it closes all others.
inline constexpr int kKeeperSocket = 3;
// The loop's eventfd and the SubmitArea, a memory file; used where the keeper makes the calls.
inline constexpr int kKeeperSignal = 4;
inline constexpr int kKeeperArea = 5;

// The keeper's arguments are the lockspace's name, the addon's version, and this where it is not to
// fork: its parent waits for its end. One of another version says so in place of doing anything;
// its messages may be of another size.
inline constexpr char kKeeperStays[] = "stays";

enum class KeeperRequestKind : uint32_t {
  kOpen,     // once, first
  kClose,    // last: give up the lockspace and end, as the socket's end would have it, but say when
             // it is done
  kNames,    // tell the nodes' names (again)
  kWhyGone,  // tell whether `node`, which was a member at `since_s`, has failed or has left
  kRing,     // tell what corosync has said last, all that it has said by then included
};

struct KeeperRequest {
  KeeperRequestKind kind;
  int32_t node;
  int64_t since_s;  // CLOCK_MONOTONIC
  // The rest is kOpen's.
  uint32_t create;           // create the lockspace where this process may, else only open it
  uint32_t lockspace_flags;  // DLM_LSFL_*
  uint32_t device_mode;      // when it is created
  uint32_t submits;          // the keeper makes the calls of the area
  char name[DLM_LOCKSPACE_LEN + 1];
  char library[4096];  // path of libdlm; empty: the usual names
};

enum class KeeperReportKind : uint32_t {
  kOpened,  // with the device's descriptor
  kFailed,  // it has ended: `code` is an OpenFailure, `error` an errno or 0
  kClosed,  // the lockspace is given up; it has ended
  kName,    // `code` is a node's number, `text` its name
  // `code` is 1 while the cluster has a quorum; `ring` and `nodes` are the membership that this is
  // so in. Ring 0: nobody can tell (any more). `error` is 1: this answers a kRing.
  kQuorum,
  kDaemonGone,
  kGone,  // `code` is a node's number; `error` 1: it has failed, 0: it has left, or nobody knows
};

struct KeeperVersions {
  uint32_t library[3];
  uint32_t kernel[3];
};

// The most nodes that corosync has.
inline constexpr size_t kRingNodesMax = 384;

struct KeeperReport {
  KeeperReportKind kind;
  int32_t code;
  int32_t error;
  KeeperVersions versions;  // kOpened's
  char text[512];
  // kQuorum's.
  uint64_t ring;
  uint32_t node_count;
  int32_t nodes[kRingNodesMax];
};

}  // namespace stackglue::kernel

#endif  // STACKGLUE_NATIVE_KERNEL_KEEPER_PROTOCOL_H_
