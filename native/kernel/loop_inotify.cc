#include "kernel/loop_inotify.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>

namespace stackglue::kernel {

// The instance, and who has which watch of it.
class LoopInotify::Instance {
 public:
  // This thread's, made where there is none. Null: errno tells.
  static std::shared_ptr<Instance> Get() {
    static thread_local std::weak_ptr<Instance> current;
    std::shared_ptr<Instance> instance = current.lock();
    if (instance == nullptr) {
      instance = std::make_shared<Instance>();
      if (instance->fd_ < 0) return nullptr;
      current = instance;
    }
    return instance;
  }

  Instance() = default;
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;
  ~Instance() {
    const int error = errno;
    if (fd_ >= 0) close(fd_);
    errno = error;
  }

  int fd() const { return fd_; }

  int Add(LoopInotify* share, const char* path, uint32_t mask) {
    Distribute(share);  // what was before is not the share's
    const int watch = inotify_add_watch(fd_, path, mask | IN_MASK_ADD);
    if (watch < 0) return watch;
    // First, so that the share is removed whatever there is no memory for.
    share->watches_.insert(watch);
    shares_[watch].insert(share);
    return watch;
  }

  void Remove(LoopInotify* share) {
    for (const int watch : share->watches_) {
      const auto found = shares_.find(watch);
      if (found == shares_.end()) continue;  // it has gone with its folder
      found->second.erase(share);
      if (!found->second.empty()) continue;
      shares_.erase(found);
      inotify_rm_watch(fd_, watch);
    }
  }

  // Reads all that there is. Whoever has events then is signalled, but for `reader`. Without memory
  // the process ends: what has been read would be lost to others, a death perhaps.
  void Distribute(LoopInotify* reader) noexcept {
    alignas(inotify_event) char buffer[4096];
    for (;;) {
      const ssize_t size = read(fd_, buffer, sizeof buffer);
      if (size <= 0) return;
      for (ssize_t offset = 0; offset < size;) {
        inotify_event event;
        std::memcpy(&event, buffer + offset, sizeof event);
        const std::string bytes(buffer + offset, sizeof event + event.len);
        offset += static_cast<ssize_t>(bytes.size());
        Hand(event, bytes, reader);
      }
    }
  }

 private:
  void Hand(const inotify_event& event, const std::string& bytes, LoopInotify* reader) {
    std::set<LoopInotify*> all;
    if ((event.mask & IN_Q_OVERFLOW) != 0) {
      for (const auto& [watch, shares] : shares_) all.insert(shares.begin(), shares.end());
    } else if (const auto found = shares_.find(event.wd); found != shares_.end()) {
      all = found->second;
      if ((event.mask & IN_IGNORED) != 0) shares_.erase(found);
    }
    for (LoopInotify* share : all) {
      share->events_ += bytes;
      if (share == reader) continue;
      const uint64_t one = 1;
      [[maybe_unused]] const ssize_t written = write(share->signal_fd_, &one, sizeof one);
    }
  }

  const int fd_ = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  std::map<int, std::set<LoopInotify*>> shares_;
};

LoopInotify::~LoopInotify() {
  if (instance_ != nullptr) instance_->Remove(this);
  if (poll_fd_ >= 0) close(poll_fd_);
  if (signal_fd_ >= 0) close(signal_fd_);
}

int LoopInotify::Open() {
  instance_ = Instance::Get();
  if (instance_ == nullptr) return errno;
  signal_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (signal_fd_ < 0) return errno;
  poll_fd_ = epoll_create1(EPOLL_CLOEXEC);
  if (poll_fd_ < 0) return errno;
  for (const int fd : {signal_fd_, instance_->fd()}) {
    epoll_event readable{};
    readable.events = EPOLLIN;
    if (epoll_ctl(poll_fd_, EPOLL_CTL_ADD, fd, &readable) != 0) return errno;
  }
  return 0;
}

int LoopInotify::Add(const char* path, uint32_t mask) { return instance_->Add(this, path, mask); }

ssize_t LoopInotify::Read(void* buffer, size_t size) {
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t signalled = read(signal_fd_, &count, sizeof count);
  instance_->Distribute(this);
  size_t end = 0;
  for (inotify_event event; end < events_.size();) {
    std::memcpy(&event, events_.data() + end, sizeof event);
    const size_t next = end + sizeof event + event.len;
    if (next > size) break;
    end = next;
  }
  if (end == 0) {
    errno = EAGAIN;
    return -1;
  }
  events_.copy(static_cast<char*>(buffer), end);
  events_.erase(0, end);
  return static_cast<ssize_t>(end);
}

}  // namespace stackglue::kernel
