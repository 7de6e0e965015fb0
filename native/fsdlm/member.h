// One process's open file of one lockspace: checks that it lives, and the delivery of events.
//
// Threads: the public interface may be called from any thread and takes the cluster's mutex; what
// this file adds to it needs the mutex held, except dead(), node() and pid().
//
// Invariants:
//  1. lockspace_ is null exactly when the member is dead; a dead member has no locks and no events.
//  2. A lock is on the list of those with events exactly while it has callbacks and is not muted.
#ifndef STACKGLUE_NATIVE_FSDLM_MEMBER_H_
#define STACKGLUE_NATIVE_FSDLM_MEMBER_H_

#include <atomic>
#include <memory>

#include "owner.h"
#include "util/notifier.h"

namespace stackglue::fsdlm {

class ClusterImpl;
class Lockspace;

// Something about a node that a member must still be told.
struct Notice : ListNode {
  Event::Kind kind = Event::Kind::kNodeDown;
  int node = 0;
};

// The ListNode is the member's place on the cluster's list of members to wake.
class MemberImpl final : public Member, public ListNode, public Owner {
 public:
  MemberImpl(std::shared_ptr<ClusterImpl> cluster, int node, int pid, EventSink* sink);
  ~MemberImpl() override;

  int Lock(int mode, uint32_t flags, std::string_view name, uint64_t astarg, bool wants_bast,
           const uint8_t* lvb, LockId* id) override;
  int Unlock(LockId id, uint32_t flags, uint64_t astarg, const uint8_t* lvb) override;
  int Purge(int node, int pid) override;
  int MasterOf(std::string_view name) const override;
  int Recall(LockId id, int held, int wanted, const uint8_t* lvb) override;
  void ForgetBast(LockId id) override;
  int SetTransaction(LockId id, uint64_t xid) override;
  void WatchNodes() override;
  size_t Nodes(int* out, size_t max) const override;
  uint64_t Ring() const override;
  size_t TakeEvents(Event* out, size_t max) override;
  void SetTold(bool told) override;
  bool dead() const override { return dead_.load(std::memory_order_acquire); }
  int node() const override { return Owner::node(); }
  int pid() const override { return pid_; }

  // Null when the member is dead, or failed to join.
  Lockspace* lockspace() const { return lockspace_; }
  // Once, before the member is handed out.
  void set_lockspace(Lockspace* lockspace) { lockspace_ = lockspace; }
  const std::shared_ptr<Notifier>& notifier() const { return notifier_; }

  // The lock has a callback more; has the owner woken if there was no event before.
  void Post(fsdlm::Lock* lock);
  // Takes over the notice.
  void PostNotice(Notice* notice);
  bool watches_nodes() const { return watches_nodes_; }
  // Forgets all callbacks of locks, and does not take any from now on. What is told of nodes stays.
  void Mute();
  // Forgets all events, and takes no callbacks from now on.
  void DropEvents();
  void Unmute() { muted_ = false; }
  // The node was killed. Locks and events are gone already. Has the owner woken.
  void Die();

 private:
  bool HasEvents() { return !notices_.empty() || first_with_events_ != nullptr; }
  // Takes the oldest callback; false when the program need not hear of it.
  bool Deliver(Event* out);

  const std::shared_ptr<ClusterImpl> cluster_;
  const std::shared_ptr<Notifier> notifier_;
  const bool has_sink_;
  bool is_told_;
  const int pid_;
  std::atomic<bool> dead_{false};
  Lockspace* lockspace_ = nullptr;
  bool muted_ = false;
  bool watches_nodes_ = false;
  List<Notice> notices_;
  // proc->asts: first in, first out; a lock leaves when its last callback is taken.
  fsdlm::Lock* first_with_events_ = nullptr;
  fsdlm::Lock* last_with_events_ = nullptr;
};

}  // namespace stackglue::fsdlm

#endif  // STACKGLUE_NATIVE_FSDLM_MEMBER_H_
