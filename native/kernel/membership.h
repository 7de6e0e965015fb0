// Who is in a lockspace and who has just gone, as dlm_controld keeps it in configfs.
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
// Threads: the loop. Nothing here waits.
#ifndef STACKGLUE_NATIVE_KERNEL_MEMBERSHIP_H_
#define STACKGLUE_NATIVE_KERNEL_MEMBERSHIP_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "order/event_order.h"

namespace stackglue::kernel {

class Membership {
 public:
  // What is seen is told to `order`.
  explicit Membership(order::EventOrder* order) : order_(order) {}
  Membership(const Membership&) = delete;
  Membership& operator=(const Membership&) = delete;

  // Where the nodes of `lockspace` are, and those of the cluster.
  static std::string NodesPath(const std::string& lockspace);
  static std::string CommsPath();

  // Those who are there when the watch begins. Returns 0 or an errno.
  int List(const std::string& lockspace);
  // What inotify tells of the two directories: `name` in it, and what has happened.
  void HandleNodes(const char* name, uint32_t mask);
  void HandleComms(const char* name, uint32_t mask);
  // Finds by comparison what events that were dropped would have told.
  void Compare();
  // Before that, all that had happened was seen: CLOCK_MONOTONIC, seconds.
  void SetDrained(int64_t now_s) { drained_s_ = now_s; }
  // The state of the lockspace has been read, after all that has happened.
  void SettleFailures();

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
  struct Change {
    int node;
    bool has_joined;  // else it has departed
  };
  // Who has joined and departed since the last call.
  std::vector<Change> TakeChanges() { return std::exchange(changes_, {}); }

  // A node's addresses as configfs has them, such as "10.0.0.1"; empty when there are none.
  static std::vector<std::string> AddressesOf(int node);

 private:
  void HandleMember(int node, uint32_t mask);
  void HandleNode(int node, uint32_t mask);

  order::EventOrder* const order_;
  int this_node_ = 0;
  std::string nodes_path_;
  std::map<int, int64_t> members_;
  // Members whose comms directory has gone since they joined.
  std::set<int> disconnected_;
  // Nodes whose comms directory has gone after they had departed, since the state was looked at.
  std::set<int> late_failures_;
  std::vector<Departure> to_ask_;
  std::vector<Change> changes_;
  int64_t drained_s_ = 0;
};

}  // namespace stackglue::kernel

#endif  // STACKGLUE_NATIVE_KERNEL_MEMBERSHIP_H_
