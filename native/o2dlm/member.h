// One connection of a node to a domain: checks of parameters, and the delivery of events.
//
// Threads: the public interface may be called from any thread and takes the cluster's mutex; what
// this file adds to it needs the mutex held, except dead() and node().
//
// Invariants:
//  1. domain_ is null exactly when the member is dead; a dead member has no locks and no events.
//  2. Every lock in the table is on a queue or owes its last unlock AST.
#ifndef STACKGLUE_NATIVE_O2DLM_MEMBER_H_
#define STACKGLUE_NATIVE_O2DLM_MEMBER_H_

#include <atomic>
#include <memory>

#include "event_queue.h"
#include "lock.h"
#include "util/notifier.h"

namespace stackglue::o2dlm {

class ClusterImpl;
class Domain;

// The base is the member's place on the cluster's list of members to wake.
class MemberImpl final : public Member, public ListNode {
 public:
  MemberImpl(std::shared_ptr<ClusterImpl> cluster, int node, EventSink* sink);
  ~MemberImpl() override;

  Status Lock(int mode, uint32_t flags, std::string_view name, uint64_t astarg, const uint8_t* lvb,
              LockId* id) override;
  Status Unlock(LockId id, uint32_t flags, const uint8_t* lvb) override;
  int MasterOf(std::string_view name) const override;
  Status Recall(LockId id, int held, bool reads) override;
  void WatchNodes() override;
  size_t Nodes(int* out, size_t max) const override;
  uint64_t Ring() const override;
  size_t TakeEvents(Event* out, size_t max) override;
  void SetTold(bool told) override;
  bool has_events();
  bool dead() const override { return dead_.load(std::memory_order_acquire); }
  int node() const override { return node_; }

  // Null when the member is dead, or failed to join.
  Domain* domain() const { return domain_; }
  // Once, before the member is handed out.
  void set_domain(Domain* domain) { domain_ = domain; }
  LockTable* locks() { return &locks_; }
  const std::shared_ptr<Notifier>& notifier() const { return notifier_; }

  bool watches_nodes() const { return watches_nodes_; }

  // Appends an event; has the owner woken if there was none before.
  void PostEvent(EventNode* event);
  void DropEvents();
  // The node was killed. Locks and events are gone already. Has the owner woken.
  void Die();

 private:
  // The event's body; the event leaves the queue, and the lock goes with its last one.
  void Deliver(EventNode* node, Event* out);

  const std::shared_ptr<ClusterImpl> cluster_;
  const std::shared_ptr<Notifier> notifier_;
  const bool has_sink_;
  bool is_told_;
  bool watches_nodes_ = false;
  const int node_;
  std::atomic<bool> dead_{false};
  Domain* domain_ = nullptr;
  LockTable locks_;
  EventQueue events_;
  size_t node_events_ = 0;  // of these, those that tell of nodes
};

}  // namespace stackglue::o2dlm

#endif  // STACKGLUE_NATIVE_O2DLM_MEMBER_H_
