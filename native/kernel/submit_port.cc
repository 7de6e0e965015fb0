#include "kernel/submit_port.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <new>
#include <utility>

#include "kernel/detached_thread.h"
#include "kernel/submitter.h"

namespace stackglue::kernel {
namespace {

// Nothing, with errno as it was before what there is was given up.
std::shared_ptr<SubmitPort> Refuse(std::shared_ptr<SubmitPort> port) {
  const int error = errno;
  port.reset();
  errno = error;
  return nullptr;
}

}  // namespace

std::shared_ptr<SubmitPort> SubmitPort::Create(bool shared) {
  std::shared_ptr<SubmitPort> port(new SubmitPort());
  port->signal_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (port->signal_fd_ < 0) return nullptr;
  int flags = MAP_PRIVATE | MAP_ANONYMOUS;
  if (shared) {
    flags = MAP_SHARED;
    port->area_fd_ = memfd_create("stackglue-requests", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (port->area_fd_ < 0 || ftruncate(port->area_fd_, sizeof(SubmitArea)) != 0 ||
        fcntl(port->area_fd_, F_ADD_SEALS, kAreaSeals) != 0) {
      return Refuse(std::move(port));
    }
  }
  void* memory =
      mmap(nullptr, sizeof(SubmitArea), PROT_READ | PROT_WRITE, flags, port->area_fd_, 0);
  if (memory == MAP_FAILED) return Refuse(std::move(port));
  port->area_ = new (memory) SubmitArea;
  return port;
}

SubmitPort::~SubmitPort() {
  if (area_ != nullptr) munmap(area_, sizeof(SubmitArea));
  if (area_fd_ >= 0) close(area_fd_);
  if (signal_fd_ >= 0) close(signal_fd_);
}

int SubmitPort::StartThread(const std::shared_ptr<SubmitPort>& port) {
  port->users_.store(2);
  const int error = Detach("dlm-lockspace", [port] {
    Submitter submitter(port->area_, port->device_fd_, port->signal_fd_);
    submitter.Serve();
    // First: the loop has the keeper close its descriptor then, which is to be the last.
    LeaveDevice(port);
    submitter.End();
  });
  if (error != 0) port->users_.store(1);
  return error;
}

void SubmitPort::LeaveDevice(const std::shared_ptr<SubmitPort>& port) {
  if (port->users_.fetch_sub(1) != 1 || port->device_fd_ < 0) return;
  const auto close_and_tell = [port] {
    port->CloseDevice();
    port->Signal();
  };
  if (!port->close_waits_.load() || Detach("dlm-close", close_and_tell) != 0) port->CloseDevice();
}

void SubmitPort::CloseDevice() {
  close(device_fd_);
  is_device_closed_.store(true, std::memory_order_release);
}

void SubmitPort::Signal() const {
  const uint64_t one = 1;
  // It can only fail when the loop has been signalled more often than it can count.
  [[maybe_unused]] const ssize_t written = write(signal_fd_, &one, sizeof one);
}

}  // namespace stackglue::kernel
