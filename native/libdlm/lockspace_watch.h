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
// it is still there the departure is *unclear*, and somebody has to ask dlm_controld; until then
// nothing that may come of the recovery can be told. Orderly leaves are told once the lockspace is
// started again, because a lockspace that this node itself leaves loses its members in the same
// way.
//
// The lockspace is stopped and started by a write to its `control` in sysfs, which inotify tells of
// when it has been done; `recover_status` tells how far the recovery has come. The kernel stops it
// by itself when dlm_controld goes (fs/dlm/user.c:monitor_device_close), which nothing tells of, so
// it has to be looked at now and then too.
//
// Threads: the loop. Nothing here waits.
#ifndef STACKGLUE_NATIVE_LIBDLM_LOCKSPACE_WATCH_H_
#define STACKGLUE_NATIVE_LIBDLM_LOCKSPACE_WATCH_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "libdlm/loop_inotify.h"

namespace stackglue::libdlm {

// What happens to a lockspace. lib/native.ts repeats the numbers.
enum class NoticeKind : int32_t {
  kNodeFailed = 1,
  kNodeLeft = 2,
  kNodeJoined = 3,
  kStopped = 4,
  kResumed = 5,
  kReleased = 6,  // this node has left it: its locks are gone
  kQuorumLost = 7,
  kQuorumRegained = 8,
  kDaemonGone = 9,
  kKeeperGone = 10,
};

struct Notice {
  NoticeKind kind;
  int node = 0;  // of the first three
};

class LockspaceWatch {
 public:
  LockspaceWatch() = default;
  LockspaceWatch(const LockspaceWatch&) = delete;
  LockspaceWatch& operator=(const LockspaceWatch&) = delete;
  ~LockspaceWatch();

  // Watches `lockspace`, which must have been joined. Returns 0 or an errno.
  int Open(const std::string& lockspace);

  // Readable when Take() has something to look at; -1 before Open().
  int fd() const { return inotify_.fd(); }

  // Appends what has happened since the last call, in the order in which it did.
  void Take(std::vector<Notice>* notices);

  // Looks whether the lockspace runs, and appends the change. To be called every kCalmMs, and every
  // kTenseMs while is_tense().
  void Look(std::vector<Notice>* notices);
  static constexpr int kCalmMs = 500;
  static constexpr int kTenseMs = 10;

  // The lockspace was told to stop or to start and does not run yet; or a departure is unclear.
  bool is_tense() const { return tense_looks_ > 0 || is_unclear(); }
  bool is_stopped() const { return is_stopped_; }

  // This node's number in the cluster: the comms entry whose `local` is 1. 0 when there is none.
  int this_node() const { return this_node_; }

  // By node, since when: CLOCK_MONOTONIC, seconds.
  const std::map<int, int64_t>& members() const { return members_; }

  struct Departure {
    int node;
    int64_t since_s;  // a member at this time, by CLOCK_MONOTONIC
  };
  // Departures since the last call that are unclear: what they were is to be found out and told to
  // Settle(). After five seconds of Look() they are taken for orderly leaves.
  std::vector<Departure> TakeUnclear() { return std::exchange(to_ask_, {}); }
  bool is_unclear() const { return !unclear_.empty(); }
  void Settle(int node, bool has_failed, std::vector<Notice>* notices);
  // For when nobody can be asked.
  void SettleByComms(std::vector<Notice>* notices);

  // A node's addresses as configfs has them, such as "10.0.0.1"; empty when there are none.
  static std::vector<std::string> AddressesOf(int node);

 private:
  void HandleMember(int node, uint32_t mask, std::vector<Notice>* notices);
  void HandleControl(std::vector<Notice>* notices);
  void Stop(std::vector<Notice>* notices);
  void ListMembers(std::vector<Notice>* notices);
  std::optional<bool> IsRunning() const;

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
  std::set<int> unclear_;
  std::vector<Departure> to_ask_;
  int unclear_looks_ = 0;
  // Told when the lockspace is started again.
  std::vector<Notice> held_;
  bool is_stopped_ = false;
  // One event of `control` was heard while the lockspace ran.
  bool heard_half_ = false;
  bool is_released_ = false;
  int tense_looks_ = 0;
};

}  // namespace stackglue::libdlm

#endif  // STACKGLUE_NATIVE_LIBDLM_LOCKSPACE_WATCH_H_
