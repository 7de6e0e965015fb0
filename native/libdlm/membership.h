// Who is in a lockspace, and who has just gone: configfs, as dlm_controld keeps it.
//
// libdlm has no node-down notice. dlm_controld removes a node's directory from the lockspace in
// configfs before it restarts the lockspace, so a change that is read from the watch after a result
// was read from the lockspace's device includes every departure whose recovery led to that result.
//
// A departure is a death when the node's comms directory went too, and an orderly leave otherwise:
// the same test that the kernel applies before it calls recover_slot
// (fs/dlm/member.c:dlm_lsop_recover_slot).
//
// Threads: Open() on any one thread, then the event loop's thread only.
#ifndef STACKGLUE_NATIVE_LIBDLM_MEMBERSHIP_H_
#define STACKGLUE_NATIVE_LIBDLM_MEMBERSHIP_H_

#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace stackglue::libdlm {

class Membership {
 public:
  struct Departure {
    int node = 0;
    bool died = false;
  };

  Membership() = default;
  Membership(const Membership&) = delete;
  Membership& operator=(const Membership&) = delete;
  ~Membership();

  // The directory that has an entry for each member of the lockspace.
  static std::string NodesPath(const std::string& lockspace);

  // Watches `lockspace`, which must have been joined. Returns 0 or an errno.
  int Open(const std::string& lockspace);

  // Readable when TakeDepartures() has something to look at; -1 before Open().
  int fd() const { return fd_; }

  // Appends the departures since the last call, in the order in which they happened.
  void TakeDepartures(std::vector<Departure>* departures);

  // This node's number in the cluster: the comms entry whose `local` is 1. 0 when there is none.
  static int ThisNode();

 private:
  void HandleMember(int node, uint32_t mask, std::vector<Departure>* departures);

  int fd_ = -1;
  int nodes_watch_ = -1;
  int comms_watch_ = -1;
  std::set<int> members_;
  // Members whose comms directory has gone since they joined.
  std::set<int> disconnected_;
};

}  // namespace stackglue::libdlm

#endif  // STACKGLUE_NATIVE_LIBDLM_MEMBERSHIP_H_
