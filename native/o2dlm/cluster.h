// The simulated nodes' common world: domains by name, and the one mutex that guards all of it.
//
// Threads: the public interface may be called from any thread. Code that touches a Domain, its
// resources, locks or members does so inside a Section.
//
// Invariants:
//  1. A domain exists exactly as long as it has a living member; its version goes with it.
//  2. No EventSink is called while the mutex is held. A member whose queue stopped being empty is
//  on
//     to_wake_ until some thread takes it off in order to call its sink; a call into the engine
//     returns only when to_wake_ was seen empty.
#ifndef STACKGLUE_NATIVE_O2DLM_CLUSTER_H_
#define STACKGLUE_NATIVE_O2DLM_CLUSTER_H_

#include <map>
#include <memory>
#include <string>

#include "domain.h"
#include "member.h"
#include "util/biased_mutex.h"
#include "util/node_ring.h"

namespace stackglue::o2dlm {

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
  explicit ClusterImpl(std::string_view name)
      : name_(name),
        ring_(name.empty() ? std::make_shared<NodeRing>() : NodeRing::Named("o2dlm", name_)) {}
  ~ClusterImpl() override;

  int Join(std::string_view domain, int node, ProtocolVersion* version, EventSink* sink,
           std::unique_ptr<Member>* member) override;
  int KillNode(int node) override;
  void HoldThread() override;
  bool thread_is_due() override;
  void RunThread() override;

  NodeRing* ring() const { return ring_.get(); }

  // `member` goes away. Called by its destructor.
  void Leave(MemberImpl* member);

  // Needs the mutex held.
  void Wake(MemberImpl* member) { to_wake_.PushBack(member); }
  LockId NextLockId() { return next_lock_id_++; }
  bool holds_thread() const { return holds_thread_; }
  const Domain* FindDomain(std::string_view name) const;

 private:
  using DomainMap = std::map<std::string, std::unique_ptr<Domain>, std::less<>>;

  const std::string name_;
  const std::shared_ptr<NodeRing> ring_;
  BiasedMutex mutex_;
  // Guarded by mutex_:
  DomainMap domains_;
  List<MemberImpl> to_wake_;
  LockId next_lock_id_ = 1;
  bool holds_thread_ = false;
};

}  // namespace stackglue::o2dlm

#endif  // STACKGLUE_NATIVE_O2DLM_CLUSTER_H_
