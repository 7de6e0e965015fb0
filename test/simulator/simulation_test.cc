// The simulator: one order from one seed, virtual time, and nodes that fail.
#include "simulator/simulation.h"

#include <doctest/doctest.h>

#include <cerrno>
#include <map>
#include <set>
#include <vector>

#include "o2dlm/o2dlm.h"
#include "support.h"

namespace stackglue::simulator::test {
namespace {

// Nodes that lock, hold and unlock at random while others fail.
class Storm {
 public:
  Storm(Profile profile, uint64_t seed, const std::string& replay = "")
      : simulation_(Make(profile, seed, 3, replay)) {
    simulation_->set_handler([this](const Event& event) { Hear(event); });
    for (int node = 1; node <= 3; ++node) {
      connections_[node] = static_cast<ConnectionId>(node);
      Plan(node);
    }
  }

  std::string Run() {
    for (int i = 0; i < 12; ++i) {
      simulation_->After(simulation_->Choose(20'000'000), [this] { Fail(); });
    }
    CHECK(simulation_->Run());
    return simulation_->history().Text();
  }
  int grants() const { return grants_; }
  const Simulation& simulation() const { return *simulation_; }

 private:
  void Plan(int node) {
    if (simulation_->now_us() > 25'000'000) return;
    simulation_->After(simulation_->Choose(100'000), [this, node] {
      if (simulation_->running(node)) {
        Request request = Lock(connections_[node], simulation_->Choose(2) == 0 ? kPr : kEx);
        CHECK(simulation_->Submit(&request) == 0);
      }
      Plan(node);
    });
  }

  void Hear(const Event& event) {
    if (event.kind != Event::Kind::kCompletion || event.value != 0) return;
    ++grants_;
    simulation_->After(simulation_->Choose(5'000), [this, event] {
      Request request = Unlock(event.connection, event.lock);
      (void)simulation_->Submit(&request);
    });
  }

  void Fail() {
    const int node = 1 + static_cast<int>(simulation_->Choose(3));
    const uint64_t length = simulation_->Choose(3'000'000);
    switch (simulation_->Choose(3)) {
      case 0:
        simulation_->Kill(node);
        break;
      case 1:
        simulation_->Partition(node);
        simulation_->After(length, [this, node] { simulation_->Heal(node); });
        break;
      default:
        simulation_->Pause(node);
        simulation_->After(length, [this, node] { simulation_->Resume(node); });
    }
    simulation_->After(5'000'000, [this, node] {
      if (!simulation_->running(node)) connections_[node] = Boot(simulation_.get(), node);
    });
  }

  std::unique_ptr<Simulation> simulation_;
  std::map<int, ConnectionId> connections_;
  int grants_ = 0;
};

TEST_CASE("simulator: the same seed gives the same history, another seed another") {
  for (const Profile profile : {Profile::kO2dlm, Profile::kFsdlm}) {
    Storm storm(profile, 7);
    const std::string history = storm.Run();
    CHECK(storm.grants() > 100);
    CHECK(Storm(profile, 7).Run() == history);
    CHECK(Storm(profile, 8).Run() != history);
  }
}

TEST_CASE("simulator: a history is followed choice by choice, whatever the generator") {
  for (const Profile profile : {Profile::kO2dlm, Profile::kFsdlm}) {
    const std::string history = Storm(profile, 7).Run();
    Storm replay(profile, 7, history);
    CHECK(replay.Run() == history);
    CHECK(!replay.simulation().history().divergence());
    CHECK(replay.simulation().history().lines_left() == 0);

    // A choice that is another leads elsewhere, as it would have from the beginning.
    std::string changed = history;
    const size_t at = changed.find("  [", changed.find(" lock ")) + 3;
    changed[at] = changed[at] == '1' ? '2' : '1';
    Storm elsewhere(profile, 7, changed);
    elsewhere.Run();
    CHECK(elsewhere.simulation().history().divergence());
  }
}

TEST_CASE("simulator: a replay names the first line that differs") {
  auto first = Make(Profile::kFsdlm, 1, 1);
  Submit(first.get(), Lock(1, kEx, "a"));
  REQUIRE(first->Run());
  auto second = Make(Profile::kFsdlm, 1, 1, first->history().Text());
  Submit(second.get(), Lock(1, kEx, "b"));
  const auto& divergence = second->history().divergence();
  REQUIRE(divergence);
  CHECK(divergence->line == 4);
  CHECK(divergence->expected.find("\"a\"") != std::string::npos);
  CHECK(divergence->actual.find("\"b\"") != std::string::npos);
}

TEST_CASE("simulator: a replay that goes on behind its history's end has left it") {
  auto first = Make(Profile::kFsdlm, 1, 1);
  auto second = Make(Profile::kFsdlm, 1, 1, first->history().Text());
  CHECK(!second->history().divergence());
  second->Note(0, "more");
  REQUIRE(second->history().divergence());
  CHECK(second->history().divergence()->expected.empty());
}

TEST_CASE("simulator: a request takes time, and is told of in the history") {
  auto simulation = Make(Profile::kFsdlm, 1, 2);
  Submit(simulation.get(), Lock(1, kEx, "a\n\"b"));
  CHECK(!Has(*simulation, "ast 1"));
  REQUIRE(simulation->Run());
  CHECK(Has(*simulation, "n1 lock 1 \"a\\x0a\\x22b\" EX"));
  CHECK(Has(*simulation, "n1 ast 1 granted"));
}

TEST_CASE("simulator: requests of one node arrive in their order, of several in any") {
  std::set<std::string> winners;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    auto simulation = Make(Profile::kO2dlm, seed, 2);
    Submit(simulation.get(), Lock(1, kEx));
    Submit(simulation.get(), Lock(1, kEx));
    Submit(simulation.get(), Lock(2, kEx));
    REQUIRE(simulation->Run());
    CHECK(!Has(*simulation, "ast 2"));
    winners.insert(Has(*simulation, "ast 1 granted") ? "first" : "second");
  }
  CHECK(winners.size() == 2);
}

TEST_CASE("simulator: o2dlm answers in the call what a master may refuse") {
  auto simulation = Make(Profile::kO2dlm, 1, 2);
  Request bad = Lock(1, 4);
  CHECK(simulation->Submit(&bad) == 24);
  CHECK(Has(*simulation, "refused DLM_BADPARAM"));
  Submit(simulation.get(), Lock(1, kEx));
  Request busy = Lock(2, kPr);
  busy.flags = 0x200;                     // NOQUEUE
  CHECK(simulation->Submit(&busy) == 0);  // the other request has not arrived
  REQUIRE(simulation->Run());
  CHECK(!Has(*simulation, "n1 ast"));
  Request own = Lock(1, kEx);
  own.flags = 0x200;
  CHECK(simulation->Submit(&own) == 21);
}

TEST_CASE("simulator: o2dlm asks nobody for what may wait, and is not queued while it is cut off") {
  auto simulation = Make(Profile::kO2dlm, 1, 2);
  Submit(simulation.get(), Lock(2, kNl));  // node 2 is its master
  REQUIRE(simulation->Run());
  const uint64_t lock = Submit(simulation.get(), Lock(1, kNl));
  REQUIRE(simulation->Run());
  simulation->Partition(1);
  Request convert;
  convert.kind = Request::Kind::kConvert;
  convert.connection = 1;
  convert.lock = lock;
  convert.mode = kEx;
  convert.flags = 0x400 | 0x200;  // CONVERT, NOQUEUE
  CHECK(simulation->Submit(&convert) == 21);
  convert.flags = 0x400 | 0x100;  // VALBLK
  CHECK(simulation->Submit(&convert) == 0);
  simulation->After(1'000, [&simulation] { simulation->Heal(1); });
  REQUIRE(simulation->Run());
  CHECK(Has(*simulation, "n1 ast 2 granted block 0"));
}

TEST_CASE("simulator: a call that waits for its answer does not overtake those before it") {
  auto simulation = Make(Profile::kO2dlm, 1, 1);
  const uint64_t first = Submit(simulation.get(), Lock(1, kEx));
  REQUIRE(simulation->Run());
  Submit(simulation.get(), Unlock(1, first));
  Request second = Lock(1, kEx);
  second.flags = 0x200;
  CHECK(simulation->Submit(&second) == 0);
}

TEST_CASE("simulator: o2dlm refuses what is asked of a lock whose request is under way") {
  auto simulation = Make(Profile::kO2dlm, 1, 2);
  const uint64_t lock = Submit(simulation.get(), Lock(1, kEx));
  Request unlock = Unlock(1, lock);
  CHECK(simulation->Submit(&unlock) == 2);  // DENIED
  // A cancel follows it, and comes too late.
  Submit(simulation.get(), Unlock(1, lock, 0x2000));
  REQUIRE(simulation->Run());
  CHECK(Has(*simulation, "ast 1 granted"));
  CHECK(Has(*simulation, "ast 1 DLM_CANCELGRANT"));
  Submit(simulation.get(), Unlock(1, lock));
  REQUIRE(simulation->Run());
  CHECK(Has(*simulation, "ast 1 unlocked end"));
}

TEST_CASE("simulator: fsdlm answers -EBUSY while something of the lock is under way") {
  auto simulation = Make(Profile::kFsdlm, 1, 1);
  const uint64_t lock = Submit(simulation.get(), Lock(1, kPr));
  Request convert;
  convert.kind = Request::Kind::kConvert;
  convert.connection = 1;
  convert.lock = lock;
  convert.mode = kEx;
  Request unlock = Unlock(1, lock);
  CHECK(simulation->Submit(&convert) == -EBUSY);
  CHECK(simulation->Submit(&unlock) == -EBUSY);
  REQUIRE(simulation->Run());
  CHECK(simulation->Submit(&convert) == 0);
  unlock = Unlock(1, lock);
  CHECK(simulation->Submit(&unlock) == -EBUSY);
  REQUIRE(simulation->Run());
  unlock = Unlock(1, lock);
  CHECK(simulation->Submit(&unlock) == 0);
  unlock = Unlock(1, lock);
  CHECK(simulation->Submit(&unlock) == -EBUSY);
  REQUIRE(simulation->Run());
  CHECK(Has(*simulation, "ast 1 unlocked end"));
}

TEST_CASE("simulator: fsdlm tells a busy resource by an event, and cancels what waits") {
  auto simulation = Make(Profile::kFsdlm, 1, 2);
  Submit(simulation.get(), Lock(1, kEx));
  REQUIRE(simulation->Run());
  Request busy = Lock(2, kEx);
  busy.flags = fsdlm::kLkfNoQueue;
  Submit(simulation.get(), busy);
  const uint64_t waiting = Submit(simulation.get(), Lock(2, kEx));
  REQUIRE(simulation->Run());
  CHECK(Has(*simulation, "ast 2 EAGAIN end"));
  CHECK(simulation->Waiting().find("n2 waits with lock 3 on \"r\"") != std::string::npos);
  CHECK(simulation->Waiting().find("n1 has lock 1 on \"r\"") != std::string::npos);
  Submit(simulation.get(), Unlock(2, waiting, fsdlm::kLkfCancel));
  REQUIRE(simulation->Run());
  CHECK(Has(*simulation, "ast 3 cancelled end"));
  CHECK(simulation->Waiting().empty());
}

TEST_CASE("simulator: fsdlm's cancel that comes too late does not end what was asked for next") {
  int late = 0;
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    auto simulation = Make(Profile::kFsdlm, seed, 2);
    const auto convert = [&simulation](ConnectionId node, uint64_t lock, int mode) {
      Request request;
      request.kind = Request::Kind::kConvert;
      request.connection = node;
      request.lock = lock;
      request.mode = mode;
      return simulation->Submit(&request);
    };
    const uint64_t first = Submit(simulation.get(), Lock(1, kPr));
    const uint64_t second = Submit(simulation.get(), Lock(2, kPr));
    REQUIRE(simulation->Run());
    // One of the two is told of a deadlock, while its cancel is on its way.
    CHECK(convert(1, first, kEx) == 0);
    CHECK(convert(2, second, kEx) == 0);
    Submit(simulation.get(), Unlock(2, second, fsdlm::kLkfCancel));
    bool unlocks = false;
    bool converts = false;
    bool asks = false;
    simulation->set_handler([&](const Event& event) {
      if (event.kind != Event::Kind::kCompletion) return;
      if (event.lock == first) {
        if (!unlocks) Submit(simulation.get(), Unlock(1, first));
        unlocks = true;
      } else if (!converts) {
        converts = true;
        CHECK(convert(2, second, fsdlm::kModeNl) == 0);
      } else if (!asks) {
        asks = true;
        late += convert(2, second, kEx) == 0 ? 1 : 0;
      } else {
        CHECK(event.value == 0);
      }
    });
    REQUIRE(simulation->Run());
    CHECK(asks);
  }
  CHECK(late > 0);
}

TEST_CASE("simulator: fsdlm writes the value block at unlock exactly when it is said") {
  auto simulation = Make(Profile::kFsdlm, 1, 1);
  std::vector<uint8_t> read;
  simulation->set_handler([&read](const Event& event) {
    if (event.has_block) read = event.block;
  });
  const auto write = [&](std::vector<uint8_t> block, uint32_t lock_flags, uint32_t unlock_flags) {
    Request request = Lock(1, kEx);
    request.flags = lock_flags;
    const uint64_t lock = Submit(simulation.get(), request);
    REQUIRE(simulation->Run());
    request = Unlock(1, lock, unlock_flags);
    request.block = std::move(block);
    Submit(simulation.get(), request);
    REQUIRE(simulation->Run());
  };
  const auto peek = [&] {
    Request request = Lock(1, kPr);
    request.flags = fsdlm::kLkfValBlk;
    const uint64_t lock = Submit(simulation.get(), request);
    REQUIRE(simulation->Run());
    Submit(simulation.get(), Unlock(1, lock));
    REQUIRE(simulation->Run());
    return read.empty() ? -1 : int{read[0]};
  };
  Submit(simulation.get(), Lock(1, kNl));  // the block would go with the resource's last lock
  write({7}, fsdlm::kLkfValBlk, fsdlm::kLkfValBlk);
  CHECK(peek() == 7);
  write({8}, fsdlm::kLkfValBlk, 0);  // fs/dlm by itself would write
  CHECK(peek() == 7);
  write({9}, 0, fsdlm::kLkfValBlk);  // fs/dlm by itself would not
  CHECK(peek() == 9);
}

TEST_CASE("simulator: a killed node is dead for the others only when it was silent for long") {
  for (const Profile profile : {Profile::kO2dlm, Profile::kFsdlm}) {
    auto simulation = Make(profile, 1, 2);
    Submit(simulation.get(), Lock(1, kEx));
    REQUIRE(simulation->Run());
    const uint64_t killed_us = simulation->now_us();
    simulation->Kill(1);
    CHECK(simulation->state(1) == Simulation::NodeState::kDown);
    Submit(simulation.get(), Lock(2, kEx));
    REQUIRE(simulation->Run());
    CHECK(PlaceOf(*simulation, "n2 hears that n1 died") < PlaceOf(*simulation, "n2 ast 2 granted"));
    CHECK(simulation->now_us() >= killed_us + 2'000'000);
    CHECK(simulation->Start(1) == 0);
    CHECK(simulation->Start(1) == -EEXIST);
  }
}

TEST_CASE("simulator: a node that boots again shows that its last life is over") {
  auto simulation = Make(Profile::kFsdlm, 1, 2);
  Submit(simulation.get(), Lock(1, kEx));
  REQUIRE(simulation->Run());
  const uint64_t killed_us = simulation->now_us();
  simulation->Kill(1);
  const ConnectionId connection = Boot(simulation.get(), 1);
  CHECK(simulation->now_us() == killed_us);
  Request old = Lock(1, kEx);
  CHECK(simulation->Submit(&old) == -ENOTCONN);
  Submit(simulation.get(), Lock(connection, kEx));
  REQUIRE(simulation->Run());
  CHECK(Has(*simulation, "n2 hears that n1 died"));
  CHECK(Has(*simulation, "n1 ast 2 granted"));
}

TEST_CASE("simulator: a node that is healed in time has lost nothing") {
  auto simulation = Make(Profile::kFsdlm, 1, 2);
  const uint64_t held = Submit(simulation.get(), Lock(1, kEx));
  REQUIRE(simulation->Run());
  simulation->Partition(2);
  Submit(simulation.get(), Lock(2, kPr));
  simulation->After(1'000'000, [&simulation] { simulation->Heal(2); });
  Submit(simulation.get(), Unlock(1, held));
  REQUIRE(simulation->Run());
  CHECK(!Has(*simulation, "died"));
  CHECK(PlaceOf(*simulation, "n2 is healed") < PlaceOf(*simulation, "n2 ast 2 granted"));
}

TEST_CASE("simulator: a node that stays cut off is fenced, and hears no more") {
  auto simulation = Make(Profile::kFsdlm, 1, 2);
  int fenced = 0;
  simulation->set_fence_handler([&fenced](int node, const std::vector<Event>& ends) {
    fenced = node;
    CHECK(ends.empty());
  });
  Submit(simulation.get(), Lock(1, kEx));
  Submit(simulation.get(), Lock(2, kNl));
  REQUIRE(simulation->Run());
  simulation->Partition(1);
  Submit(simulation.get(), Lock(2, kEx));
  REQUIRE(simulation->Run());
  CHECK(fenced == 1);
  CHECK(!simulation->running(1));
  CHECK(Has(*simulation, "n1 is fenced"));
  CHECK(Has(*simulation, "n2 ast 3 granted"));
  CHECK(!Has(*simulation, "n1 blocks"));
}

TEST_CASE("simulator: what a fenced node has asked for ends once, in the order of asking") {
  for (const Profile profile : {Profile::kO2dlm, Profile::kFsdlm}) {
    for (const bool paused : {false, true}) {
      auto simulation = Make(profile, 1, 2);
      const bool is_o2dlm = profile == Profile::kO2dlm;
      const int64_t lost = is_o2dlm ? static_cast<int64_t>(o2dlm::Status::kRecovering) : -ENOTCONN;
      std::vector<Event> ends;
      simulation->set_fence_handler(
          [&ends](int, const std::vector<Event>& given) { ends = given; });
      Submit(simulation.get(), Lock(2, kEx));
      // Its node is the master then.
      REQUIRE(simulation->Run());
      const uint64_t converted = Submit(simulation.get(), Lock(1, kNl));
      const uint64_t unlocked = Submit(simulation.get(), Lock(1, kNl));
      const uint64_t kept = Submit(simulation.get(), Lock(1, kNl));
      REQUIRE(simulation->Run());
      const uint64_t cancelled = Submit(simulation.get(), Lock(1, kEx));
      simulation->Partition(1);
      if (paused) simulation->Pause(1);
      Submit(simulation.get(), Unlock(1, unlocked));
      Request convert = Lock(1, kEx);
      convert.kind = Request::Kind::kConvert;
      convert.lock = converted;
      Submit(simulation.get(), convert);
      const uint64_t waiting = Submit(simulation.get(), Lock(1, kPr));
      const uint32_t cancel = is_o2dlm ? 0x2000 : static_cast<uint32_t>(fsdlm::kLkfCancel);
      Submit(simulation.get(), Unlock(1, cancelled, cancel));
      REQUIRE(simulation->Run());

      std::vector<uint64_t> locks;
      for (const Event& event : ends) {
        CHECK(event.connection == 1);
        locks.push_back(event.lock);
      }
      // A cancel is told of in o2dlm only, as one that came too late.
      std::vector<uint64_t> wanted = {cancelled, unlocked, converted, waiting};
      if (is_o2dlm) wanted.insert(wanted.begin(), cancelled);
      REQUIRE(locks == wanted);
      if (is_o2dlm) {
        CHECK(ends[1].kind == Event::Kind::kUnlock);
        CHECK(ends[1].value == static_cast<int64_t>(o2dlm::Status::kCancelGrant));
        CHECK(ends[1].final);
        CHECK(!ends[0].final);
        ends.erase(ends.begin() + 1);
        ends[0].final = true;
      }
      for (const Event& event : ends) {
        CHECK(event.value == lost);
        CHECK(event.final == (event.lock == cancelled || event.lock == waiting));
        CHECK((event.kind == Event::Kind::kUnlock) == (event.lock == unlocked));
      }
      CHECK(!Has(*simulation, "n1 ast " + std::to_string(kept) + (is_o2dlm ? " DLM_R" : " ENOT")));
      CHECK(simulation->Waiting().empty());
    }
  }
}

TEST_CASE("simulator: a paused process hears later, and submits later") {
  auto simulation = Make(Profile::kO2dlm, 1, 2);
  const uint64_t held = Submit(simulation.get(), Lock(1, kEx));
  REQUIRE(simulation->Run());
  simulation->Pause(1);
  Submit(simulation.get(), Lock(2, kEx));
  Submit(simulation.get(), Unlock(1, held));
  REQUIRE(simulation->Run());
  CHECK(!Has(*simulation, "n1 blocks"));
  CHECK(!Has(*simulation, "n2 ast 2 granted"));
  CHECK(!Has(*simulation, "died"));
  simulation->Resume(1);
  REQUIRE(simulation->Run());
  CHECK(Has(*simulation, "n1 blocks 1 EX"));
  CHECK(Has(*simulation, "n2 ast 2 granted"));
}

TEST_CASE("simulator: timers go off in their order, not in a node that is down or stands still") {
  auto simulation = Make(Profile::kFsdlm, 1, 2);
  std::vector<uint64_t> gone_off;
  simulation->set_timer_handler([&](int, uint64_t timer) { gone_off.push_back(timer); });
  const uint64_t late = simulation->StartTimer(0, 2'000);
  const uint64_t early = simulation->StartTimer(1, 1'000);
  const uint64_t stopped = simulation->StartTimer(1, 1'500);
  const uint64_t of_dead = simulation->StartTimer(2, 1'500);
  simulation->StopTimer(stopped);
  simulation->Kill(2);
  REQUIRE(simulation->Run());
  CHECK(gone_off == std::vector<uint64_t>{early, late});
  CHECK(of_dead != 0);
  CHECK(simulation->StartTimer(2, 1) == 0);

  const uint64_t held = simulation->StartTimer(1, 1'000);
  simulation->Pause(1);
  REQUIRE(simulation->Run());
  CHECK(gone_off.size() == 2);
  simulation->Resume(1);
  REQUIRE(simulation->Run());
  CHECK(gone_off.back() == held);
}

TEST_CASE("simulator: a node that leaves gives up its locks, after what it has sent") {
  auto simulation = Make(Profile::kFsdlm, 1, 2);
  Submit(simulation.get(), Lock(1, kEx));
  REQUIRE(simulation->Run());
  Submit(simulation.get(), Lock(2, kEx));
  simulation->Leave(1);
  REQUIRE(simulation->Run());
  CHECK(Has(*simulation, "n2 ast 2 granted"));
  CHECK(!Has(*simulation, "died"));
}

}  // namespace
}  // namespace stackglue::simulator::test
