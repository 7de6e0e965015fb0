// The keeper: a process beside the service that waits for the cluster in its place. What it is for
// and what it is told: kernel/keeper_protocol.h.
//
// It ends when the service does, or is told to, as soon as the lockspace is given up; nothing else
// ends it but SIGKILL, which takes the service's promise not to wait with it. While the lockspace
// is stopped it may stay behind, in state D (dlm_user_request, dlm_clear_proc_locks): that is its
// work.
//
// Threads: the main one talks to the service; the worker opens the lockspace, makes the calls if
// that is the keeper's part, and gives the lockspace up; the watcher hears the cluster's daemons,
// which may hang, once the lockspace is open.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "keeper/node_names.h"
#include "keeper/opener.h"
#include "keeper/sentry.h"
#include "kernel/keeper_protocol.h"
#include "kernel/submitter.h"
#include "util/version.h"

namespace stackglue::keeper {
namespace {

using kernel::KeeperReport;
using kernel::KeeperReportKind;
using kernel::KeeperRequest;
using kernel::KeeperRequestKind;
using kernel::OpenFailure;
using kernel::OpenResult;
using kernel::SubmitArea;

void CopyText(const std::string& text, KeeperReport* report) {
  const size_t length = std::min(text.size(), sizeof report->text - 1);
  std::memcpy(report->text, text.data(), length);
  report->text[length] = '\0';
}

// To the service; `fd` goes along unless it is -1. A service that has ended hears nothing.
void Tell(const KeeperReport& report, int fd = -1) {
  iovec part{const_cast<KeeperReport*>(&report), sizeof report};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)];
  if (fd >= 0) {
    std::memset(control, 0, sizeof control);
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  }
  sendmsg(kernel::kKeeperSocket, &message, MSG_NOSIGNAL);
}

// How often it is looked whether the end may come while the lockspace is being opened.
constexpr int kEndingTickMs = 20;

// The service's memory file, which must keep its size; null where it is anything else.
SubmitArea* MapArea() {
  struct stat file;
  const int seals = fcntl(kernel::kKeeperArea, F_GET_SEALS);
  void* memory = MAP_FAILED;
  if (seals >= 0 && (seals & kernel::kAreaSeals) == kernel::kAreaSeals &&
      fstat(kernel::kKeeperArea, &file) == 0 &&
      file.st_size >= static_cast<off_t>(sizeof(SubmitArea))) {
    memory = mmap(nullptr, sizeof(SubmitArea), PROT_READ | PROT_WRITE, MAP_SHARED,
                  kernel::kKeeperArea, 0);
  }
  close(kernel::kKeeperArea);
  return memory == MAP_FAILED ? nullptr : static_cast<SubmitArea*>(memory);
}

class Keeper {
 public:
  explicit Keeper(const KeeperRequest& request)
      : submits_(request.submits != 0), name_(request.name), opener_(request, is_over_) {
    if (submits_) area_ = MapArea();
  }

  // Returns when the lockspace is given up; the watcher may still wait for a daemon then.
  void Run() {
    std::thread worker([this] { Work(); });
    std::thread([this] { Watch(); }).detach();
    Listen();
    worker.join();
    // What is left unread would stand before what is told now.
    shutdown(kernel::kKeeperSocket, SHUT_RD);
    KeeperRequest unread;
    while (recv(kernel::kKeeperSocket, &unread, sizeof unread, MSG_DONTWAIT) > 0) {
    }
    // Last: what the service waits for is done when it hears of it.
    KeeperReport report{};
    report.kind = result_.failure == OpenFailure::kNone ? KeeperReportKind::kClosed
                                                        : KeeperReportKind::kFailed;
    report.code = static_cast<int32_t>(result_.failure);
    report.error = result_.error;
    CopyText(result_.detail, &report);
    Tell(report);
  }

 private:
  // The worker.
  void Work() {
    result_ = submits_ && area_ == nullptr ? OpenResult{OpenFailure::kFailed, ENOMEM, {}}
                                           : opener_.Open();
    if (result_.failure == OpenFailure::kNone) {
      AwaitNames();  // before: who connects may ask for what it tells at once
      KeeperReport report{};
      report.kind = KeeperReportKind::kOpened;
      report.versions = opener_.versions();
      Tell(report, opener_.device_fd());
      if (submits_) {
        kernel::Submitter submitter(area_, opener_.device_fd(), kernel::kKeeperSignal);
        submitter.Serve();
        submitter.End();
      }
      uint64_t over = 0;
      while (!is_over_ && read(over_fd_, &over, sizeof over) < 0 && errno == EINTR) {
      }
    }
    opener_.Shut();
    Raise(worker_fd_);
  }

  // Has the watcher begin, and waits until it has told the nodes' names and their ring, or for the
  // end: corosync may hang.
  void AwaitNames() {
    Raise(opened_fd_);
    pollfd fds[] = {{named_fd_, POLLIN, 0}, {over_fd_, POLLIN, 0}};
    while (poll(fds, std::size(fds), -1) < 0) {
    }
  }

  static void Raise(int event_fd) {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = write(event_fd, &one, sizeof one);
  }

  // The main thread: until the worker has ended.
  void Listen() {
    int socket = kernel::kKeeperSocket;
    for (;;) {
      const bool looks = is_over_ && opener_.is_opening();
      pollfd fds[] = {{worker_fd_, POLLIN, 0}, {socket, POLLIN, 0}};
      if (poll(fds, std::size(fds), looks ? kEndingTickMs : -1) < 0) continue;
      if (fds[0].revents != 0) return;
      if (fds[1].revents != 0 && !Hear()) {
        socket = -1;
        BeginEnd();
      }
      // Nobody is told: who asks for the end of what is not open yet does not wait for it.
      if (is_over_ && opener_.MayEnd()) _exit(0);
    }
  }

  // The watcher.
  void Watch() {
    uint64_t opened = 0;
    while (read(opened_fd_, &opened, sizeof opened) < 0) {
    }
    TellNames();
    Sentry sentry;
    // It is there as soon as it was asked for.
    TellQuorum(&sentry);
    Raise(named_fd_);
    for (;;) {
      pollfd fds[] = {{names_fd_, POLLIN, 0},
                      {sentry.quorum_fd(), POLLIN, 0},
                      {sentry.daemon_fd(), POLLIN, 0},
                      {ring_fd_, POLLIN, 0},
                      {gone_fd_, POLLIN, 0}};
      if (poll(fds, std::size(fds), -1) < 0) continue;
      uint64_t count = 0;
      if (fds[0].revents != 0 && read(names_fd_, &count, sizeof count) > 0) TellNames();
      if (fds[1].revents != 0) TellQuorum(&sentry);
      if (fds[2].revents != 0) {
        sentry.ForgetDaemon();
        KeeperReport report{};
        report.kind = KeeperReportKind::kDaemonGone;
        Tell(report);
      }
      if (fds[3].revents != 0 && read(ring_fd_, &count, sizeof count) > 0) {
        TellQuorum(&sentry);
        for (; count > 0; --count) TellQuorum(sentry.quorum(), true);
      }
      if (fds[4].revents != 0 && read(gone_fd_, &count, sizeof count) > 0) TellGone();
    }
  }

  // False: nothing more will come.
  bool Hear() {
    KeeperRequest request;
    const ssize_t size = recv(kernel::kKeeperSocket, &request, sizeof request, MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return true;
    if (size != sizeof request) return false;
    if (request.kind == KeeperRequestKind::kClose) BeginEnd();
    if (is_over_) return true;  // read, so that nothing is in the way of what is told last
    if (request.kind == KeeperRequestKind::kNames) Raise(names_fd_);
    if (request.kind == KeeperRequestKind::kRing) Raise(ring_fd_);
    if (request.kind == KeeperRequestKind::kWhyGone) {
      const std::lock_guard lock(gone_mutex_);
      gone_.emplace_back(request.node, request.since_s);
      Raise(gone_fd_);
    }
    return true;
  }

  void BeginEnd() {
    if (is_over_.exchange(true)) return;
    Raise(over_fd_);
    if (area_ == nullptr) return;
    // What was asked for before the service ended is still done, if it can be done now: a pause
    // that nobody would end any more is no reason to wait.
    if (area_->paused.load() != 0) area_->abandoned.store(1);
    area_->closing.store(1);
    kernel::Submitter::Wake(area_);
  }

  void TellQuorum(Sentry* sentry) {
    for (const Sentry::Quorum& each : sentry->HearQuorum()) TellQuorum(each, false);
  }

  void TellQuorum(const Sentry::Quorum& known, bool is_answer) {
    KeeperReport report{};
    report.kind = KeeperReportKind::kQuorum;
    report.error = is_answer ? 1 : 0;
    report.code = known.is_quorate ? 1 : 0;
    report.ring = known.ring;
    for (const int node : known.nodes) {
      if (report.node_count < kernel::kRingNodesMax) report.nodes[report.node_count++] = node;
    }
    Tell(report);
  }

  void TellGone() {
    std::vector<std::pair<int, int64_t>> asked;
    {
      const std::lock_guard lock(gone_mutex_);
      asked.swap(gone_);
    }
    for (const auto& [node, since_s] : asked) {
      KeeperReport report{};
      report.kind = KeeperReportKind::kGone;
      report.code = node;
      report.error = Sentry::HasFailed(name_.c_str(), node, since_s) ? 1 : 0;
      Tell(report);
    }
  }

  void TellNames() {
    for (const auto& [node, name] : ReadNodeNames()) {
      KeeperReport report{};
      report.kind = KeeperReportKind::kName;
      report.code = node;
      CopyText(name, &report);
      Tell(report);
    }
  }

  const bool submits_;
  const std::string name_;
  std::atomic<bool> is_over_{false};
  const int over_fd_ = eventfd(0, EFD_CLOEXEC);
  const int worker_fd_ = eventfd(0, EFD_CLOEXEC);
  const int names_fd_ = eventfd(0, EFD_CLOEXEC);
  const int ring_fd_ = eventfd(0, EFD_CLOEXEC);
  const int gone_fd_ = eventfd(0, EFD_CLOEXEC);
  const int opened_fd_ = eventfd(0, EFD_CLOEXEC);
  const int named_fd_ = eventfd(0, EFD_CLOEXEC);
  std::mutex gone_mutex_;
  std::vector<std::pair<int, int64_t>> gone_;  // what the service has asked, and since when
  Opener opener_;
  OpenResult result_;  // the worker's until it has ended
  SubmitArea* area_ = nullptr;
};

// The addon is of another version than this.
void TellOtherVersion() {
  KeeperReport report{};
  report.kind = KeeperReportKind::kFailed;
  report.code = static_cast<int32_t>(OpenFailure::kOtherKeeper);
  CopyText(kVersion, &report);
  Tell(report);
}

}  // namespace
}  // namespace stackglue::keeper

int main(int argc, char** argv) {
  if (argc < 3) _exit(0);
  // A grandchild of the service: its own end is nothing that the service has to look after, unless
  // all orphans are the service's.
  const bool stays = argc > 3 && std::strcmp(argv[3], stackglue::kernel::kKeeperStays) == 0;
  if (!stays && fork() != 0) _exit(0);
  setsid();
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);
  // What it was started in may be unmounted.
  if (chdir("/") != 0) return 1;
  syscall(SYS_close_range, stackglue::kernel::kKeeperArea + 1, ~0U, 0);
  if (std::strcmp(argv[2], stackglue::kVersion) != 0) {
    stackglue::keeper::TellOtherVersion();
    return 1;
  }
  stackglue::kernel::KeeperRequest request;
  if (recv(stackglue::kernel::kKeeperSocket, &request, sizeof request, 0) != sizeof request) {
    return 1;
  }
  request.name[sizeof request.name - 1] = '\0';
  request.library[sizeof request.library - 1] = '\0';
  // Without a part in the calls these two were not given, and may be anything of the service's.
  if (request.submits == 0) syscall(SYS_close_range, stackglue::kernel::kKeeperSignal, ~0U, 0);
  stackglue::keeper::Keeper keeper(request);
  keeper.Run();
  _exit(0);  // whatever the watcher is about
}
