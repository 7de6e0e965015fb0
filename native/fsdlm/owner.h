// Whose a lock is: a process's, or an orphan of a node.
//
// Threads: guarded by the cluster's mutex.
#ifndef STACKGLUE_NATIVE_FSDLM_OWNER_H_
#define STACKGLUE_NATIVE_FSDLM_OWNER_H_

#include "lock.h"

namespace stackglue::fsdlm {

class Owner {
 public:
  Owner(int node, bool is_process) : node_(node), is_process_(is_process) {}
  Owner(const Owner&) = delete;
  Owner& operator=(const Owner&) = delete;

  int node() const { return node_; }
  // False: its locks are orphans, and nobody hears of them.
  bool is_process() const { return is_process_; }
  List<OwnLink>* locks() { return &locks_; }

 protected:
  ~Owner() = default;

 private:
  const int node_;
  const bool is_process_;
  List<OwnLink> locks_;  // oldest first
};

}  // namespace stackglue::fsdlm

#endif  // STACKGLUE_NATIVE_FSDLM_OWNER_H_
