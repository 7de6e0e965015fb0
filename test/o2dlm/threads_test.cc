// Many threads on one cluster. The thread sanitizer is the judge; the checks are few.
#include <atomic>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "engines/sinks.h"
#include "peer.h"
#include "util/biased_mutex.h"

namespace stackglue::o2dlm::test {
namespace {

using stackglue::test::WaitingSink;

// One member on one thread: waits for an event of a kind, ignores the others.
class Worker {
 public:
  Worker(const std::shared_ptr<Cluster>& cluster, int node) {
    ProtocolVersion version{1, 0};
    joined_ = cluster->Join("d", node, &version, &sink_, &member_) == 0;
  }
  bool joined() const { return joined_; }
  Member& member() { return *member_; }

  void Await(Event::Kind kind) {
    while (true) {
      Event event;
      while (member_->TakeEvents(&event, 1) == 1) {
        if (event.kind == kind) return;
      }
      sink_.Wait();
    }
  }

 private:
  WaitingSink sink_;
  std::unique_ptr<Member> member_;
  bool joined_ = false;
};

// The maker is in the middle of its first turns when the others come, in each round elsewhere.
TEST_CASE("mutex: excludes, from the moment that a second thread comes") {
  constexpr int kRounds = 300;
  constexpr int kThreads = 3;
  constexpr int kTurns = 200;
  for (int round = 0; round < kRounds; ++round) {
    BiasedMutex mutex;
    int count = 0;
    const auto take_turns = [&] {
      for (int turn = 0; turn < kTurns; ++turn) {
        const std::lock_guard<BiasedMutex> guard(mutex);
        ++count;
      }
    };
    std::vector<std::thread> threads;
    for (int i = 1; i < kThreads; ++i) threads.emplace_back(take_turns);
    take_turns();
    for (std::thread& thread : threads) thread.join();
    REQUIRE(count == kThreads * kTurns);
  }
}

// Each leaves only when the other is at the door. What it has written before it left the other can
// know by the mutex alone, so the thread sanitizer sees a mutex that lets in too early, however the
// threads ran.
TEST_CASE("mutex: the maker waits for others, and others for the maker") {
  constexpr int kRounds = 200;
  for (int round = 0; round < kRounds; ++round) {
    BiasedMutex mutex;
    std::atomic<bool> other_comes{false};
    std::atomic<bool> other_is_inside{false};
    std::atomic<bool> maker_comes{false};
    bool maker_has_left = false;  // guarded by the mutex
    bool other_has_left = false;  // guarded by the mutex
    bool other_waited = false;
    bool maker_waited = false;

    mutex.lock();
    std::thread other([&] {
      other_comes = true;
      const std::lock_guard<BiasedMutex> guard(mutex);
      other_waited = maker_has_left;
      other_is_inside = true;
      while (!maker_comes) std::this_thread::yield();
      other_has_left = true;
    });
    while (!other_comes) std::this_thread::yield();
    std::this_thread::yield();
    maker_has_left = true;
    mutex.unlock();
    while (!other_is_inside) std::this_thread::yield();
    maker_comes = true;
    {
      const std::lock_guard<BiasedMutex> guard(mutex);
      maker_waited = other_has_left;
    }
    other.join();
    REQUIRE(other_waited);
    REQUIRE(maker_waited);
  }
}

TEST_CASE("threads: EX excludes, and every waiter is woken") {
  constexpr int kThreads = 4;
  constexpr int kRounds = 300;
  auto cluster = Cluster::Create();
  int counter = 0;  // guarded by the lock under test, which is the point
  std::atomic<int> failures{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&cluster, &counter, &failures, i] {
      Worker worker(cluster, i / 2);
      for (int round = 0; round < kRounds; ++round) {
        LockId id = 0;
        if (worker.member().Lock(kEx, 0, "counter", 1, nullptr, &id) != Status::kNormal) ++failures;
        worker.Await(Event::Kind::kLockAst);
        ++counter;
        if (worker.member().Unlock(id, 0, nullptr) != Status::kNormal) ++failures;
        worker.Await(Event::Kind::kUnlockAst);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(failures == 0);
  CHECK(counter == kThreads * kRounds);
}

TEST_CASE("threads: a sink is never called after its member is gone") {
  auto cluster = Cluster::Create();
  std::atomic<int> failures{0};
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&cluster, &stop, i] {
      Peer busy(cluster, i);
      while (!stop) {
        const uint64_t lock = busy.Hold(kPr, "shared");
        busy.Unlock(lock);
        busy.Take();
      }
    });
  }
  threads.emplace_back([&cluster, &failures] {
    for (int round = 0; round < 300; ++round) {
      auto sink = std::make_unique<CountingSink>();
      std::unique_ptr<Member> member;
      ProtocolVersion version{1, 0};
      if (cluster->Join("d", 7, &version, sink.get(), &member) != 0) {
        ++failures;
        return;
      }
      for (uint64_t lock = 1; lock <= 3; ++lock) {
        LockId id = 0;
        (void)member->Lock(lock == 3 ? kEx : kPr, 0, "shared", lock, nullptr, &id);
      }
      member.reset();
      sink.reset();
    }
  });
  threads.back().join();
  threads.pop_back();
  stop = true;
  for (std::thread& thread : threads) thread.join();
  CHECK(failures == 0);
}

TEST_CASE("threads: everything at once, with deaths") {
  auto cluster = Cluster::Create();
  std::atomic<bool> stop{false};
  std::atomic<int> failures{0};
  std::atomic<int> steps{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&, i] {
      std::minstd_rand random(static_cast<unsigned>(i + 1));
      while (!stop) {
        CountingSink sink;
        std::unique_ptr<Member> member;
        ProtocolVersion version{1, 0};
        ++steps;
        if (cluster->Join("d", i, &version, &sink, &member) != 0) ++failures;
        if (member == nullptr) continue;
        std::vector<LockId> ids;
        const ValueBlock block = Block(1);
        for (int step = 0; step < 200 && !member->dead(); ++step, ++steps) {
          const int modes[] = {kNl, kPr, kEx};
          const int mode = modes[random() % 3];
          const char* names[] = {"a", "b", "c"};
          LockId id = ids.empty() ? 0 : ids[random() % ids.size()];
          switch (random() % 5) {
            case 0:
              id = 0;
              if (member->Lock(mode, kLkmValBlk, names[random() % 3], 1, nullptr, &id) ==
                  Status::kNormal) {
                ids.push_back(id);
              }
              break;
            case 1:
              (void)member->Lock(mode, kLkmConvert | kLkmValBlk, {}, 1, block.data(), &id);
              break;
            case 2:
              (void)member->Unlock(id, kLkmValBlk, block.data());
              break;
            case 3:
              (void)member->Unlock(id, kLkmCancel, nullptr);
              break;
            default: {
              Event events[4];
              member->TakeEvents(events, 4);
            }
          }
        }
      }
    });
  }
  threads.emplace_back([&] {
    for (int i = 0; i < 300; ++i) {
      const int before = steps;
      (void)cluster->KillNode(i % 3);
      (void)InspectDomain(cluster.get(), "d");
      // So that others are in the middle of something when the next one dies.
      while (steps - before < 100) std::this_thread::yield();
    }
    stop = true;
  });
  for (std::thread& thread : threads) thread.join();
  CHECK(failures == 0);
  CHECK(!InspectDomain(cluster.get(), "d"));
}

TEST_CASE("threads: named clusters come and go") {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([i] {
      for (int round = 0; round < 300; ++round) {
        Peer peer(Cluster::Named("threads-named"), i);
        peer.Hold(kPr);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace stackglue::o2dlm::test
