// How requests get from the loop's thread to the thread that makes the calls: ways to do it, each
// at the same work. There is no Node.js and no DLM in it: the "device" is a pair of sockets. Both
// threads do with it what those of the product do with a lockspace's device. The loop polls it and
// reads what is there (Lockspace::Collect, UserConnection::Drain); each result leads to the next
// request, until the time is over.
//
// Takes the number of processors that the two threads may have: with 1 they share one, with 2 each
// has its own. Then for each line on standard input it measures once and answers with a line of
// JSON:
//
//   run WAY GROUP SPIN LOOKS REST DEVICE DEPTH SECONDS
//     -> {"requests":N,"seconds":S,"loop":CPU,"thread":CPU,"switches":N}
//
//   WAY     loop: no thread, the loop makes the calls itself
//           queue: a vector under a mutex, and a condition variable
//           ring: the product's SubmitArea and Submitter::Wake, and what follows
//           product: the product's own Submitter, too. SPIN must be 0, for it has its own
//   GROUP   the thread is woken after so many requests of a batch, and at its end
//   SPIN    the thread spins for so many microseconds before it sleeps
//   LOOKS   1: after a batch the loop looks for results before it polls. It spins as long as the
//           thread does, until the thread has made the calls (Lockspace::AwaitResults)
//   REST    so many batches it does not look after one look in vain (kUnluckyRounds)
//   DEVICE  near: a result can be read when write(2) has returned, as with a lock that this node
//           masters. far: a third thread answers 100 us later, as another node would
//   DEPTH   requests under way
//
// CPU is the time in seconds that a thread had a processor for, and switches are those of both
// threads, of their own will or not. The third thread is in none of them.
//
// Threads: the main thread is the loop. The area and the queue say what is whose.
#include <fcntl.h>
#include <linux/dlm.h>
#include <linux/dlm_device.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "libdlm/device_protocol.h"
#include "libdlm/submit_area.h"
#include "libdlm/submitter.h"

namespace {

using namespace stackglue::libdlm;
using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;

// As in the product: kBatchMax in util/event_record.h, kRoundsMax in binding/user_connection.cc.
constexpr size_t kBatchMax = 128;
constexpr int kRoundsMax = 16;

// What another node takes to answer.
constexpr microseconds kFarAway{100};

// With the header, what the kernel takes for a lock: 184 bytes.
constexpr std::string_view kName =
    "a-resource-whose-name-is-as-long-as-a-name-can-be-in-this-kernel";
static_assert(kName.size() == kResourceNameMax);

[[noreturn]] void Fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

struct Settings {
  std::string way;
  uint32_t group;
  microseconds spin;
  bool looks;
  int rest;
};

// ---- The device ----

class Device {
 public:
  explicit Device(bool far) {
    int near_pair[2];
    MakePair(near_pair);
    request_fd_ = near_pair[0];
    result_fd_ = near_pair[1];
    if (far) {
      int far_pair[2];
      MakePair(far_pair);
      result_fd_ = far_pair[1];
      node_ = std::thread([in = near_pair[1], out = far_pair[0]] { Answer(in, out); });
    }
    if (fcntl(result_fd_, F_SETFL, O_NONBLOCK) != 0) Fail("fcntl");
  }
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  ~Device() {
    close(request_fd_);
    if (node_.joinable()) node_.join();
    close(result_fd_);
  }

  int request_fd() const { return request_fd_; }
  int result_fd() const { return result_fd_; }

 private:
  static void MakePair(int pair[2]) {
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) Fail("socketpair");
  }

  // Everything that has been asked for in the meantime is answered together.
  static void Answer(int in, int out) {
    pollfd polled{in, POLLIN, 0};
    for (bool ended = false; !ended;) {
      if (poll(&polled, 1, -1) < 0) Fail("poll");
      std::this_thread::sleep_for(kFarAway);
      Request request;
      ssize_t size;
      while ((size = recv(in, request.bytes, sizeof request.bytes, MSG_DONTWAIT)) > 0) {
        if (write(out, request.bytes, static_cast<size_t>(size)) != size) Fail("write");
      }
      ended = size == 0;
    }
    close(in);
    close(out);
  }

  int request_fd_;
  int result_fd_;
  std::thread node_;
};

void WriteTo(const Device& device, const Request& request) {
  if (write(device.request_fd(), request.bytes, request.size) != request.size) Fail("write");
}

// ---- The ways ----

class HandOver {
 public:
  virtual ~HandOver() = default;

  // For the loop.
  virtual void Put(Cookie cookie) = 0;
  virtual void EndBatch() {}
  // Whether to look for results at once, rather than poll.
  virtual bool Await() { return false; }
  // It did, and there were none.
  virtual void AwaitedInVain() {}
  virtual void Close() {}

  // For the other thread: makes the calls until Close().
  virtual void Serve() {}
};

class NoThread : public HandOver {
 public:
  NoThread(const Device& device, bool looks) : device_(device), looks_(looks) {}

  void Put(Cookie cookie) override {
    request_.EncodeLock(cookie, DLM_LOCK_EX, 0, 0, kName);
    WriteTo(device_, request_);
  }
  bool Await() override { return looks_; }

 private:
  const Device& device_;
  const bool looks_;
  Request request_;
};

// As the product had it before it had a ring.
class Queue : public HandOver {
 public:
  explicit Queue(const Device& device) : device_(device) {}

  void Put(Cookie cookie) override {
    Request request;
    request.EncodeLock(cookie, DLM_LOCK_EX, 0, 0, kName);
    bool was_empty;
    {
      const std::lock_guard<std::mutex> guard(mutex_);
      was_empty = requests_.empty();
      requests_.push_back(request);
    }
    if (was_empty) filled_.notify_one();
  }

  void Close() override {
    {
      const std::lock_guard<std::mutex> guard(mutex_);
      closing_ = true;
    }
    filled_.notify_one();
  }

  void Serve() override {
    std::vector<Request> taken;
    for (;;) {
      {
        std::unique_lock<std::mutex> guard(mutex_);
        filled_.wait(guard, [this] { return !requests_.empty() || closing_; });
        if (requests_.empty()) return;
        taken.swap(requests_);
      }
      for (const Request& request : taken) WriteTo(device_, request);
      taken.clear();
    }
  }

 private:
  const Device& device_;
  std::mutex mutex_;
  std::condition_variable filled_;
  std::vector<Request> requests_;
  bool closing_ = false;
};

class Ring : public HandOver {
 public:
  Ring(const Device& device, const Settings& settings)
      : device_(device), settings_(settings), area_(std::make_unique<SubmitArea>()) {}

  void Put(Cookie cookie) override {
    // As many requests as there are slots are never under way.
    const uint32_t put = area_->requests_put.load(std::memory_order_relaxed);
    SubmitRequest& slot = area_->requests[put % SubmitArea::kSlots];
    slot.cookie = cookie;
    slot.lock_id = 0;
    slot.operation = Operation::kLock;
    slot.after_lost_cancel = false;
    slot.request.EncodeLock(cookie, DLM_LOCK_EX, 0, 0, kName);
    area_->requests_put.store(put + 1, std::memory_order_release);
    if (++unkicked_ >= settings_.group) Kick();
  }

  void EndBatch() override {
    if (unkicked_ > 0) Kick();
  }

  bool Await() override {
    if (!settings_.looks || !MaySpin()) return false;
    if (luck_ < 0) {
      ++luck_;
      return false;
    }
    const uint32_t put = area_->requests_put.load(std::memory_order_relaxed);
    if (!SpinUntil(
            [this, put] { return area_->requests_taken.load(std::memory_order_acquire) == put; })) {
      AwaitedInVain();
      return false;
    }
    return true;
  }
  void AwaitedInVain() override { luck_ = -settings_.rest; }

  void Close() override {
    area_->closing.store(1, std::memory_order_release);
    Submitter::Wake(area_.get());
  }

  void Serve() override {
    uint32_t taken = 0;
    const auto is_filled = [this, &taken] {
      return area_->requests_put.load(std::memory_order_acquire) != taken;
    };
    for (;;) {
      while (!is_filled()) {
        if (area_->closing.load(std::memory_order_acquire) != 0) return;
        if (settings_.spin.count() > 0 && SpinUntil(is_filled)) break;
        area_->asleep.store(1, std::memory_order_relaxed);
        std::atomic_thread_fence(std::memory_order_seq_cst);
        if (!is_filled() && area_->closing.load(std::memory_order_relaxed) == 0) Sleep();
        area_->asleep.store(0, std::memory_order_relaxed);
      }
      WriteTo(device_, area_->requests[taken % SubmitArea::kSlots].request);
      area_->requests_taken.store(++taken, std::memory_order_release);
    }
  }

 protected:
  SubmitArea* area() { return area_.get(); }
  const Device& device() const { return device_; }
  virtual bool MaySpin() const { return true; }

 private:
  void Kick() {
    unkicked_ = 0;
    Submitter::Wake(area_.get());
  }

  void Sleep() {
    syscall(SYS_futex, reinterpret_cast<uint32_t*>(&area_->asleep), FUTEX_WAIT, 1, nullptr, nullptr,
            0);
  }

  // Submitter::SpinUntil(), but for as long as is to be measured; 0 is the product's own.
  template <typename Done>
  bool SpinUntil(Done done) {
    if (settings_.spin.count() == 0) return Submitter::SpinUntil(done);
    const auto until = Clock::now() + settings_.spin;
    do {
      for (int i = 0; i < 32; ++i) {
        if (done()) return true;
#if defined(__x86_64__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        asm volatile("yield");
#endif
      }
    } while (Clock::now() < until);
    return false;
  }

  const Device& device_;
  const Settings settings_;
  const std::unique_ptr<SubmitArea> area_;
  uint32_t unkicked_ = 0;
  int luck_ = 0;
};

class Product : public Ring {
 public:
  using Ring::Ring;
  void Serve() override { Submitter(area(), device().request_fd(), -1).Serve(); }

 private:
  bool MaySpin() const override { return Submitter::CanSpin(); }
};

std::unique_ptr<HandOver> MakeHandOver(const Settings& settings, const Device& device) {
  if (settings.way == "loop") return std::make_unique<NoThread>(device, settings.looks);
  if (settings.way == "queue") return std::make_unique<Queue>(device);
  if (settings.way == "ring") return std::make_unique<Ring>(device, settings);
  if (settings.way == "product") return std::make_unique<Product>(device, settings);
  return nullptr;
}

// ---- The loop ----

class Loop {
 public:
  Loop(const Device& device, HandOver* hand_over, uint32_t depth)
      : fd_(device.result_fd()), hand_over_(hand_over), depth_(depth) {
    epoll_fd_ = epoll_create1(EPOLL_CLOEXEC);
    epoll_event event{};
    event.events = EPOLLIN;
    if (epoll_fd_ < 0 || epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd_, &event) != 0) Fail("epoll");
  }
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  ~Loop() { close(epoll_fd_); }

  // Returns when all results have come of what was asked for in the time until `deadline`.
  void Run(Clock::time_point deadline) {
    for (uint32_t i = 0; i < depth_; ++i) Ask();
    hand_over_->EndBatch();
    while (asked_ != done_) {
      epoll_event event;
      if (epoll_wait(epoll_fd_, &event, 1, -1) < 0 && errno != EINTR) Fail("epoll_wait");
      Drain(deadline);
    }
  }

  uint32_t done() const { return done_; }

 private:
  void Ask() {
    hand_over_->Put({asked_ % depth_, asked_});
    ++asked_;
  }

  void Drain(Clock::time_point deadline) {
    size_t delivered = 0;
    bool has_more = true;
    bool was_awaited = false;
    for (int round = 0; has_more && round < kRoundsMax && delivered < kBatchMax; ++round) {
      const size_t count = Collect();
      if (was_awaited && count == 0) hand_over_->AwaitedInVain();
      if (Clock::now() < deadline) {
        for (size_t i = 0; i < count; ++i) Ask();
      }
      hand_over_->EndBatch();
      delivered += count;
      has_more = was_awaited = count > 0 && asked_ != done_ && hand_over_->Await();
    }
  }

  size_t Collect() {
    size_t count = 0;
    while (count < kBatchMax && asked_ != done_) {
      Request result;
      const ssize_t size = read(fd_, result.bytes, sizeof result.bytes);
      if (size < 0 && errno == EAGAIN) break;
      if (size != sizeof result.bytes) Fail("read");
      dlm_write_request header;
      std::memcpy(&header, result.bytes, sizeof header);
      if (reinterpret_cast<uintptr_t>(header.i.lock.castparam) >> 32 != done_) {
        std::fprintf(stderr, "a result is not the next one\n");
        std::exit(1);
      }
      ++done_;
      ++count;
    }
    return count;
  }

  const int fd_;
  HandOver* const hand_over_;
  const uint32_t depth_;
  int epoll_fd_;
  uint32_t asked_ = 0;
  uint32_t done_ = 0;
};

// ---- A measurement ----

struct Usage {
  double cpu = 0;
  int64_t switches = 0;

  static Usage OfThisThread() {
    // getrusage(2) would know the time of a thread that goes on running only as of the last tick.
    timespec cpu;
    rusage usage;
    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu) != 0) Fail("clock_gettime");
    if (getrusage(RUSAGE_THREAD, &usage) != 0) Fail("getrusage");
    const double seconds = static_cast<double>(cpu.tv_sec) + static_cast<double>(cpu.tv_nsec) / 1e9;
    return {seconds, usage.ru_nvcsw + usage.ru_nivcsw};
  }

  Usage operator-(const Usage& before) const {
    return {cpu - before.cpu, switches - before.switches};
  }
};

void RunOn(const cpu_set_t& processors) {
  if (sched_setaffinity(0, sizeof processors, &processors) != 0) Fail("sched_setaffinity");
}

// Where the three threads run.
struct Places {
  cpu_set_t loop;
  cpu_set_t thread;
  cpu_set_t others;
};

// So many of the processors that this process may have. False when they are too few.
bool Choose(int processors, Places* places) {
  if (sched_getaffinity(0, sizeof places->others, &places->others) != 0) Fail("sched_getaffinity");
  std::vector<size_t> numbers;
  for (size_t i = 0; i < CPU_SETSIZE; ++i) {
    if (CPU_ISSET(i, &places->others)) numbers.push_back(i);
  }
  if (processors < 1 || processors > 2 || numbers.size() < static_cast<size_t>(processors)) {
    return false;
  }
  CPU_ZERO(&places->loop);
  CPU_SET(numbers[0], &places->loop);
  CPU_ZERO(&places->thread);
  CPU_SET(numbers[processors == 1 ? 0 : 1], &places->thread);
  // It looks once, and is to see what a service sees that may have as many.
  if (processors == 1) RunOn(places->loop);
  Submitter::CanSpin();
  RunOn(places->loop);
  return true;
}

bool Measure(const Settings& settings, bool far, uint32_t depth, double seconds,
             const Places& places) {
  // Where the device's own thread runs is inherited.
  RunOn(places.others);
  const Device device(far);
  RunOn(places.loop);
  const std::unique_ptr<HandOver> hand_over = MakeHandOver(settings, device);
  if (hand_over == nullptr) return false;

  std::atomic<bool> is_ready{false};
  Usage thread_usage;
  std::thread thread([&] {
    RunOn(places.thread);
    const Usage before = Usage::OfThisThread();
    is_ready.store(true);
    is_ready.notify_one();
    hand_over->Serve();
    thread_usage = Usage::OfThisThread() - before;
  });
  is_ready.wait(false);

  Loop loop(device, hand_over.get(), depth);
  const Usage before = Usage::OfThisThread();
  const auto start = Clock::now();
  const auto duration =
      std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  loop.Run(start + duration);
  const std::chrono::duration<double> took = Clock::now() - start;
  const Usage loop_usage = Usage::OfThisThread() - before;
  hand_over->Close();
  thread.join();
  std::printf("{\"requests\":%u,\"seconds\":%f,\"loop\":%.9f,\"thread\":%.9f,\"switches\":%lld}\n",
              loop.done(), took.count(), loop_usage.cpu, thread_usage.cpu,
              static_cast<long long>(loop_usage.switches + thread_usage.switches));
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  Places places;
  if (argc != 2 || !Choose(std::atoi(argv[1]), &places)) {
    std::fprintf(stderr, "usage: handover PROCESSORS, which is 1, or 2 if there are two\n");
    return 2;
  }
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  char line[256];
  while (std::fgets(line, sizeof line, stdin) != nullptr) {
    char way[16];
    char device[16];
    unsigned int group;
    unsigned int spin;
    int looks;
    int rest;
    unsigned int depth;
    double seconds;
    const int read = std::sscanf(line, "run %15s %u %u %d %d %15s %u %lf", way, &group, &spin,
                                 &looks, &rest, device, &depth, &seconds);
    if (read != 8 || depth < 1 || depth > SubmitArea::kSlots ||
        !Measure({way, group, microseconds(spin), looks != 0, rest},
                 std::string_view(device) == "far", depth, seconds, places)) {
      std::fprintf(stderr, "not a command: %s", line);
      return 2;
    }
  }
  return 0;
}
