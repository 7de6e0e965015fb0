// How the engine's time and memory grow: each curve over three decades, and the rate of uncontended
// lock and unlock on 10,000 names. One thread, no sanitizers.
//
//   node test/engines/build.mjs bench && build/engine-tests/o2dlm_bench [--json FILE]
//
// Every figure is the median of several runs. Time is per operation, so that a flat column is time
// that does not depend on the size, and a column that grows tenfold from row to row is linear.
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "o2dlm.h"

namespace stackglue::o2dlm {
namespace {

constexpr int kRuns = 5;

struct Row {
  std::string name;
  size_t size = 0;
  double value = 0;
  const char* unit = "";
};

// Ends the program: a benchmark of a call that failed says nothing.
void Require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "bench: %s\n", what);
  std::exit(1);
}

double Seconds(const std::function<void()>& run) {
  const auto start = std::chrono::steady_clock::now();
  run();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::string NameOf(size_t i) { return "benchmark-resource-" + std::to_string(i); }

class Bench {
 public:
  Bench() : cluster_(Cluster::Create()) {
    ProtocolVersion version{1, 0};
    Require(cluster_->Join("bench", 1, &version, nullptr, &member_) == 0, "join");
  }

  LockId Lock(int mode, std::string_view name, uint32_t flags = 0) {
    LockId id = 0;
    Require(member_->Lock(mode, flags, name, 1, nullptr, &id) == Status::kNormal, "lock");
    return id;
  }
  void Convert(LockId id, int mode) {
    Require(member_->Lock(mode, kLkmConvert, {}, 1, nullptr, &id) == Status::kNormal, "convert");
  }
  void Unlock(LockId id, uint32_t flags = 0) {
    Require(member_->Unlock(id, flags, nullptr) == Status::kNormal, "unlock");
  }
  void Take() {
    while (member_->TakeEvents(events_.data(), events_.size()) == events_.size()) {
    }
  }

 private:
  std::array<Event, 64> events_;
  std::shared_ptr<Cluster> cluster_;
  std::unique_ptr<Member> member_;
};

// `measure` returns the seconds of what counts and is given a fresh domain each time.
double MedianNs(size_t operations, const std::function<double(Bench*)>& measure) {
  std::vector<double> runs;
  for (int i = 0; i < kRuns; ++i) {
    Bench bench;
    runs.push_back(measure(&bench) * 1e9 / static_cast<double>(operations));
  }
  std::nth_element(runs.begin(), runs.begin() + kRuns / 2, runs.end());
  return runs[kRuns / 2];
}

// Lock and unlock a name that is free, while `size` other resources are held.
double LockUnlockAmong(size_t size) {
  constexpr size_t kOperations = 200'000;
  constexpr size_t kNames = 1'000;
  return MedianNs(kOperations, [size](Bench* bench) {
    std::vector<std::string> names;
    for (size_t i = 0; i < size; ++i) bench->Lock(kModeEx, NameOf(i));
    for (size_t i = 0; i < kNames; ++i) names.push_back(NameOf(size + i));
    bench->Take();
    return Seconds([&] {
      for (size_t i = 0; i < kOperations; ++i) {
        const LockId id = bench->Lock(kModeEx, names[i % kNames]);
        bench->Take();
        bench->Unlock(id);
        bench->Take();
      }
    });
  });
}

// `size` locks of `mode` wait for one EX; each is granted, taken and unlocked in turn.
double Drain(size_t size, int mode) {
  return MedianNs(size, [=](Bench* bench) {
    const LockId first = bench->Lock(kModeEx, "r");
    std::vector<LockId> waiters;
    bench->Take();
    return Seconds([&] {
      for (size_t i = 0; i < size; ++i) waiters.push_back(bench->Lock(mode, "r"));
      bench->Take();
      bench->Unlock(first);
      for (const LockId id : waiters) {
        bench->Take();
        bench->Unlock(id);
      }
      bench->Take();
    });
  });
}

// `size` locks at NL all go up to EX and down again, one after the other.
double DrainConversions(size_t size) {
  return MedianNs(size, [=](Bench* bench) {
    std::vector<LockId> locks;
    for (size_t i = 0; i < size; ++i) locks.push_back(bench->Lock(kModeNl, "r"));
    bench->Take();
    return Seconds([&] {
      for (const LockId id : locks) bench->Convert(id, kModeEx);
      for (const LockId id : locks) {
        bench->Take();
        bench->Convert(id, kModeNl);
      }
      bench->Take();
    });
  });
}

// `size` locks wait, and all are cancelled, the newest first.
double Cancel(size_t size) {
  return MedianNs(size, [=](Bench* bench) {
    bench->Lock(kModeEx, "r");
    std::vector<LockId> waiters;
    for (size_t i = 0; i < size; ++i) waiters.push_back(bench->Lock(kModeEx, "r"));
    bench->Take();
    return Seconds([&] {
      for (size_t i = size; i-- > 0;) bench->Unlock(waiters[i], kLkmCancel);
      bench->Take();
    });
  });
}

// Heap bytes for each lock that is held alone on a resource of its own, the tables included.
double BytesPerLock(size_t size) {
  Bench bench;
  const struct mallinfo2 before = mallinfo2();
  for (size_t i = 0; i < size; ++i) bench.Lock(kModeEx, NameOf(i));
  bench.Take();
  const struct mallinfo2 after = mallinfo2();
  return static_cast<double>((after.uordblks + after.hblkhd) - (before.uordblks + before.hblkhd)) /
         static_cast<double>(size);
}

double RateOn(size_t names) {
  constexpr size_t kOperations = 1'000'000;
  const double ns = MedianNs(kOperations, [names](Bench* bench) {
    std::vector<std::string> list;
    for (size_t i = 0; i < names; ++i) list.push_back(NameOf(i));
    return Seconds([&] {
      for (size_t i = 0; i < kOperations; ++i) {
        const LockId id = bench->Lock(kModeEx, list[i % names]);
        bench->Take();
        bench->Unlock(id);
        bench->Take();
      }
    });
  });
  return 1e9 / ns;
}

std::string Machine() {
  char host[256] = "";
  if (gethostname(host, sizeof host - 1) != 0) host[0] = '\0';
  std::string model;
  if (FILE* file = std::fopen("/proc/cpuinfo", "r")) {
    char line[512];
    while (model.empty() && std::fgets(line, sizeof line, file) != nullptr) {
      if (std::strncmp(line, "model name", 10) != 0) continue;
      if (const char* at = std::strchr(line, ':')) model = std::string(at + 2);
    }
    std::fclose(file);
  }
  while (!model.empty() && model.back() == '\n') model.pop_back();
  return std::string(host) + ", " + model;
}

void WriteJson(const char* path, const std::vector<Row>& rows) {
  FILE* file = std::fopen(path, "w");
  Require(file != nullptr, "cannot write the JSON file");
  std::fprintf(file, "{\n  \"machine\": \"%s\",\n  \"rows\": [\n", Machine().c_str());
  for (size_t i = 0; i < rows.size(); ++i) {
    const Row& row = rows[i];
    std::fprintf(file,
                 "    { \"name\": \"%s\", \"size\": %zu, \"value\": %.2f, \"unit\": \"%s\" }%s\n",
                 row.name.c_str(), row.size, row.value, row.unit, i + 1 < rows.size() ? "," : "");
  }
  std::fprintf(file, "  ]\n}\n");
  Require(std::fclose(file) == 0, "cannot write the JSON file");
}

int Main(int argc, char** argv) {
  std::vector<Row> rows;
  const auto add = [&rows](const char* name, size_t size, double value, const char* unit) {
    rows.push_back({name, size, value, unit});
    std::printf("%-44s %9zu %12.1f %s\n", name, size, value, unit);
    std::fflush(stdout);
  };
  for (size_t size = 1'000; size <= 1'000'000; size *= 10) {
    add("bytes per idle lock, among locks", size, BytesPerLock(size), "bytes");
  }
  for (size_t size = 1'000; size <= 1'000'000; size *= 10) {
    add("lock and unlock, among held resources", size, LockUnlockAmong(size), "ns");
  }
  for (size_t size = 10; size <= 10'000; size *= 10) {
    add("drain EX waiters on one resource", size, Drain(size, kModeEx), "ns");
  }
  for (size_t size = 10; size <= 10'000; size *= 10) {
    add("drain PR waiters on one resource", size, Drain(size, kModePr), "ns");
  }
  for (size_t size = 10; size <= 10'000; size *= 10) {
    add("drain conversions NL to EX on one resource", size, DrainConversions(size), "ns");
  }
  for (size_t size = 10; size <= 10'000; size *= 10) {
    add("cancel waiters on one resource", size, Cancel(size), "ns");
  }
  add("lock and unlock on names", 10'000, RateOn(10'000), "per second");
  if (argc == 3 && std::strcmp(argv[1], "--json") == 0) WriteJson(argv[2], rows);
  return 0;
}

}  // namespace
}  // namespace stackglue::o2dlm

int main(int argc, char** argv) { return stackglue::o2dlm::Main(argc, argv); }
