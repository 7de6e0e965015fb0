// Threads that nobody joins, for what may wait for longer than its owner lives.
//
// Threads: any.
#ifndef STACKGLUE_NATIVE_KERNEL_DETACHED_THREAD_H_
#define STACKGLUE_NATIVE_KERNEL_DETACHED_THREAD_H_

#include <pthread.h>
#include <signal.h>

#include <cerrno>
#include <system_error>
#include <thread>
#include <utility>

namespace stackglue::kernel {

// Runs `body` in a thread of that name (15 bytes at most), which takes no signals: they are the
// event loop's business. 0 or an errno. `body` must not throw.
template <typename Body>
int Detach(const char* name, Body body) {
  sigset_t all;
  sigset_t previous;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &previous);
  int error = 0;
  try {
    std::thread([name, body = std::move(body)]() mutable {
      pthread_setname_np(pthread_self(), name);
      body();
    }).detach();
  } catch (const std::system_error& failure) {
    error = failure.code().value();
  } catch (...) {
    error = ENOMEM;
  }
  pthread_sigmask(SIG_SETMASK, &previous, nullptr);
  return error;
}

}  // namespace stackglue::kernel

#endif  // STACKGLUE_NATIVE_KERNEL_DETACHED_THREAD_H_
