// Which membership of the cluster's nodes a lockspace is in: the number that corosync gives it, its
// ring sequence, as the keeper has told it.
//
// corosync has a new ring at once when a node is gone; dlm_controld takes the node out of the
// lockspace later, or never, in a part of the cluster that has no quorum. A number that was shown
// in between would be that of a membership in which this lockspace is not yet. So a ring is shown
// when it, and each before it, lacks nobody who is a member of the lockspace.
//
// The other way round the keeper may be late. So it is asked anew with each change of members. By
// then corosync has told it: dlm_controld, which made the change, was told by the same corosync,
// and has spoken to the other nodes by way of it since. Until the keeper answers, nothing is shown,
// unless what it had told before fits the change.
//
// Threads: one.
//
// Invariant: what Shown() returns never goes down, but to nothing.
#ifndef STACKGLUE_NATIVE_KERNEL_RINGS_H_
#define STACKGLUE_NATIVE_KERNEL_RINGS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <set>

namespace stackglue::kernel {

class Rings {
 public:
  // The present ring and its nodes, as corosync has told the keeper last. One that is not above the
  // last one changes nothing. Throws std::bad_alloc, and then has changed nothing.
  void Hear(uint64_t ring, std::set<int> nodes);
  // The keeper has been asked, because `node` has joined the lockspace, or is gone.
  void Ask(int node, bool has_joined);
  // It has answered, one after the other; what it has told is heard before.
  void HandleAnswer();
  // Nobody can tell, for now.
  void Forget();

  // The number; 0: it is not known, for now. `nodes`: the lockspace's members, and those that have
  // gone but were not told of as gone.
  uint64_t Shown(const std::set<int>& nodes);

 private:
  static constexpr size_t kHeardMax = 64;

  struct Ring {
    uint64_t number;
    std::set<int> nodes;
  };
  struct Asked {
    int node;
    bool has_joined;
    bool is_settled;  // a ring has been heard that fits it
  };

  void Settle(Asked* asked) const;

  // From the one that is shown to the newest; empty: none is known.
  std::deque<Ring> heard_;
  bool is_shown_ = false;  // the first of them
  std::deque<Asked> asked_;
  uint64_t last_ = 0;  // that was heard
};

}  // namespace stackglue::kernel

#endif  // STACKGLUE_NATIVE_KERNEL_RINGS_H_
