// Makes the calls into the kernel that the requests of a SubmitArea ask for, one after the other.
//
// A call waits in the kernel while the lockspace recovers or has no quorum (fs/dlm/lock.c:
// dlm_lock_recovery), uninterruptibly and however long that lasts. So none is made while the area
// is paused; one that is under way when the lockspace stops cannot be helped.
//
// Threads: one at a time: the lockspace's thread, the keeper's, or the loop.
#ifndef STACKGLUE_NATIVE_KERNEL_SUBMITTER_H_
#define STACKGLUE_NATIVE_KERNEL_SUBMITTER_H_

#include <chrono>
#include <cstdint>

#include "kernel/made_locks.h"
#include "kernel/submit_area.h"

namespace stackglue::kernel {

class Submitter {
 public:
  // `area`, the lockspace's device and the loop's eventfd outlive this object.
  Submitter(SubmitArea* area, int device_fd, int signal_fd);

  // Serves the area until it is closing and empty, or abandoned. Not for the loop.
  void Serve();
  // Tells the loop that this will not touch the device any more.
  void End();

  // For the loop: makes the calls that are due until the area is empty, paused, or the kernel is
  // busy with a lost cancel. Returns whether the last is the case, and then it is to be called
  // again in a millisecond or so.
  [[nodiscard]] bool ServeOnce();

  // Whether spinning can help: the other side may run on another processor at the same time.
  static bool CanSpin();
  // Spins until `done()` says so or a few microseconds have passed. Returns what it said last.
  template <typename Done>
  static bool SpinUntil(Done done) {
    const auto until = std::chrono::steady_clock::now() + kSpin;
    do {
      for (int i = 0; i < 32; ++i) {
        if (done()) return true;
        Relax();
      }
    } while (std::chrono::steady_clock::now() < until);
    return false;
  }

  // Wakes a Serve() that sleeps; for the loop, after it has written to the area.
  static void Wake(SubmitArea* area);

 private:
  enum class Progress { kDone, kBusy };

  // Measured (scripts/bench): on one processor every look is stolen from the other side; on two it
  // saves one side a system call and the other a wake-up.
  static constexpr std::chrono::microseconds kSpin{20};

  static void Relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }

  bool WaitForWork();
  bool MayTake() const;
  Progress Submit(uint32_t slot);
  int MakeRoomFor(uint32_t index);
  void Answer(const SubmitRequest& queued, int status);
  void Signal() const;

  SubmitArea* const area_;
  const int device_fd_;
  const int signal_fd_;
  MadeLocks made_;
};

}  // namespace stackglue::kernel

#endif  // STACKGLUE_NATIVE_KERNEL_SUBMITTER_H_
