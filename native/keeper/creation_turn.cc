#include "keeper/creation_turn.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <utility>

namespace stackglue::keeper {
namespace {

constexpr std::chrono::milliseconds kTick{20};

}  // namespace

CreationTurn::CreationTurn(const std::string& control_device)
    : fd_(open(control_device.c_str(), O_RDONLY | O_CLOEXEC)) {
  while (fd_ >= 0 && flock(fd_, LOCK_EX) != 0 && errno == EINTR) {
  }
}

CreationTurn::~CreationTurn() {
  const int error = errno;  // that of what was done
  watcher_ = {};
  if (fd_ >= 0) close(fd_);
  errno = error;
}

void CreationTurn::EndWhen(std::function<bool()> is_done) {
  watcher_ = std::jthread([fd = fd_, is_done = std::move(is_done)](const std::stop_token& stop) {
    std::mutex mutex;
    std::condition_variable_any never;
    std::unique_lock lock(mutex);
    while (!stop.stop_requested()) {
      if (never.wait_for(lock, stop, kTick, is_done)) {
        flock(fd, LOCK_UN);
        return;
      }
    }
  });
}

}  // namespace stackglue::keeper
