// The simulator: one order from one seed, virtual time, and nodes that fail.
#include "simulator/simulation.h"

#include <doctest/doctest.h>

#include <cerrno>
#include <set>

namespace stackglue::simulator::test {
namespace {

constexpr int kNl = 0;
constexpr int kPr = 3;
constexpr int kEx = 5;

Request Lock(int node, uint64_t lock, int mode, std::string resource = "r") {
  Request request;
  request.node = node;
  request.lock = lock;
  request.mode = mode;
  request.resource = std::move(resource);
  return request;
}
Request Unlock(int node, uint64_t lock) {
  Request request;
  request.kind = Request::Kind::kUnlock;
  request.node = node;
  request.lock = lock;
  return request;
}

std::unique_ptr<Simulation> Make(Profile profile, uint64_t seed, int nodes) {
  Simulation::Options options;
  options.profile = profile;
  options.seed = seed;
  auto simulation = Simulation::Create(options);
  REQUIRE(simulation != nullptr);
  for (int node = 1; node <= nodes; ++node) REQUIRE(simulation->Start(node) == 0);
  REQUIRE(simulation->Run());
  return simulation;
}

bool Has(const Simulation& simulation, const std::string& text) {
  return simulation.history().find(text) != std::string::npos;
}

// Nodes that lock, hold and unlock at random while others fail.
class Storm {
 public:
  Storm(Profile profile, uint64_t seed) : simulation_(Make(profile, seed, 3)) {
    simulation_->set_handler([this](const Event& event) { Hear(event); });
    for (int node = 1; node <= 3; ++node) Plan(node);
  }

  std::string Run() {
    for (int i = 0; i < 12; ++i) {
      simulation_->After(simulation_->random()->Below(20'000'000), [this] { Fail(); });
    }
    CHECK(simulation_->Run());
    return simulation_->history();
  }
  int grants() const { return grants_; }

 private:
  void Plan(int node) {
    if (simulation_->now_us() > 25'000'000) return;
    simulation_->After(simulation_->random()->Below(100'000), [this, node] {
      if (simulation_->running(node)) {
        simulation_->Submit(Lock(node, ++locks_, simulation_->random()->Below(2) == 0 ? kPr : kEx));
      }
      Plan(node);
    });
  }

  void Hear(const Event& event) {
    if (event.kind != Event::Kind::kCompletion || event.value != 0) return;
    ++grants_;
    simulation_->After(simulation_->random()->Below(5'000),
                       [this, event] { simulation_->Submit(Unlock(event.node, event.lock)); });
  }

  void Fail() {
    const int node = 1 + static_cast<int>(simulation_->random()->Below(3));
    const uint64_t length = simulation_->random()->Below(3'000'000);
    switch (simulation_->random()->Below(3)) {
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
    simulation_->After(5'000'000, [this, node] { (void)simulation_->Start(node); });
  }

  std::unique_ptr<Simulation> simulation_;
  uint64_t locks_ = 0;
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

TEST_CASE("simulator: a request takes time, and is told of in the history") {
  auto simulation = Make(Profile::kFsdlm, 1, 2);
  simulation->Submit(Lock(1, 10, kEx, "a\n\"b"));
  CHECK(!Has(*simulation, "ast 10"));
  REQUIRE(simulation->Run());
  CHECK(Has(*simulation, "n1 lock 10 \"a\\x0a\\x22b\" EX\n"));
  CHECK(Has(*simulation, "n1 ast 10 granted\n"));
}

TEST_CASE("simulator: requests of one node arrive in their order, of several in any") {
  std::set<std::string> winners;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    auto simulation = Make(Profile::kO2dlm, seed, 2);
    simulation->Submit(Lock(1, 11, kEx));
    simulation->Submit(Lock(1, 12, kEx));
    simulation->Submit(Lock(2, 21, kEx));
    REQUIRE(simulation->Run());
    CHECK(!Has(*simulation, "ast 12"));
    winners.insert(Has(*simulation, "ast 11 granted") ? "first" : "second");
  }
  CHECK(winners.size() == 2);
}

TEST_CASE("simulator: a refusal comes back to the caller") {
  auto simulation = Make(Profile::kO2dlm, 1, 1);
  int64_t status = 0;
  simulation->set_refusal_handler([&status](const Request&, int64_t s) { status = s; });
  simulation->Submit(Lock(1, 10, 4));
  REQUIRE(simulation->Run());
  CHECK(status == 24);
  CHECK(Has(*simulation, "n1 refused 10 DLM_BADPARAM"));
}

TEST_CASE("simulator: a killed node is dead for the others only when it was silent for long") {
  for (const Profile profile : {Profile::kO2dlm, Profile::kFsdlm}) {
    auto simulation = Make(profile, 1, 2);
    simulation->Submit(Lock(1, 10, kEx));
    REQUIRE(simulation->Run());
    const uint64_t killed_us = simulation->now_us();
    simulation->Kill(1);
    simulation->Submit(Lock(2, 20, kEx));
    CHECK(simulation->Start(1) == -EEXIST);
    REQUIRE(simulation->Run());
    const size_t death = simulation->history().find("n2 hears that n1 died");
    CHECK(death < simulation->history().find("n2 ast 20 granted"));
    CHECK(simulation->now_us() >= killed_us + 2'000'000);
    CHECK(simulation->Start(1) == 0);
  }
}

TEST_CASE("simulator: a node that is healed in time has lost nothing") {
  auto simulation = Make(Profile::kFsdlm, 1, 2);
  simulation->Submit(Lock(1, 10, kEx));
  REQUIRE(simulation->Run());
  simulation->Partition(2);
  simulation->Submit(Lock(2, 20, kPr));
  simulation->After(1'000'000, [&simulation] { simulation->Heal(2); });
  simulation->Submit(Unlock(1, 10));
  REQUIRE(simulation->Run());
  CHECK(!Has(*simulation, "died"));
  CHECK(simulation->history().find("n2 is healed") <
        simulation->history().find("n2 ast 20 granted"));
}

TEST_CASE("simulator: a node that stays cut off is fenced, and hears no more") {
  auto simulation = Make(Profile::kFsdlm, 1, 2);
  simulation->Submit(Lock(1, 10, kEx));
  simulation->Submit(Lock(2, 20, kNl));
  REQUIRE(simulation->Run());
  simulation->Partition(1);
  simulation->Submit(Lock(2, 21, kEx));
  REQUIRE(simulation->Run());
  CHECK(!simulation->running(1));
  CHECK(Has(*simulation, "n1 is fenced"));
  CHECK(Has(*simulation, "n2 ast 21 granted"));
  CHECK(!Has(*simulation, "n1 blocks 10"));
}

TEST_CASE("simulator: a paused process hears later, and submits later") {
  auto simulation = Make(Profile::kO2dlm, 1, 2);
  simulation->Submit(Lock(1, 10, kEx));
  REQUIRE(simulation->Run());
  simulation->Pause(1);
  simulation->Submit(Lock(2, 20, kEx));
  simulation->Submit(Unlock(1, 10));
  REQUIRE(simulation->Run());
  CHECK(!Has(*simulation, "n1 blocks"));
  CHECK(!Has(*simulation, "n1 unlock"));
  CHECK(!Has(*simulation, "died"));
  simulation->Resume(1);
  REQUIRE(simulation->Run());
  CHECK(Has(*simulation, "n1 blocks 10 EX"));
  CHECK(Has(*simulation, "n2 ast 20 granted"));
}

}  // namespace
}  // namespace stackglue::simulator::test
