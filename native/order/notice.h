// What a connection is told beside the results of its requests. lib/native.ts repeats the numbers.
#ifndef STACKGLUE_NATIVE_ORDER_NOTICE_H_
#define STACKGLUE_NATIVE_ORDER_NOTICE_H_

#include <cstdint>

namespace stackglue {

enum class NoticeKind : int32_t {
  kNodeFailed = 1,
  kNodeLeft = 2,
  kNodeJoined = 3,
  kStopped = 4,
  kResumed = 5,
  kReleased = 6,  // this node has left the lockspace: its locks are gone
  kQuorumLost = 7,
  kQuorumRegained = 8,
  kDaemonGone = 9,
  kKeeperGone = 10,
  kKilled = 11,  // this node, which is a simulated one, was killed
};

struct Notice {
  NoticeKind kind;
  int node = 0;  // of the first three
};

}  // namespace stackglue

#endif  // STACKGLUE_NATIVE_ORDER_NOTICE_H_
