// One lockspace: the locks of all its nodes, and the calls that work on them. It is the emulation
// of the struct dlm_ls of every node at once: messages take no time, every call is answered when it
// returns.
//
// Threads: guarded by the cluster's mutex; every method needs it held.
//
// Invariants:
//  1. A node is here as long as it has a member.
//  2. Every resource in the table has a lock attached, or is on tossed_.
//  3. Every lock is attached to a resource, and is its member's, or an orphan of its node.
#ifndef STACKGLUE_NATIVE_FSDLM_LOCKSPACE_H_
#define STACKGLUE_NATIVE_FSDLM_LOCKSPACE_H_

#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "lock_table.h"
#include "owner.h"
#include "resource.h"
#include "util/intrusive_hash.h"
#include "util/pool.h"

namespace stackglue::fsdlm {

class ClusterImpl;
class MemberImpl;

class Lockspace final : private CallbackSink {
 public:
  Lockspace(ClusterImpl* cluster, std::string_view name);
  ~Lockspace();
  Lockspace(const Lockspace&) = delete;
  Lockspace& operator=(const Lockspace&) = delete;

  const std::string& name() const { return name_; }
  const std::vector<MemberImpl*>& members() const { return members_; }
  bool HasNode(int node) const { return nodes_.count(node) > 0; }

  // Up to `max` node numbers, ascending; how many there are.
  size_t Nodes(int* out, size_t max) const;

  // Throws std::bad_alloc, and then changed nothing.
  void AddMember(MemberImpl* member);
  // The process ends; its node leaves if it was the last one there.
  void RemoveMember(MemberImpl* member);

  // How many resources a recovery could have to look at, at most.
  size_t resource_count() const { return resources_.size(); }
  // The node died. Its members are no longer here afterwards; `touched` has room for all resources.
  void RemoveNode(int node, std::vector<Resource*>* touched);

  // The calls, past the check that the member lives. See fsdlm.h.
  [[nodiscard]] int CreateLock(MemberImpl* member, int mode, uint32_t flags, std::string_view name,
                               uint64_t astarg, bool wants_bast, LockId* id);
  [[nodiscard]] int Convert(MemberImpl* member, LockId id, int mode, uint32_t flags,
                            uint64_t astarg, bool wants_bast, const uint8_t* lvb);
  [[nodiscard]] int Adopt(MemberImpl* member, int mode, uint32_t flags, std::string_view name,
                          uint64_t astarg, bool wants_bast, LockId* id);
  [[nodiscard]] int Unlock(MemberImpl* member, LockId id, uint32_t flags, uint64_t astarg,
                           const uint8_t* lvb);
  [[nodiscard]] int Purge(MemberImpl* member, int node, int pid);

  int MasterOf(std::string_view name) const;
  [[nodiscard]] int Recall(MemberImpl* member, LockId id, int held, int wanted, const uint8_t* lvb);
  void ForgetBast(MemberImpl* member, LockId id);

  [[nodiscard]] int SetTransaction(MemberImpl* member, LockId id, uint64_t xid);
  // 0: it is of none.
  uint64_t TransactionOf(const Lock& lock) const;

  // The last event of `lock` was taken.
  void DeleteLock(Lock* lock);

  // Calls `visit(const Resource&)` for each resource, in no particular order.
  template <class F>
  void ForEachResource(F&& visit) const {
    resources_.ForEachSafe([&visit](Resource* resource) { visit(*resource); });
  }

 private:
  // A node's share: how many members it has, and its orphans (ls_orphans).
  struct Node : Owner {
    explicit Node(int number) : Owner(number, false) {}
    ~Node() = default;
    int members = 0;
  };

  void QueueCast(Lock* lock, int status) override;
  void QueueBast(Lock* lock, int mode) override;

  Resource* FindResource(std::string_view name);
  void DetachLock(Lock* lock);
  void ExpireTossed();
  void ClearTossed();
  void ForgetTossed(ResourceBlock* block);
  // unlock_proc_lock(): without a word.
  void ForceUnlock(Lock* lock);
  // orphan_proc_lock()
  void MakeOrphan(Lock* lock, int pid);
  void Recover(int gone_node, std::vector<Resource*>* touched);

  ClusterImpl* const cluster_;
  const std::string name_;
  std::vector<MemberImpl*> members_;
  std::map<int, Node> nodes_;
  LockTable locks_;
  Pool<Lock> lock_pool_;
  HashTable<Resource, ResourceTraits> resources_;
  List<ResourceBlock> tossed_;  // oldest first
  // Of the locks that are of one: most are not.
  std::unordered_map<LockId, uint64_t> transactions_;
};

}  // namespace stackglue::fsdlm

#endif  // STACKGLUE_NATIVE_FSDLM_LOCKSPACE_H_
