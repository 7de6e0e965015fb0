// The simulated nodes' common world: lockspaces by name, and the one mutex that guards all of it.
//
// Threads: the public interface may be called from any thread. Code that touches a Lockspace, its
// resources, locks or members does so inside a Section.
//
// Invariants:
//  1. A lockspace exists exactly as long as it has a living member.
//  2. That of util/cluster_base.h.
#ifndef STACKGLUE_NATIVE_FSDLM_CLUSTER_H_
#define STACKGLUE_NATIVE_FSDLM_CLUSTER_H_

#include <chrono>
#include <map>
#include <memory>
#include <string>

#include "lockspace.h"
#include "member.h"
#include "util/cluster_base.h"

namespace stackglue::fsdlm {

class ClusterImpl final : public Cluster, public ClusterBase<MemberImpl> {
 public:
  // `name` is empty for a cluster that cannot be found by name.
  ClusterImpl(std::string_view name, Clock* clock) : ClusterBase("fsdlm", name), clock_(clock) {}
  ~ClusterImpl() override;

  int Join(std::string_view lockspace, int node, EventSink* sink, std::unique_ptr<Member>* member,
           Company company) override;
  int KillNode(int node) override;

  // `member` goes away. Called by its destructor.
  void Leave(MemberImpl* member);

  // Need the mutex held.
  const Lockspace* FindLockspace(std::string_view name) const;
  uint64_t NowMs() {
    if (clock_ != nullptr) return clock_->NowMs();
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
  }

 private:
  using LockspaceMap = std::map<std::string, std::unique_ptr<Lockspace>, std::less<>>;

  Clock* const clock_;
  // Guarded by the mutex:
  LockspaceMap lockspaces_;
  int last_pid_ = 0;
};

}  // namespace stackglue::fsdlm

#endif  // STACKGLUE_NATIVE_FSDLM_CLUSTER_H_
