// The number of an emulated cluster's membership: which nodes are up. It plays corosync's ring
// sequence for programs that want to know whether it has moved.
//
// A node is up from its first join until it is killed, whatever becomes of its processes. So a
// cluster's ring outlives the cluster, which goes with its last member.
//
// Threads: any.
//
// Invariant: the number never goes back, and moves exactly when a node comes up or is killed.
#ifndef STACKGLUE_NATIVE_UTIL_NODE_RING_H_
#define STACKGLUE_NATIVE_UTIL_NODE_RING_H_

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

namespace stackglue {

class NodeRing {
 public:
  // That of the emulated cluster `cluster` of the stack `stack`, as long as the process lives.
  // Throws std::bad_alloc.
  static std::shared_ptr<NodeRing> Named(const std::string& stack, const std::string& cluster) {
    static std::mutex mutex;
    // Never destroyed: clusters may outlive static destructors.
    static auto* rings = new std::map<std::string, std::shared_ptr<NodeRing>>;
    const std::lock_guard<std::mutex> guard(mutex);
    std::shared_ptr<NodeRing>& ring = (*rings)[stack + ":" + cluster];
    if (ring == nullptr) ring = std::make_shared<NodeRing>();
    return ring;
  }

  // The node has joined a group. Throws std::bad_alloc, and then has changed nothing.
  void SeeNode(int node) {
    const std::lock_guard<std::mutex> guard(mutex_);
    if (up_.insert(node).second) ++number_;
  }
  void SeeDeath(int node) {
    const std::lock_guard<std::mutex> guard(mutex_);
    if (up_.erase(node) > 0) ++number_;
  }
  // 0: no node has ever come up.
  uint64_t number() const {
    const std::lock_guard<std::mutex> guard(mutex_);
    return number_;
  }

 private:
  mutable std::mutex mutex_;
  std::set<int> up_;
  uint64_t number_ = 0;
};

}  // namespace stackglue

#endif  // STACKGLUE_NATIVE_UTIL_NODE_RING_H_
