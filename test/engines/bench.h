// How fast an engine is, and how its time and memory grow: what <engine>_bench.cc measures. One
// thread, no sanitizers. `npm run bench -- --only embedded` runs it and makes rows of its answers.
//
//   build/engine-tests/o2dlm_bench <what> <size> <seconds>
//
// Prints one line of JSON: {"operations": 1, "seconds": 1, "cpuSeconds": 1}, or {"bytes": 1} for
// each lock.
#ifndef STACKGLUE_TEST_ENGINES_BENCH_H_
#define STACKGLUE_TEST_ENGINES_BENCH_H_

#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

namespace stackglue::bench {

// Ends the program: a benchmark of a call that failed says nothing.
inline void Require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "bench: %s\n", what);
  std::exit(1);
}

inline std::string NameOf(size_t i) { return "benchmark-resource-" + std::to_string(i); }

inline std::vector<std::string> NamesFrom(size_t first, size_t count) {
  std::vector<std::string> names;
  for (size_t i = 0; i < count; ++i) names.push_back(NameOf(first + i));
  return names;
}

// Adds up operations and the time that they took, until it has been long enough.
class Watch {
 public:
  explicit Watch(double seconds) : wanted_(seconds) {}

  bool more() const { return seconds_ < wanted_; }
  template <class F>
  void Measure(size_t operations, F&& run) {
    const auto start = std::chrono::steady_clock::now();
    const double cpu_start = CpuSeconds();
    run();
    cpu_seconds_ += CpuSeconds() - cpu_start;
    seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    operations_ += operations;
  }
  void Print() const {
    std::printf("{\"operations\": %zu, \"seconds\": %.9f, \"cpuSeconds\": %.9f}\n", operations_,
                seconds_, cpu_seconds_);
  }

 private:
  static double CpuSeconds() {
    timespec time{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
  }

  const double wanted_;
  double seconds_ = 0;
  double cpu_seconds_ = 0;
  size_t operations_ = 0;
};

// Engine: a member of a fresh domain, and kEx, kPr and kNl.
//   LockId Lock(int mode, std::string_view name), void Convert(LockId, int mode)
//   void Unlock(LockId), void Cancel(LockId), void Take(): all events
template <class Engine>
class Bench {
 public:
  using LockId = typename Engine::LockId;

  static int Main(int argc, char** argv) {
    Require(argc == 4, "usage: <what> <size> <seconds>");
    const std::string_view what = argv[1];
    const auto size = static_cast<size_t>(std::strtoull(argv[2], nullptr, 10));
    Watch watch(std::strtod(argv[3], nullptr));
    Require(size > 0, "the size must be above 0");
    if (what == "memory") {
      Memory(size);
      return 0;
    }
    if (what == "depth") {
      AtDepth(size, &watch);
    } else if (what == "among") {
      Among(size, &watch);
    } else if (what == "drain-ex") {
      Drain(size, Engine::kEx, &watch);
    } else if (what == "drain-pr") {
      Drain(size, Engine::kPr, &watch);
    } else if (what == "drain-conversions") {
      DrainConversions(size, &watch);
    } else if (what == "cancel") {
      Cancel(size, &watch);
    } else {
      Require(false, "cannot measure that");
    }
    watch.Print();
    return 0;
  }

 private:
  // What is measured at a stretch where there is no end to it.
  static constexpr size_t kTurn = 50'000;

  // Lock and unlock, so many names of 10,000 at a time.
  static void AtDepth(size_t depth, Watch* watch) {
    constexpr size_t kNames = 10'000;
    const std::vector<std::string> names = NamesFrom(0, kNames);
    Engine engine;
    Turns(&engine, names, depth, kTurn);  // the tables have their size then
    while (watch->more()) {
      const size_t count = std::max(kTurn / depth, size_t{1}) * depth;
      watch->Measure(count, [&] { Turns(&engine, names, depth, count); });
    }
  }

  // Lock and unlock a name that is free, while `size` other resources are held.
  static void Among(size_t size, Watch* watch) {
    Engine engine;
    for (size_t i = 0; i < size; ++i) engine.Lock(Engine::kEx, NameOf(i));
    engine.Take();
    const std::vector<std::string> names = NamesFrom(size, 1'000);
    Turns(&engine, names, 1, kTurn);
    while (watch->more()) watch->Measure(kTurn, [&] { Turns(&engine, names, 1, kTurn); });
  }

  static void Turns(Engine* engine, const std::vector<std::string>& names, size_t depth,
                    size_t count) {
    std::vector<LockId> ids(depth);
    size_t next = 0;
    for (size_t done = 0; done < count; done += depth) {
      for (LockId& id : ids) {
        id = engine->Lock(Engine::kEx, names[next]);
        if (++next == names.size()) next = 0;
      }
      engine->Take();
      for (const LockId id : ids) engine->Unlock(id);
      engine->Take();
    }
  }

  // `size` locks of `mode` wait for one EX; each is granted, taken and unlocked in turn.
  static void Drain(size_t size, int mode, Watch* watch) {
    Engine engine;
    std::vector<LockId> waiters(size);
    const auto drain = [&] {
      const LockId first = engine.Lock(Engine::kEx, "r");
      engine.Take();
      for (LockId& id : waiters) id = engine.Lock(mode, "r");
      engine.Take();
      engine.Unlock(first);
      for (const LockId id : waiters) {
        engine.Take();
        engine.Unlock(id);
      }
      engine.Take();
    };
    Repeat(size + 1, drain, watch);
  }

  // `size` locks at NL all go up to EX and down again, one after the other.
  static void DrainConversions(size_t size, Watch* watch) {
    Engine engine;
    std::vector<LockId> locks;
    for (size_t i = 0; i < size; ++i) locks.push_back(engine.Lock(Engine::kNl, "r"));
    engine.Take();
    const auto drain = [&] {
      for (const LockId id : locks) engine.Convert(id, Engine::kEx);
      for (const LockId id : locks) {
        engine.Take();
        engine.Convert(id, Engine::kNl);
      }
      engine.Take();
    };
    Repeat(size, drain, watch);
  }

  // `size` locks come to wait, and all are cancelled, the newest first.
  static void Cancel(size_t size, Watch* watch) {
    Engine engine;
    engine.Lock(Engine::kEx, "r");
    std::vector<LockId> waiters(size);
    const auto cancel = [&] {
      for (LockId& id : waiters) id = engine.Lock(Engine::kEx, "r");
      engine.Take();
      for (size_t i = size; i-- > 0;) engine.Cancel(waiters[i]);
      engine.Take();
    };
    Repeat(size, cancel, watch);
  }

  // Reading clocks takes longer than a little work, which is therefore done many times in between.
  template <class F>
  static void Repeat(size_t operations, F&& run, Watch* watch) {
    const size_t times = std::max(kTurn / operations, size_t{1});
    while (watch->more()) {
      watch->Measure(operations * times, [&] {
        for (size_t i = 0; i < times; ++i) run();
      });
    }
  }

  // Heap bytes for each lock that is held alone on a resource of its own, the tables included.
  static void Memory(size_t size) {
    Engine engine;
    const size_t before = HeapBytes();
    for (size_t i = 0; i < size; ++i) engine.Lock(Engine::kEx, NameOf(i));
    engine.Take();
    std::printf("{\"bytes\": %.2f}\n",
                static_cast<double>(HeapBytes() - before) / static_cast<double>(size));
  }

  static size_t HeapBytes() {
    const struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
  }
};

}  // namespace stackglue::bench

#endif  // STACKGLUE_TEST_ENGINES_BENCH_H_
