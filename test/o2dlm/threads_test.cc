// Many threads on one cluster. The thread sanitizer is the judge; the checks are few.
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "peer.h"
#include "util/biased_mutex.h"

namespace stackglue::o2dlm::test {
namespace {

// Lets its owner sleep until there are events.
class WaitingSink : public EventSink {
 public:
  void OnEventsPending() noexcept override {
    const std::lock_guard<std::mutex> guard(mutex_);
    pending_ = true;
    wake_.notify_one();
  }
  void Wait() {
    std::unique_lock<std::mutex> guard(mutex_);
    wake_.wait(guard, [this] { return pending_; });
    pending_ = false;
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  bool pending_ = false;
};

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

TEST_CASE("mutex: the maker waits for others, and others for the maker") {
  BiasedMutex mutex;
  bool inside = false;
  const auto take_turn = [&] {
    const std::lock_guard<BiasedMutex> guard(mutex);
    REQUIRE(!inside);
    inside = true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    inside = false;
  };
  mutex.lock();
  std::thread other(take_turn);
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  mutex.unlock();
  for (int i = 0; i < 3; ++i) take_turn();
  other.join();
  take_turn();
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
  threads.emplace_back([&cluster] {
    for (int round = 0; round < 300; ++round) {
      auto sink = std::make_unique<CountingSink>();
      std::unique_ptr<Member> member;
      ProtocolVersion version{1, 0};
      if (cluster->Join("d", 7, &version, sink.get(), &member) != 0) continue;
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
}

TEST_CASE("threads: everything at once, with deaths") {
  auto cluster = Cluster::Create();
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&cluster, &stop, i] {
      std::minstd_rand random(static_cast<unsigned>(i + 1));
      while (!stop) {
        CountingSink sink;
        std::unique_ptr<Member> member;
        ProtocolVersion version{1, 0};
        if (cluster->Join("d", i, &version, &sink, &member) != 0) continue;
        std::vector<LockId> ids;
        const ValueBlock block = Block(1);
        for (int step = 0; step < 200 && !member->dead(); ++step) {
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
  threads.emplace_back([&cluster, &stop] {
    for (int i = 0; i < 300; ++i) {
      (void)cluster->KillNode(i % 3);
      (void)InspectDomain(cluster.get(), "d");
      std::this_thread::sleep_for(std::chrono::microseconds(300));
    }
    stop = true;
  });
  for (std::thread& thread : threads) thread.join();
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
