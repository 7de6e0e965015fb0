// Whether a lockspace runs, and by that when what is known of its members is whole: sysfs, and the
// changes of configfs (membership.h), as dlm_controld keeps them.
//
// libdlm has no node-down notice. dlm_controld removes a node's directory from the lockspace in
// configfs before it restarts the lockspace, so a change that is read from the watch after a result
// was read from the lockspace's device includes every departure whose recovery led to that result.
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
#include <optional>
#include <string>

#include "kernel/loop_inotify.h"
#include "kernel/membership.h"
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
  // Looks at the lockspace's state too. To be called every kCalmMs, and every kTenseMs while
  // is_tense().
  void LookAtState();
  static constexpr int kCalmMs = 500;
  static constexpr int kTenseMs = 10;
  // Takes a failure for a leave of which neither its comms directory nor dlm_controld has told in
  // time. To be called when all answers that are there have been heard, and LookAtState() was.
  void GiveUpCauses();

  // The lockspace was told to stop or to start not long ago and does not run yet; or a cause is
  // unknown.
  bool is_tense() const;

  Membership& membership() { return membership_; }
  const Membership& membership() const { return membership_; }

 private:
  // Whether there was anything.
  bool Drain();
  void ExpectStart();
  std::optional<order::RunState> ReadState() const;

  order::EventOrder* const order_;
  LoopInotify inotify_;
  int status_fd_ = -1;
  int nodes_watch_ = -1;
  int comms_watch_ = -1;
  int control_watch_ = -1;
  Membership membership_{order_};
  // By the EventOrder's clock.
  int64_t tense_until_ms_ = 0;
};

}  // namespace stackglue::kernel

#endif  // STACKGLUE_NATIVE_KERNEL_LOCKSPACE_WATCH_H_
