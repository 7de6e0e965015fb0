// Who is in a lockspace, who has just gone, and whether it is running: configfs and sysfs, as
// dlm_controld keeps them.
//
// libdlm has no node-down notice. dlm_controld removes a node's directory from the lockspace in
// configfs before it restarts the lockspace, so a change that is read from the watch after a result
// was read from the lockspace's device includes every departure whose recovery led to that result.
//
// A departure is a failure when the node's comms directory has gone as well, which is the test that
// the kernel applies before it calls recover_slot (fs/dlm/member.c:dlm_lsop_recover_slot). It does
// not always go first: when a node's dlm_controld alone has died, two daemons race for it. So where
// it is still there the cause is unknown, and somebody has to ask dlm_controld. What that holds
// back, and when changes are told, is EventOrder's.
//
// dlm_controld clears configfs when it ends, or is about to begin anew: first all of comms, this
// node's own directory with it, and then who is in the lockspaces. That is this node's own end.
//
// The lockspace is stopped and started by a write to its `control` in sysfs, which inotify tells of
// when it has been done; `recover_status` tells how far the recovery has come. The kernel stops it
// by itself when dlm_controld goes (fs/dlm/user.c:monitor_device_close), which nothing tells of, so
// it has to be looked at now and then too.
//
// Threads: the loop. Nothing here waits.
#ifndef STACKGLUE_NATIVE_KERNEL_LOCKSPACE_WATCH_H_
#define STACKGLUE_NATIVE_KERNEL_LOCKSPACE_WATCH_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "kernel/loop_inotify.h"
#include "order/event_order.h"

namespace stackglue::kernel {

class LockspaceWatch {
 public:
  // What is seen is told to `order`.
  explicit LockspaceWatch(order::EventOrder* order) : order_(order) {}
  LockspaceWatch(const LockspaceWatch&) = delete;
  LockspaceWatch& operator=(const LockspaceWatch&) = delete;
  ~LockspaceWatch();

  // Watches `lockspace`, which must have been joined. Returns 0 or an errno.
  int Open(const std::string& lockspace);
  // After an Open() that failed: the cluster itself could be watched, so it is the lockspace's
  // fault.
  bool watches_cluster() const { return comms_watch_ >= 0; }

  // Readable when Look() has something to look at; -1 before Open().
  int fd() const { return inotify_.fd(); }

  // Looks at what has happened since the last call.
  void Look();
  // Looks at the lockspace's state too, and at causes that are overdue. To be called every kCalmMs,
  // and every kTenseMs while is_tense().
  void LookAtState();
  static constexpr int kCalmMs = 500;
  static constexpr int kTenseMs = 10;

  // The lockspace was told to stop or to start not long ago and does not run yet; or a cause is
  // unknown.
  bool is_tense() const;

  // This node's number in the cluster: the comms entry whose `local` is 1. 0 when there is none.
  int this_node() const { return this_node_; }

  // By node, since when, or when all before that had been seen: CLOCK_MONOTONIC, seconds. As they
  // were when this node's own end began.
  const std::map<int, int64_t>& members() const { return members_; }

  struct Departure {
    uint64_t number;  // the EventOrder's
    int node;
    int64_t since_s;  // a member at this time, by CLOCK_MONOTONIC
  };
  // Departures since the last call whose cause is unknown: it is to be found out.
  std::vector<Departure> TakeUnknown() { return std::exchange(to_ask_, {}); }
  // Whether a node has joined since the last call.
  bool TakeHasJoined() { return std::exchange(has_joined_, false); }

  // A node's addresses as configfs has them, such as "10.0.0.1"; empty when there are none.
  static std::vector<std::string> AddressesOf(int node);

 private:
  // Whether there was anything.
  bool Drain();
  void HandleMember(int node, uint32_t mask);
  void HandleComms(int node, uint32_t mask);
  void List();
  std::optional<order::RunState> ReadState() const;

  order::EventOrder* const order_;
  LoopInotify inotify_;
  int status_fd_ = -1;
  int nodes_watch_ = -1;
  int comms_watch_ = -1;
  int control_watch_ = -1;
  int this_node_ = 0;
  std::string nodes_path_;
  std::map<int, int64_t> members_;
  // Members whose comms directory has gone since they joined.
  std::set<int> disconnected_;
  // Nodes whose comms directory has gone after they had departed, since the state was looked at.
  std::set<int> late_failures_;
  std::vector<Departure> to_ask_;
  bool has_joined_ = false;
  // At this time all that had happened had been seen: CLOCK_MONOTONIC, seconds.
  int64_t drained_s_ = 0;
  // By the EventOrder's clock.
  int64_t tense_until_ms_ = 0;
};

}  // namespace stackglue::kernel

#endif  // STACKGLUE_NATIVE_KERNEL_LOCKSPACE_WATCH_H_
