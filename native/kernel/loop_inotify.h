// A share in the one inotify instance of an event loop: a user may have 128 of them by default
// (fs.inotify.max_user_instances), and a loop any number of connections.
//
// Threads: the loop. Shares that are made on the same thread have the same instance.
//
// Invariants: a share gets the events of its own watches, in order, and those that tell that events
// were lost, as if the instance were its own; none that were there before its watch.
#ifndef STACKGLUE_NATIVE_KERNEL_LOOP_INOTIFY_H_
#define STACKGLUE_NATIVE_KERNEL_LOOP_INOTIFY_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <string>

namespace stackglue::kernel {

class LoopInotify {
 public:
  LoopInotify() = default;
  LoopInotify(const LoopInotify&) = delete;
  LoopInotify& operator=(const LoopInotify&) = delete;
  ~LoopInotify();

  // Returns 0 or an errno. To be called once, first.
  int Open();

  // Readable when Read() may have something; -1 before Open().
  int fd() const { return poll_fd_; }

  // As inotify_add_watch(2), but that a path's watch is shared, so `mask` should be the same for
  // each who watches it.
  int Add(const char* path, uint32_t mask);

  // As read(2) of an instance that does not block. `size` has room for any event.
  ssize_t Read(void* buffer, size_t size);

 private:
  class Instance;

  std::shared_ptr<Instance> instance_;
  int poll_fd_ = -1;    // an epoll instance: of the two below
  int signal_fd_ = -1;  // an eventfd: another share has read events of ours
  std::set<int> watches_;
  std::string events_;  // that are not read yet
};

}  // namespace stackglue::kernel

#endif  // STACKGLUE_NATIVE_KERNEL_LOOP_INOTIFY_H_
