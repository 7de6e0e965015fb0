// One domain: the locks of all its nodes, and the calls that work on them. It is the emulation of
// the struct dlm_ctxt of every node at once, with the lock manager's thread (dlm/dlmthread.c) run
// to its end within each call.
//
// Threads: guarded by the cluster's mutex; every method needs it held.
//
// Invariants:
//  1. Every resource in the table has at least one lock attached. The master of a resource is a
//     node of this domain.
//  2. Between calls pending_basts_ is empty and no head of any queue could be granted.
#ifndef STACKGLUE_NATIVE_O2DLM_DOMAIN_H_
#define STACKGLUE_NATIVE_O2DLM_DOMAIN_H_

#include <string>
#include <string_view>
#include <vector>

#include "resource.h"
#include "util/pool.h"

namespace stackglue::o2dlm {

class ClusterImpl;
class MemberImpl;

class Domain {
 public:
  Domain(ClusterImpl* cluster, std::string_view name, ProtocolVersion version);
  ~Domain();
  Domain(const Domain&) = delete;
  Domain& operator=(const Domain&) = delete;

  const std::string& name() const { return name_; }
  ProtocolVersion version() const { return version_; }
  const std::vector<MemberImpl*>& members() const { return members_; }
  bool HasNode(int node) const;

  // dlm/dlmdomain.c:dlm_protocol_compare(): false when a node that asks for `*version` cannot join;
  // otherwise lowers it to what the domain runs at.
  [[nodiscard]] bool Negotiate(ProtocolVersion* version) const;

  // Throws std::bad_alloc, and then changed nothing.
  void AddMember(MemberImpl* member);

  // As Member's.
  size_t Nodes(int* out, size_t max) const;

  // Drops the member's locks, hands its node's resources over when it was the node's last member,
  // and grants what became free. dlm/dlmdomain.c:dlm_unregister_domain().
  void RemoveMember(MemberImpl* member);

  // dlm/dlmrecovery.c:dlm_hb_node_down_cb() and the recovery that follows. `notices` holds one
  // kEviction for each surviving member; `contended` has room for CountContended() resources. The
  // dead members are no longer in the domain afterwards.
  void RecoverFrom(int dead_node, List<EventNode>* notices, std::vector<Resource*>* contended);
  // The node that masters the resource; -1: there is none of that name.
  int MasterOf(std::string_view name) const;
  // How many resources have locks that wait.
  size_t CountContended() const;

  // dlm/dlmlock.c:dlmlock() past its checks of parameters, without LKM_CONVERT.
  [[nodiscard]] Status CreateLock(MemberImpl* member, int mode, uint32_t flags,
                                  std::string_view name, uint64_t astarg, LockId* id);

  // dlm/dlmconvert.c:__dlmconvert_master(). `block` is not null if the lock is EX and `flags` has
  // kLkmValBlk.
  [[nodiscard]] Status Convert(Lock* lock, int mode, uint32_t flags, const uint8_t* block);

  // dlm/dlmunlock.c:dlmunlock(), dlm_get_unlock_actions(). `block` to write, or null.
  [[nodiscard]] Status Unlock(Lock* lock, const uint8_t* block);

  // dlm/dlmunlock.c:dlmunlock() with LKM_CANCEL, dlm_get_cancel_actions().
  [[nodiscard]] Status Cancel(Lock* lock);

  // dlm/dlmast.c:__dlm_queue_ast(): the lock AST becomes pending; a pending BAST that the new mode
  // makes pointless is withdrawn (dlm_should_cancel_bast()), one that still means something goes
  // behind the AST (dlm/dlmthread.c:dlm_flush_asts()).
  void QueueAst(Lock* lock);

  // The part of dlm/dlmthread.c:dlm_shuffle_lists() for a lock in the way of `mode`: its BAST
  // becomes pending if it is not, and its level rises if need be.
  void QueueBast(Lock* lock, int mode);

  // Deletes `lock`, which is on no queue and has no resource any more.
  void DeleteLock(Lock* lock) { lock_pool_.Delete(lock); }

  // Whether a run of the thread was put off; and those runs. See Cluster::HoldThread().
  bool thread_is_due() const;
  void RunHeldThread();

  // Calls `visit(const Resource&)` for each resource, in no particular order.
  template <class F>
  void ForEachResource(F&& visit) const {
    resources_.ForEachSafe([&visit](Resource* resource) { visit(*resource); });
  }

 private:
  // Deletes `lock`, and its resource when that was its last lock.
  void RemoveLock(Lock* lock);
  void DetachLock(Lock* lock);
  // The lock leaves its queue for good; its unlock AST becomes pending.
  void EndLock(Lock* lock);
  // dlm/dlmthread.c:dlm_thread() for one dirty resource; or a note that it is due, while it is
  // held.
  void RunThread(Resource* resource) {
    if (resource->has_waiters()) {
      RunThreadOverWaiters(resource);
    } else {
      resource->set_awaits_thread(false);
    }
  }
  void RunThreadOverWaiters(Resource* resource);
  // Tells the members that watch nodes.
  void TellOfNode(Event::Kind kind, int node);
  // dlm/dlmthread.c:dlm_flush_asts(): BASTs follow the ASTs of the same run.
  void FlushBasts();

  ClusterImpl* const cluster_;
  const std::string name_;
  const ProtocolVersion version_;
  std::vector<MemberImpl*> members_;
  ResourceTable resources_;
  List<BastLink> pending_basts_;
  Pool<Lock> lock_pool_;
  Pool<Resource> resource_pool_;
};

}  // namespace stackglue::o2dlm

#endif  // STACKGLUE_NATIVE_O2DLM_DOMAIN_H_
