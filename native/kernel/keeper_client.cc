#include "kernel/keeper_client.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "kernel/detached_thread.h"
#include "kernel/keeper_environment.h"
#include "kernel/open_failure.h"
#include "util/version.h"

namespace stackglue::kernel {
namespace {

// posix_spawn(3) copies a descriptor to its number in the keeper, and one that has it already stays
// closed on exec; so what is handed over is out of the way of those numbers.
int Above(int fd) { return fcntl(fd, F_DUPFD_CLOEXEC, kKeeperArea + 1); }

// Whether orphans of this process's descendants become its own children: it is the first process of
// its PID namespace, as in a container, or has asked for that.
bool AdoptsOrphans() {
  int adopts = 0;
  return getpid() == 1 || (prctl(PR_GET_CHILD_SUBREAPER, &adopts) == 0 && adopts != 0);
}

// The start of one keeper: all that its thread needs, taken together on the loop.
struct Launch {
  Launch(int socket, int signal, int area, const char* lockspace)
      : given{Above(socket), signal < 0 ? -1 : Above(signal), area < 0 ? -1 : Above(area)},
        is_short(given[0] < 0 || (signal >= 0 && given[1] < 0) || (area >= 0 && given[2] < 0)),
        stays(AdoptsOrphans()),
        path(KeeperClient::Path()),
        // The lockspace for those who look at a list of processes.
        arguments{"stackglue-keeper", lockspace, kVersion} {
    if (stays) arguments.push_back(kKeeperStays);
    for (std::string& argument : arguments) argument_list.push_back(argument.data());
    argument_list.push_back(nullptr);
    for (std::string& variable : environment) variable_list.push_back(variable.data());
    variable_list.push_back(nullptr);
  }
  Launch(const Launch&) = delete;
  Launch& operator=(const Launch&) = delete;
  ~Launch() {
    for (const int fd : given) {
      if (fd >= 0) close(fd);
    }
  }

  int Spawn(pid_t* child);
  void Run();

  int given[3];
  // Handing over less would leave the keeper with whatever of ours has that number.
  const bool is_short;
  const bool stays;
  const std::string path;
  std::vector<std::string> arguments;
  std::vector<std::string> environment = KeeperEnvironment();
  std::vector<char*> argument_list;
  std::vector<char*> variable_list;
};

int Launch::Spawn(pid_t* child) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  constexpr int kNumbers[] = {kKeeperSocket, kKeeperSignal, kKeeperArea};
  // Not the service's: who waits for the end of its output shall not wait for the keeper.
  for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    posix_spawn_file_actions_addopen(&actions, standard, "/dev/null", O_RDWR, 0);
  }
  for (size_t i = 0; i < std::size(given); ++i) {
    if (given[i] >= 0) posix_spawn_file_actions_adddup2(&actions, given[i], kNumbers[i]);
  }
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  const int error = posix_spawn(child, path.c_str(), &actions, &attributes, argument_list.data(),
                                variable_list.data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  return error;
}

// The thread's: until the child has ended, which is at once where it is only the keeper's parent.
void Launch::Run() {
  pid_t child = -1;
  if (const int error = Spawn(&child)) {
    KeeperReport report{};
    report.kind = KeeperReportKind::kFailed;
    report.code = static_cast<int32_t>(OpenFailure::kNoKeeper);
    report.error = error;
    path.copy(report.text, sizeof report.text - 1);
    send(given[0], &report, sizeof report, MSG_NOSIGNAL);
    return;
  }
  // What shows the keeper that the service has ended, and the service that the keeper has.
  for (int& fd : given) {
    if (fd >= 0) close(std::exchange(fd, -1));
  }
  while (waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace

KeeperClient::~KeeperClient() {
  if (socket_ >= 0) close(socket_);
}

std::string KeeperClient::Path() {
  Dl_info info;
  if (dladdr(reinterpret_cast<void*>(&KeeperClient::Path), &info) == 0) return {};
  const std::string addon = info.dli_fname;
  return addon.substr(0, addon.rfind('/') + 1) + "stackglue-keeper";
}

int KeeperClient::Start(const KeeperRequest& request, int signal_fd, int area_fd) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return errno;
  socket_ = ends[0];
  fcntl(socket_, F_SETFL, O_NONBLOCK);
  std::shared_ptr<Launch> launch;
  try {
    launch = std::make_shared<Launch>(ends[1], signal_fd, area_fd, request.name);
  } catch (const std::bad_alloc&) {
  }
  close(ends[1]);
  if (launch == nullptr) return ENOMEM;
  if (launch->is_short) return EMFILE;
  if (send(socket_, &request, sizeof request, MSG_NOSIGNAL) != sizeof request) return errno;
  return Detach("dlm-keeper", [launch] { launch->Run(); });
}

KeeperClient::Received KeeperClient::Receive(KeeperReport* report, int* device_fd) {
  *device_fd = -1;
  iovec part{report, sizeof *report};
  msghdr message{};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof *device_fd)];
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t size;
  do {
    size = recvmsg(socket_, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    // A keeper that ended before it had read all of ours is told of first; what it said is there.
  } while (size < 0 && (errno == EINTR || errno == ECONNRESET));
  if (size < 0 && errno == EAGAIN) return Received::kNothing;
  if (size > 0 && size != sizeof *report) {
    // The words of another version. Its descriptor, if one came, is none of ours.
    if (const cmsghdr* header = CMSG_FIRSTHDR(&message);
        header != nullptr && header->cmsg_type == SCM_RIGHTS) {
      int foreign = -1;
      std::memcpy(&foreign, CMSG_DATA(header), sizeof foreign);
      close(foreign);
    }
    std::memset(report, 0, sizeof *report);
    report->kind = KeeperReportKind::kFailed;
    report->code = static_cast<int32_t>(OpenFailure::kOtherKeeper);
    return Received::kReport;
  }
  if (size != sizeof *report) {
    // Not closed yet: it may still be polled.
    has_ended_ = true;
    return Received::kEnd;
  }
  if (const cmsghdr* header = CMSG_FIRSTHDR(&message);
      header != nullptr && header->cmsg_type == SCM_RIGHTS) {
    std::memcpy(device_fd, CMSG_DATA(header), sizeof *device_fd);
  }
  report->text[sizeof report->text - 1] = '\0';
  return Received::kReport;
}

void KeeperClient::Send(KeeperRequestKind kind) {
  KeeperRequest request;
  std::memset(&request, 0, sizeof request);
  request.kind = kind;
  // A keeper that does not listen has ended, which Receive() tells.
  const bool is_sent = SendRequest(request);
  if (kind != KeeperRequestKind::kClose || is_closing_) return;
  is_closing_ = true;
  // One that has not read for long: no more being to come means the same to it.
  if (!is_sent && socket_ >= 0) shutdown(socket_, SHUT_WR);
}

bool KeeperClient::AskRing() {
  KeeperRequest request;
  std::memset(&request, 0, sizeof request);
  request.kind = KeeperRequestKind::kRing;
  return SendRequest(request);
}

KeeperClient::Asked KeeperClient::AskWhyGone(int node, int64_t since_s) {
  KeeperRequest request;
  std::memset(&request, 0, sizeof request);
  request.kind = KeeperRequestKind::kWhyGone;
  request.node = node;
  request.since_s = since_s;
  if (SendRequest(request)) return Asked::kYes;
  return CanBeAsked() && errno == EAGAIN ? Asked::kLater : Asked::kNobody;
}

bool KeeperClient::SendRequest(const KeeperRequest& request) {
  if (!CanBeAsked()) return false;
  return send(socket_, &request, sizeof request, MSG_NOSIGNAL) == sizeof request;
}

}  // namespace stackglue::kernel
