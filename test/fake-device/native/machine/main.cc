// A fake machine: main FOLDER. It says "ready" when it listens, and ends with its standard input.
//
// Two sockets in FOLDER/run: `machine` (machine_call.h) and `control`, to which lines of command.cc
// are written. Each is answered by one line. "drained" is answered when nobody has a lockspace
// open.
//
// Threads: one.
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <map>
#include <string>
#include <vector>

#include "machine/machine.h"
#include "machine_call.h"

namespace stackglue::fake_device {
namespace {

// Between two rounds of what happens by chance.
constexpr int kTickMs = 1;

int Listen(const std::string& path, int type) {
  sockaddr_un address;
  const int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (!AddressOf(path, &address) ||
      bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      listen(fd, SOMAXCONN) != 0) {
    std::fprintf(stderr, "%s: %s\n", path.c_str(), std::strerror(errno));
    _exit(1);
  }
  return fd;
}

class Server {
 public:
  explicit Server(const std::string& root)
      : machine_(root),
        machine_fd_(Listen(root + "/run/machine", SOCK_SEQPACKET)),
        control_fd_(Listen(root + "/run/control", SOCK_STREAM)) {}

  // Until the standard input ends.
  void Run() {
    for (;;) {
      // Connections first: a device that was closed before a call was made is closed before it is
      // served.
      std::vector<pollfd> fds;
      for (const auto& [fd, is_device] : connections_) {
        const bool is_full = is_device && machine_.Flush(fd);
        fds.push_back({fd, static_cast<short>(POLLIN | (is_full ? POLLOUT : 0)), 0});
      }
      for (const auto& [fd, text] : controls_) fds.push_back({fd, POLLIN, 0});
      for (const int fd : {machine_fd_, control_fd_, STDIN_FILENO}) fds.push_back({fd, POLLIN, 0});
      const int ready = poll(fds.data(), fds.size(), machine_.is_random() ? kTickMs : -1);
      if (ready < 0 && errno != EINTR) return;
      for (const pollfd& polled : fds) {
        if ((polled.revents & ~POLLOUT) == 0) continue;
        if (polled.fd == STDIN_FILENO) return;
        Hear(polled.fd);
      }
      // By chance; also while it is asked all the time, but more seldom.
      if (ready == 0 || ++busy_rounds_ % 32 == 0) machine_.Tick();
      AnswerDrained();
    }
  }

 private:
  void Hear(int fd) {
    if (fd == machine_fd_ || fd == control_fd_) {
      const int accepted = accept4(fd, nullptr, nullptr, SOCK_CLOEXEC);
      if (accepted < 0) return;
      if (fd == machine_fd_) {
        connections_[accepted] = false;
      } else {
        controls_[accepted] = {};
      }
    } else if (connections_.count(fd) != 0) {
      HearConnection(fd);
    } else if (controls_.count(fd) != 0) {
      HearControl(fd);
    }
  }

  void HearConnection(int fd) {
    char bytes[1024];
    iovec part{bytes, sizeof bytes};
    int handed_over = -1;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof handed_over)];
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t size = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (size <= 0) {
      machine_.End(fd);
      connections_.erase(fd);
      close(fd);
      return;
    }
    if (const cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr) {
      std::memcpy(&handed_over, CMSG_DATA(header), sizeof handed_over);
    }
    MachineCall call{};
    if (!connections_.at(fd) && size == sizeof call) {
      connections_[fd] = true;
      std::memcpy(&call, bytes, sizeof call);
      machine_.Call(fd, call);
    } else if (handed_over >= 0) {
      machine_.Write(fd, std::string(bytes, static_cast<size_t>(size)), handed_over);
    }
  }

  void HearControl(int fd) {
    char bytes[4096];
    const ssize_t size = read(fd, bytes, sizeof bytes);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (size <= 0) {
      std::erase(drained_, fd);
      controls_.erase(fd);
      close(fd);
      return;
    }
    std::string& text = controls_[fd];
    text.append(bytes, static_cast<size_t>(size));
    for (size_t end; (end = text.find('\n')) != std::string::npos; text.erase(0, end + 1)) {
      const std::string line = text.substr(0, end);
      if (line == "drained") {
        drained_.push_back(fd);
      } else {
        const std::string answer = machine_.Command(line);
        machine_.FlushAll();  // before what the next line brings
        Say(fd, answer);
      }
    }
  }

  void AnswerDrained() {
    if (!machine_.is_idle() || drained_.empty()) return;
    // A call may be on its way whose connection has been made.
    pollfd listener{machine_fd_, POLLIN, 0};
    if (poll(&listener, 1, 0) != 0) return;
    for (const auto& [fd, is_device] : connections_) {
      if (!is_device) return;
    }
    for (const int fd : drained_) Say(fd, "ok");
    drained_.clear();
  }

  static void Say(int fd, const std::string& answer) {
    const std::string line = answer + "\n";
    send(fd, line.data(), line.size(), MSG_NOSIGNAL);
  }

  Machine machine_;
  const int machine_fd_;
  const int control_fd_;
  std::map<int, bool> connections_;  // whether the first packet has come
  std::map<int, std::string> controls_;
  std::vector<int> drained_;
  unsigned busy_rounds_ = 0;
};

}  // namespace
}  // namespace stackglue::fake_device

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  // Who waits for a call to return may be killed meanwhile: a keeper.
  std::signal(SIGPIPE, SIG_IGN);
  try {
    stackglue::fake_device::Server server(argv[1]);
    std::puts("ready");
    std::fflush(stdout);
    server.Run();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
