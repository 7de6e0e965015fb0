// Many threads on one cluster. The thread sanitizer is the judge; the checks are few.
#include <atomic>
#include <random>
#include <thread>

#include "engines/sinks.h"
#include "peer.h"

namespace stackglue::fsdlm::test {
namespace {

using stackglue::test::WaitingSink;

TEST_CASE("threads: EX excludes, and every waiter is woken") {
  auto cluster = Cluster::Create();
  constexpr int kThreads = 4;
  constexpr int kRounds = 300;
  int shared = 0;  // guarded by the lock
  std::vector<std::thread> threads;
  std::atomic<bool> failed{false};
  for (int node = 1; node <= kThreads; ++node) {
    threads.emplace_back([&, node] {
      WaitingSink sink;
      std::unique_ptr<Member> member;
      if (cluster->Join("ls", node, &sink, &member) != 0) failed = true;
      for (int i = 0; i < kRounds && !failed; ++i) {
        LockId id = 0;
        if (member->Lock(kEx, 0, "r", 1, true, nullptr, &id) != 0) failed = true;
        bool granted = false;
        bool ended = false;
        while (!ended && !failed) {
          Event event;
          if (member->TakeEvents(&event, 1) == 0) {
            sink.Wait();
            continue;
          }
          if (event.kind != Event::Kind::kCast) continue;
          if (event.value == 0) {
            granted = true;
            ++shared;
            if (member->Unlock(id, 0, 0, nullptr) != 0) failed = true;
          } else {
            ended = granted && event.value == -kEUnlock && event.final;
            if (!ended) failed = true;
          }
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(!failed);
  CHECK(shared == kThreads * kRounds);
}

TEST_CASE("threads: members come, go and are killed while others work") {
  auto cluster = Cluster::Create();
  std::atomic<bool> done{false};
  std::atomic<int> failures{0};
  std::vector<std::thread> threads;
  for (int node = 1; node <= 3; ++node) {
    threads.emplace_back([&, node] {
      std::mt19937 random(static_cast<unsigned>(node));
      for (int round = 0; round < 150; ++round) {
        CountingSink sink;
        std::unique_ptr<Member> member;
        if (cluster->Join("ls", node, &sink, &member) != 0) {
          ++failures;
          break;
        }
        for (int i = 0; i < 20; ++i) {
          LockId id = 0;
          const std::string name(1, static_cast<char>('a' + random() % 3));
          const int mode = static_cast<int>(random() % 6);
          (void)member->Lock(mode, kLkfValBlk, name, 1, true, nullptr, &id);
          std::array<Event, 8> events;
          (void)member->TakeEvents(events.data(), events.size());
          if (random() % 2 == 0) (void)member->Unlock(id, 0, 0, nullptr);
        }
      }
      done = true;
    });
  }
  threads.emplace_back([&] {
    std::mt19937 random(9);
    while (!done) {
      (void)cluster->KillNode(1 + static_cast<int>(random() % 3));
      std::this_thread::yield();
    }
  });
  for (std::thread& thread : threads) thread.join();
  CHECK(failures == 0);
  CHECK(!InspectLockspace(cluster.get(), "ls").has_value());
}

}  // namespace
}  // namespace stackglue::fsdlm::test
