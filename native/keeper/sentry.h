// Watches what the kernel does not tell: whether the cluster has a quorum (corosync's libquorum)
// and whether dlm_controld is there (libdlmcontrol). Where a library or daemon is missing, that
// part is left out: a cluster may be run by something else.
//
// Threads: one.
#ifndef STACKGLUE_NATIVE_KEEPER_SENTRY_H_
#define STACKGLUE_NATIVE_KEEPER_SENTRY_H_

#include <cstdint>
#include <vector>

namespace stackglue::keeper {

class Sentry {
 public:
  // Starts to watch. Asks the daemons, which answer at once unless they hang.
  Sentry();
  Sentry(const Sentry&) = delete;
  Sentry& operator=(const Sentry&) = delete;
  ~Sentry();

  // To be polled for input, then looked at; -1 when there is nothing to watch.
  int quorum_fd() const { return quorum_fd_; }
  int daemon_fd() const { return daemon_fd_; }

  // The membership of the cluster's nodes, and whether it has a quorum. Ring 0: nobody can tell.
  struct Quorum {
    bool is_quorate = false;
    uint64_t ring = 0;
    std::vector<int> nodes;
  };
  // What corosync has said since the last call, or that it has gone, one after the other.
  std::vector<Quorum> HearQuorum();
  // The last of all that.
  const Quorum& quorum() const { return quorum_known_; }

  // Whether dlm_controld says that a node that was a member of the lockspace at `since_s`
  // (CLOCK_MONOTONIC, as it uses itself) has failed since; false also where it says nothing.
  static bool HasFailed(const char* lockspace, int node, int64_t since_s);

  // For when daemon_fd() is readable: the daemon has gone. It is not watched any more.
  void ForgetDaemon();

 private:
  struct QuorumCalls;

  void StartQuorum();
  void StartDaemon();
  void ForgetQuorum();

  int quorum_fd_ = -1;
  int daemon_fd_ = -1;
  uint64_t quorum_handle_ = 0;
  const QuorumCalls* quorum_ = nullptr;
  Quorum quorum_known_;
};

}  // namespace stackglue::keeper

#endif  // STACKGLUE_NATIVE_KEEPER_SENTRY_H_
