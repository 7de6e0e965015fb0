// A mutex that costs the thread that made it no atomic operation, as long as no other thread has
// ever taken it. From then on it is a std::mutex.
//
// Threads: any.
//
// Invariants:
//  1. shared_ goes from false to true once, by a thread that holds mutex_.
//  2. While shared_ is false only the maker is inside, and says so in inside_. Whoever sets shared_
//     has every processor that runs a thread of the process make a full barrier then, and waits
//     until inside_ is false: so either the maker has seen shared_, or its being inside is seen.
//  3. A thread that is told from others by what told a maker that has ended is the maker then.
#ifndef STACKGLUE_NATIVE_UTIL_BIASED_MUTEX_H_
#define STACKGLUE_NATIVE_UTIL_BIASED_MUTEX_H_

#include <linux/membarrier.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <mutex>

namespace stackglue {

class BiasedMutex {
 public:
  BiasedMutex() : shared_(!CanBeBiased()) {}
  BiasedMutex(const BiasedMutex&) = delete;
  BiasedMutex& operator=(const BiasedMutex&) = delete;

  void lock() {
    if (Self() == maker_ && !shared_.load(std::memory_order_relaxed)) {
      inside_.store(true, std::memory_order_relaxed);
      std::atomic_signal_fence(std::memory_order_seq_cst);  // the compiler keeps the order
      if (!shared_.load(std::memory_order_acquire)) return;
      inside_.store(false, std::memory_order_release);
    }
    LockShared();
  }

  void unlock() {
    // Set by the maker alone, so what it finds there is its own.
    if (Self() == maker_ && inside_.load(std::memory_order_relaxed)) {
      inside_.store(false, std::memory_order_release);
    } else {
      mutex_.unlock();
    }
  }

 private:
  // What tells a thread from all others that live.
  static const void* Self() { return __builtin_thread_pointer(); }

  void LockShared() {
    mutex_.lock();
    if (shared_.load(std::memory_order_relaxed)) return;
    shared_.store(true, std::memory_order_release);
    Barrier();
    // Once in the life of the mutex, and mostly not at all.
    while (inside_.load(std::memory_order_acquire)) sched_yield();
  }

  static long Membarrier(int command) { return syscall(SYS_membarrier, command, 0, 0); }

  // By what the kernel says. It is not asked for more before that is needed, which mostly is never:
  // to register a process of several threads takes it ten milliseconds.
  static bool CanBeBiased() {
    constexpr long kNeeded =
        MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED | MEMBARRIER_CMD_PRIVATE_EXPEDITED;
    static const bool can = [] {
      const long known = Membarrier(MEMBARRIER_CMD_QUERY);
      return known > 0 && (known & kNeeded) == kNeeded &&
             IsAllowed(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) &&
             IsAllowed(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
    }();
    return can;
  }

  // A sandbox may allow some of it only. The kernel itself refuses a flag that it does not know.
  static bool IsAllowed(int command) {
    constexpr unsigned kUnknownFlag = 1U << 30;
    return syscall(SYS_membarrier, command, kUnknownFlag, 0) < 0 && errno == EINVAL;
  }

  static void Barrier() {
    // Again, for a process that was forked after the first time.
    const bool is_made = (Membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0 &&
                          Membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0) ||
                         Membarrier(MEMBARRIER_CMD_GLOBAL) == 0;
    // A sandbox that lets it be asked for and not be done: nobody could say who is inside.
    if (!is_made) std::abort();
  }

  const void* const maker_ = Self();
  std::atomic<bool> shared_;
  std::atomic<bool> inside_{false};
  std::mutex mutex_;
};

}  // namespace stackglue

#endif  // STACKGLUE_NATIVE_UTIL_BIASED_MUTEX_H_
