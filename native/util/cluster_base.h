// What the clusters of both engines have in common: a name by which threads find them, the number
// of their membership, and the one mutex that guards all of a cluster.
//
// Threads: any.
//
// Invariant: no EventSink is called while the mutex is held. A member whose queue stopped being
// empty is on to_wake_ until some thread takes it off in order to call its sink; a call into the
// engine returns only when to_wake_ was seen empty.
#ifndef STACKGLUE_NATIVE_UTIL_CLUSTER_BASE_H_
#define STACKGLUE_NATIVE_UTIL_CLUSTER_BASE_H_

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "util/biased_mutex.h"
#include "util/node_ring.h"
#include "util/notifier.h"

namespace stackglue {

// `MemberType` is what the cluster's members are to it: a ListNode, for its place on to_wake_.
template <class MemberType>
class ClusterBase {
 public:
  // Holds the cluster's mutex; after letting it go, wakes the members that got events meanwhile.
  class Section {
   public:
    explicit Section(ClusterBase* cluster) : cluster_(cluster) { cluster_->mutex_.lock(); }
    ~Section() { UnlockAndWake(&cluster_->to_wake_, &cluster_->mutex_); }
    Section(const Section&) = delete;
    Section& operator=(const Section&) = delete;

   private:
    ClusterBase* const cluster_;
  };

  NodeRing* ring() const { return ring_.get(); }

  // Needs the mutex held.
  void Wake(MemberType* member) { to_wake_.PushBack(member); }

 protected:
  // `name` is empty for a cluster that cannot be found by name, and has a ring of its own then.
  // Throws std::bad_alloc.
  ClusterBase(const char* stack, std::string_view name)
      : name_(name),
        ring_(name.empty() ? std::make_shared<NodeRing>() : NodeRing::Named(stack, name_)) {}
  ~ClusterBase() = default;

  const std::string& name() const { return name_; }

 private:
  const std::string name_;
  const std::shared_ptr<NodeRing> ring_;
  BiasedMutex mutex_;
  List<MemberType> to_wake_;  // guarded by mutex_
};

// An engine's clusters that live, by their names.
template <class ClusterType>
class ClusterRegistry {
 public:
  // The cluster of that name; `make` makes it where there is none. Null without memory.
  template <typename Make>
  static std::shared_ptr<ClusterType> FindOrMake(std::string_view name, Make make) {
    try {
      ClusterRegistry& registry = Instance();  // its first use needs memory, too
      const std::lock_guard<std::mutex> guard(registry.mutex_);
      const auto at = registry.clusters_.try_emplace(std::string(name)).first;
      std::shared_ptr<ClusterType> cluster = at->second.lock();
      if (cluster == nullptr) at->second = cluster = make();
      return cluster;
    } catch (...) {
      return nullptr;
    }
  }

  // The cluster of that name goes, from its destructor.
  static void Forget(const std::string& name) {
    ClusterRegistry& registry = Instance();
    const std::lock_guard<std::mutex> guard(registry.mutex_);
    const auto at = registry.clusters_.find(name);
    // The name may have a new cluster by now.
    if (at != registry.clusters_.end() && at->second.expired()) registry.clusters_.erase(at);
  }

 private:
  // Never destroyed: clusters may outlive static destructors.
  static ClusterRegistry& Instance() {
    static auto* registry = new ClusterRegistry;
    return *registry;
  }

  std::mutex mutex_;
  std::map<std::string, std::weak_ptr<ClusterType>, std::less<>> clusters_;  // guarded by mutex_
};

}  // namespace stackglue

#endif  // STACKGLUE_NATIVE_UTIL_CLUSTER_BASE_H_
