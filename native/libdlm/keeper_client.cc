#include "libdlm/keeper_client.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

extern char** environ;

namespace stackglue::libdlm {
namespace {

// posix_spawn(3) copies a descriptor to its number in the keeper, and one that has it already stays
// closed on exec; so what is handed over is out of the way of those numbers.
int Above(int fd) { return fcntl(fd, F_DUPFD_CLOEXEC, kKeeperArea + 1); }

}  // namespace

KeeperClient::~KeeperClient() {
  if (socket_ >= 0) close(socket_);
  Reap();
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

  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  const int given[] = {Above(ends[1]), signal_fd < 0 ? -1 : Above(signal_fd),
                       area_fd < 0 ? -1 : Above(area_fd)};
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

  const std::string path = Path();
  std::string title = "stackglue-keeper";
  std::string name = request.name;  // for those who look at a list of processes
  char* const arguments[] = {title.data(), name.data(), nullptr};
  // Handing over less would leave it with whatever of ours has that number.
  const bool is_short =
      given[0] < 0 || (signal_fd >= 0 && given[1] < 0) || (area_fd >= 0 && given[2] < 0);
  const int error =
      is_short ? EMFILE
               : posix_spawn(&starter_, path.c_str(), &actions, &attributes, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  for (const int fd : given) {
    if (fd >= 0) close(fd);
  }
  close(ends[1]);
  if (error != 0) {
    starter_ = -1;
    return error;
  }
  return send(socket_, &request, sizeof request, MSG_NOSIGNAL) == sizeof request ? 0 : errno;
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
  } while (size < 0 && errno == EINTR);
  if (size < 0 && errno == EAGAIN) return Received::kNothing;
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
  Reap();
  return Received::kReport;
}

void KeeperClient::Send(KeeperRequestKind kind) {
  KeeperRequest request;
  std::memset(&request, 0, sizeof request);
  request.kind = kind;
  // A keeper that does not listen has ended, which Receive() tells.
  SendRequest(request);
}

bool KeeperClient::AskWhyGone(int node, int64_t since_s) {
  KeeperRequest request;
  std::memset(&request, 0, sizeof request);
  request.kind = KeeperRequestKind::kWhyGone;
  request.node = node;
  request.since_s = since_s;
  return SendRequest(request);
}

bool KeeperClient::SendRequest(const KeeperRequest& request) {
  if (socket_ < 0 || has_ended_) return false;
  return send(socket_, &request, sizeof request, MSG_NOSIGNAL) == sizeof request;
}

void KeeperClient::Reap() {
  if (starter_ < 0) return;
  while (waitpid(starter_, nullptr, 0) < 0 && errno == EINTR) {
  }
  starter_ = -1;
}

}  // namespace stackglue::libdlm
