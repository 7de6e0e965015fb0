// The simulated nodes' common world: domains by name, and the one mutex that guards all of it.
//
// Threads: the public interface may be called from any thread. Code that touches a Domain, its
// resources, locks or members does so inside a Section.
//
// Invariants:
//  1. A domain exists exactly as long as it has a living member; its version goes with it.
//  2. That of util/cluster_base.h.
#ifndef STACKGLUE_NATIVE_O2DLM_CLUSTER_H_
#define STACKGLUE_NATIVE_O2DLM_CLUSTER_H_

#include <map>
#include <memory>
#include <string>

#include "domain.h"
#include "member.h"
#include "util/cluster_base.h"

namespace stackglue::o2dlm {

class ClusterImpl final : public Cluster, public ClusterBase<MemberImpl> {
 public:
  // `name` is empty for a cluster that cannot be found by name.
  explicit ClusterImpl(std::string_view name) : ClusterBase("o2dlm", name) {}
  ~ClusterImpl() override;

  int Join(std::string_view domain, int node, ProtocolVersion* version, EventSink* sink,
           std::unique_ptr<Member>* member) override;
  int KillNode(int node) override;
  void HoldThread() override;
  bool thread_is_due() override;
  void RunThread() override;

  // `member` goes away. Called by its destructor.
  void Leave(MemberImpl* member);

  // Needs the mutex held.
  LockId NextLockId() { return next_lock_id_++; }
  bool holds_thread() const { return holds_thread_; }
  const Domain* FindDomain(std::string_view name) const;

 private:
  using DomainMap = std::map<std::string, std::unique_ptr<Domain>, std::less<>>;

  // Guarded by the mutex:
  DomainMap domains_;
  LockId next_lock_id_ = 1;
  bool holds_thread_ = false;
};

}  // namespace stackglue::o2dlm

#endif  // STACKGLUE_NATIVE_O2DLM_CLUSTER_H_
