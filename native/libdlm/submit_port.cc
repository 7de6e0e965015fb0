#include "libdlm/submit_port.h"

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <new>
#include <system_error>
#include <thread>

#include "libdlm/submitter.h"

namespace stackglue::libdlm {
namespace {

// Runs `body` in a thread that nobody joins. Signals are the event loop's business. 0 or an errno.
template <typename Body>
int Detach(const char* name, Body body) {
  sigset_t all;
  sigset_t previous;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &previous);
  int error = 0;
  try {
    std::thread([name, body] {
      pthread_setname_np(pthread_self(), name);
      body();
    }).detach();
  } catch (const std::system_error& failure) {
    error = failure.code().value();
  }
  pthread_sigmask(SIG_SETMASK, &previous, nullptr);
  return error;
}

}  // namespace

std::shared_ptr<SubmitPort> SubmitPort::Create(bool shared) {
  std::shared_ptr<SubmitPort> port(new SubmitPort());
  port->signal_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (port->signal_fd_ < 0) return nullptr;
  int flags = MAP_PRIVATE | MAP_ANONYMOUS;
  if (shared) {
    flags = MAP_SHARED;
    port->area_fd_ = memfd_create("stackglue-requests", MFD_CLOEXEC);
    if (port->area_fd_ < 0 || ftruncate(port->area_fd_, sizeof(SubmitArea)) != 0) return nullptr;
  }
  void* memory =
      mmap(nullptr, sizeof(SubmitArea), PROT_READ | PROT_WRITE, flags, port->area_fd_, 0);
  if (memory == MAP_FAILED) return nullptr;
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
    Submitter(port->area_, port->device_fd_, port->signal_fd_).Serve();
    port->LeaveDevice();
  });
  if (error != 0) port->users_.store(1);
  return error;
}

void SubmitPort::LeaveDevice() {
  if (users_.fetch_sub(1) != 1 || device_fd_ < 0) return;
  const int fd = device_fd_;
  const auto close_device = [fd] { close(fd); };
  if (!close_waits_.load() || Detach("dlm-close", close_device) != 0) close_device();
}

}  // namespace stackglue::libdlm
