// The simulated nodes' common world: lockspaces by name, and the one mutex that guards all of it.
//
// Threads: the public interface may be called from any thread. Code that touches a Lockspace, its
// resources, locks or members does so inside a Section.
//
// Invariants:
//  1. A lockspace exists exactly as long as it has a living member.
//  2. No EventSink is called while the mutex is held. A member whose queue stopped being empty is
//     on to_wake_ until some thread takes it off in order to call its sink; a call into the engine
//     returns only when to_wake_ was seen empty.
#ifndef STACKGLUE_NATIVE_FSDLM_CLUSTER_H_
#define STACKGLUE_NATIVE_FSDLM_CLUSTER_H_

#include <chrono>
#include <map>
#include <memory>
#include <string>

#include "lockspace.h"
#include "member.h"
#include "util/biased_mutex.h"
#include "util/node_ring.h"

namespace stackglue::fsdlm {

class ClusterImpl final : public Cluster {
 public:
  // Holds the cluster's mutex; after letting it go, wakes the members that got events meanwhile.
  class Section {
   public:
    explicit Section(ClusterImpl* cluster) : cluster_(cluster) { cluster_->mutex_.lock(); }
    ~Section() { UnlockAndWake(&cluster_->to_wake_, &cluster_->mutex_); }
    Section(const Section&) = delete;
    Section& operator=(const Section&) = delete;

   private:
    ClusterImpl* const cluster_;
  };

  // `name` is empty for a cluster that cannot be found by name.
  ClusterImpl(std::string_view name, Clock* clock)
      : name_(name),
        ring_(name.empty() ? std::make_shared<NodeRing>() : NodeRing::Named("fsdlm", name_)),
        clock_(clock) {}
  ~ClusterImpl() override;

  int Join(std::string_view lockspace, int node, EventSink* sink, std::unique_ptr<Member>* member,
           Company company) override;
  int KillNode(int node) override;

  NodeRing* ring() const { return ring_.get(); }

  // `member` goes away. Called by its destructor.
  void Leave(MemberImpl* member);

  // Need the mutex held.
  void Wake(MemberImpl* member) { to_wake_.PushBack(member); }
  const Lockspace* FindLockspace(std::string_view name) const;
  uint64_t NowMs() {
    if (clock_ != nullptr) return clock_->NowMs();
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
  }

 private:
  using LockspaceMap = std::map<std::string, std::unique_ptr<Lockspace>, std::less<>>;

  const std::string name_;
  const std::shared_ptr<NodeRing> ring_;
  Clock* const clock_;
  BiasedMutex mutex_;
  // Guarded by mutex_:
  LockspaceMap lockspaces_;
  List<MemberImpl> to_wake_;
  int last_pid_ = 0;
};

}  // namespace stackglue::fsdlm

#endif  // STACKGLUE_NATIVE_FSDLM_CLUSTER_H_
