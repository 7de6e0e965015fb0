// What a lockspace and the thread that makes its calls share: the area, the device and the eventfd
// by which the loop is signalled. A thread that waits in the kernel may outlive its lockspace.
//
// Threads: the loop, and the lockspace's thread.
#ifndef STACKGLUE_NATIVE_KERNEL_SUBMIT_PORT_H_
#define STACKGLUE_NATIVE_KERNEL_SUBMIT_PORT_H_

#include <atomic>
#include <memory>

#include "kernel/submit_area.h"

namespace stackglue::kernel {

class SubmitPort {
 public:
  // With `shared`, the area is a memory file that can be handed to another process. Null when there
  // is no memory or descriptor to be had; errno tells.
  static std::shared_ptr<SubmitPort> Create(bool shared);
  SubmitPort(const SubmitPort&) = delete;
  SubmitPort& operator=(const SubmitPort&) = delete;
  ~SubmitPort();

  SubmitArea* area() const { return area_; }
  int signal_fd() const { return signal_fd_; }
  // -1 unless shared.
  int area_fd() const { return area_fd_; }
  int device_fd() const { return device_fd_; }
  // Takes the device's descriptor over; once, before a thread is started.
  void set_device_fd(int fd) { device_fd_ = fd; }

  // Starts the lockspace's thread, which serves the area. The thread keeps the port. Returns 0 or
  // an errno.
  static int StartThread(const std::shared_ptr<SubmitPort>& port);

  // The loop, or the thread, will not use the device any more. Whoever says so last closes it.
  static void LeaveDevice(const std::shared_ptr<SubmitPort>& port);
  // The keeper has gone, so that closing the device may wait for the cluster: let a thread do that.
  void set_close_waits() { close_waits_.store(true); }
  // This process has its descriptor of the device no more. Where a thread closes it the loop is
  // signalled then.
  bool is_device_closed() const { return is_device_closed_.load(std::memory_order_acquire); }

  // Has the loop look. Any thread.
  void Signal() const;

 private:
  SubmitPort() = default;

  void CloseDevice();

  SubmitArea* area_ = nullptr;
  int area_fd_ = -1;
  int signal_fd_ = -1;
  int device_fd_ = -1;
  std::atomic<int> users_{1};
  std::atomic<bool> close_waits_{false};
  std::atomic<bool> is_device_closed_{false};
};

}  // namespace stackglue::kernel

#endif  // STACKGLUE_NATIVE_KERNEL_SUBMIT_PORT_H_
