// The service's end of a keeper: starts the process and talks to it. See keeper_protocol.h.
//
// Threads: the loop. Nothing here waits: a thread of its own starts the program and looks after its
// parent.
#ifndef STACKGLUE_NATIVE_KERNEL_KEEPER_CLIENT_H_
#define STACKGLUE_NATIVE_KERNEL_KEEPER_CLIENT_H_

#include <string>

#include "kernel/keeper_protocol.h"

namespace stackglue::kernel {

class KeeperClient {
 public:
  KeeperClient() = default;
  KeeperClient(const KeeperClient&) = delete;
  KeeperClient& operator=(const KeeperClient&) = delete;
  // The keeper gives the lockspace up and ends, whenever it can.
  ~KeeperClient();

  // Starts the program that lies beside this addon. `signal_fd` and `area_fd` are handed to a
  // keeper that makes the calls, else -1. Returns 0 or an errno. Where the program cannot be
  // started that is reported as if the keeper had told it (kFailed, OpenFailure::kNoKeeper).
  int Start(const KeeperRequest& request, int signal_fd, int area_fd);

  // Readable when Receive() has something; -1 before Start().
  int fd() const { return socket_; }
  // Receive() has said kEnd: there is nothing to be polled any more.
  bool has_ended() const { return has_ended_; }

  enum class Received { kReport, kNothing, kEnd };

  // The next report; `device_fd` is the descriptor that came with it (close on exec), or -1.
  Received Receive(KeeperReport* report, int* device_fd);

  // Behind kClose nothing is sent any more.
  void Send(KeeperRequestKind kind);
  // kRing. False: it has not been asked, because its socket is full or there is no keeper.
  bool AskRing();
  enum class Asked {
    kYes,
    kLater,   // its socket is full: it is to be asked again
    kNobody,  // there is no keeper that could answer
  };
  // kWhyGone.
  Asked AskWhyGone(int node, int64_t since_s);

  // Where the keeper's program is.
  static std::string Path();

 private:
  bool CanBeAsked() const { return socket_ >= 0 && !has_ended_ && !is_closing_; }
  // False: CanBeAsked() or errno tells why.
  bool SendRequest(const KeeperRequest& request);

  int socket_ = -1;
  bool is_closing_ = false;
  bool has_ended_ = false;
};

}  // namespace stackglue::kernel

#endif  // STACKGLUE_NATIVE_KERNEL_KEEPER_CLIENT_H_
