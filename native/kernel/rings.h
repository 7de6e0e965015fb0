// Which membership of the cluster's nodes a lockspace is in: the number that corosync gives it, its
// ring sequence, as the keeper has told it.
//
// corosync has a new ring at once when a node is gone; dlm_controld takes the node out of the
// lockspace later, or never, in a part of the cluster that has no quorum. A number that was shown
// in between would be that of a membership in which this lockspace is not yet. So a ring is shown
// when whoever was a member of the lockspace and is not in it, nor in one before it, has been told
// of as gone. That is a question of lives, not of numbers: a node that is back is another one.
//
// The other way round the keeper may be late. So it is asked anew with each change of members. By
// then corosync has told it: dlm_controld, which made the change, was told by the same corosync,
// and has spoken to the other nodes by way of it since. Until the keeper answers, nothing is shown,
// unless what it had told before fits: a ring that the node has gone with, or, if all before fits,
// that the node is in. (Where it stands still while a node boots that had never been seen,
// that may be the ring of the node's last life, until it answers.)
//
// Threads: one.
//
// Invariant: what shown() returns never goes down, but to nothing.
#ifndef STACKGLUE_NATIVE_KERNEL_RINGS_H_
#define STACKGLUE_NATIVE_KERNEL_RINGS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <set>

namespace stackglue::kernel {

class Rings {
 public:
  // The present ring and its nodes, as corosync has told the keeper last. `members`: who is in the
  // lockspace, and who has gone but was not told of. One that is not above the last one changes
  // nothing. Throws std::bad_alloc, and then has changed nothing.
  void Hear(uint64_t ring, std::set<int> nodes, const std::set<int>& members);
  // The program is told that the node has left the lockspace, dead or not.
  void Tell(int node);
  // The keeper has been asked, because `node` has joined the lockspace, or is gone. Throws
  // std::bad_alloc, and then has changed nothing.
  void Ask(int node, bool has_joined);
  // It could not be, after all (`was_noted`: Ask() was called): nothing is known until it could.
  void MissToAsk(bool was_noted);
  // Whether it is to be asked because of that; to be followed by AskAgain() if it could be.
  bool owes() const { return owes_; }
  void AskAgain();
  // It has answered, one after the other; what it has told is heard before.
  void HandleAnswer();
  // Nobody can tell, for now.
  void Forget();

  // The number; 0: it is not known, for now.
  uint64_t shown() const;

 private:
  static constexpr size_t kHeardMax = 64;

  struct Ring {
    uint64_t number;
    std::set<int> nodes;
    // Who was a member of the lockspace when it was heard, is not in it, and was not told of since.
    std::set<int> lacked;
  };
  struct Asked {
    int node;
    bool has_joined;
    bool is_settled = false;  // what has been heard fits
    bool is_told = false;     // the program knows that he is gone
  };

  void Settle(Asked* asked) const;
  bool IsTold(int node) const;
  // Whether what has been heard fits all that the keeper has not confirmed.
  bool IsSettled() const;
  void Move();

  // From the one that is shown to the newest; empty: none is known.
  std::deque<Ring> heard_;
  bool is_shown_ = false;  // the first of them
  std::deque<Asked> asked_;
  bool owes_ = false;
  uint64_t last_ = 0;  // that was heard
};

}  // namespace stackglue::kernel

#endif  // STACKGLUE_NATIVE_KERNEL_RINGS_H_
