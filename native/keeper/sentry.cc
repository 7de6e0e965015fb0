#include "keeper/sentry.h"

#include <unistd.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "keeper/library.h"

namespace stackglue::keeper {
namespace {

// <corosync/corotypes.h>, <corosync/quorum.h>
constexpr int kCsOk = 1;
constexpr unsigned kCsTrackCurrent = 1;
constexpr unsigned kCsTrackChanges = 2;
constexpr int kCsDispatchAll = 2;
constexpr uint32_t kQuorumFree = 0;

constexpr char kDlmControl[] = "libdlmcontrol.so.3";

using QuorumNotification = void (*)(uint64_t handle, uint32_t quorate, uint64_t ring_seq,
                                    uint32_t view_list_entries, uint32_t* view_list);
struct QuorumCallbacks {
  QuorumNotification notify;
};

// The notification has no place for an argument of ours, and a keeper has one sentry.
std::vector<Sentry::Quorum> said;

void OnQuorum(uint64_t, uint32_t quorate, uint64_t ring_seq, uint32_t view_list_entries,
              uint32_t* view_list) {
  said.push_back({quorate != 0, ring_seq, {view_list, view_list + view_list_entries}});
}

}  // namespace

// The functions of <corosync/quorum.h>, under their own names.
struct Sentry::QuorumCalls {
  int (*quorum_initialize)(uint64_t*, QuorumCallbacks*, uint32_t*) = nullptr;
  int (*quorum_finalize)(uint64_t) = nullptr;
  int (*quorum_fd_get)(uint64_t, int*) = nullptr;
  int (*quorum_dispatch)(uint64_t, int) = nullptr;
  int (*quorum_trackstart)(uint64_t, unsigned) = nullptr;

  bool Load() {
    void* object = dlopen("libquorum.so.5", RTLD_NOW | RTLD_LOCAL);
    return object != nullptr && Resolve(object, "quorum_initialize", &quorum_initialize) &&
           Resolve(object, "quorum_finalize", &quorum_finalize) &&
           Resolve(object, "quorum_fd_get", &quorum_fd_get) &&
           Resolve(object, "quorum_dispatch", &quorum_dispatch) &&
           Resolve(object, "quorum_trackstart", &quorum_trackstart);
  }
};

Sentry::Sentry() {
  StartDaemon();
  StartQuorum();
}

Sentry::~Sentry() {
  ForgetDaemon();
  ForgetQuorum();
}

void Sentry::StartQuorum() {
  static QuorumCalls calls;
  if (!calls.Load()) return;
  QuorumCallbacks callbacks{OnQuorum};
  uint32_t type = kQuorumFree;
  if (calls.quorum_initialize(&quorum_handle_, &callbacks, &type) != kCsOk) return;
  quorum_ = &calls;
  // Without a quorum provider every node alone is a cluster.
  if (type == kQuorumFree ||
      calls.quorum_trackstart(quorum_handle_, kCsTrackCurrent | kCsTrackChanges) != kCsOk ||
      calls.quorum_fd_get(quorum_handle_, &quorum_fd_) != kCsOk) {
    ForgetQuorum();
  }
}

void Sentry::StartDaemon() {
  void* object = dlopen(kDlmControl, RTLD_NOW | RTLD_LOCAL);
  int (*dlmc_fs_connect)() = nullptr;
  if (object == nullptr || !Resolve(object, "dlmc_fs_connect", &dlmc_fs_connect)) return;
  // Nothing is said on this connection: it is there to be closed by the daemon's end.
  daemon_fd_ = dlmc_fs_connect();
  if (daemon_fd_ < 0) daemon_fd_ = -1;
}

bool Sentry::HasFailed(const char* lockspace, int node, int64_t since_s) {
  // struct dlmc_node of <libdlmcontrol.h>
  struct NodeInfo {
    int nodeid;
    uint32_t flags;
    uint32_t added_seq;
    uint32_t removed_seq;
    int fail_reason;
    uint64_t fail_walltime;
    uint64_t fail_monotime;
  };
  void* object = dlopen(kDlmControl, RTLD_NOW | RTLD_LOCAL);
  int (*dlmc_node_info)(char*, int, NodeInfo*) = nullptr;
  if (object == nullptr || !Resolve(object, "dlmc_node_info", &dlmc_node_info)) return false;
  std::string name = lockspace;
  NodeInfo info{};
  if (dlmc_node_info(name.data(), node, &info) != 0) return false;
  // What a node failed of stays there when it has come back.
  return info.fail_reason != 0 && info.fail_monotime >= static_cast<uint64_t>(since_s);
}

std::vector<Sentry::Quorum> Sentry::HearQuorum() {
  if (quorum_ == nullptr) return {};
  const bool is_there = quorum_->quorum_dispatch(quorum_handle_, kCsDispatchAll) == kCsOk;
  std::vector<Quorum> heard = std::exchange(said, {});
  if (!is_there) {
    // corosync has gone, and dlm_controld goes with it.
    ForgetQuorum();
    heard.emplace_back();
  }
  if (!heard.empty()) quorum_known_ = heard.back();
  return heard;
}

void Sentry::ForgetQuorum() {
  if (quorum_ == nullptr) return;
  quorum_->quorum_finalize(quorum_handle_);
  quorum_ = nullptr;
  quorum_fd_ = -1;
}

void Sentry::ForgetDaemon() {
  if (daemon_fd_ >= 0) close(daemon_fd_);
  daemon_fd_ = -1;
}

}  // namespace stackglue::keeper
