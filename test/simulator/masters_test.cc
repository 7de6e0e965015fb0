// Each resource has its master: messages to two of them, and what becomes of those of one that
// dies.
#include <doctest/doctest.h>

#include <set>
#include <string>

#include "simulator/simulation.h"
#include "support.h"

namespace stackglue::simulator::test {
namespace {

constexpr Profile kProfiles[] = {Profile::kO2dlm, Profile::kFsdlm};

// `node`'s first lock, NL, makes it the master of `resource`.
void Master(Simulation* simulation, ConnectionId node, const std::string& resource) {
  Submit(simulation, Lock(node, kNl, resource));
  REQUIRE(simulation->Run());
}

TEST_CASE("masters: messages to two of them pass each other, those to one do not") {
  for (const Profile profile : kProfiles) {
    std::set<bool> orders;
    for (uint64_t seed = 1; seed <= 20; ++seed) {
      auto simulation = Make(profile, seed, 3);
      Master(simulation.get(), 2, "a");
      Master(simulation.get(), 3, "b");
      Submit(simulation.get(), Lock(1, kEx, "a"));  // 3
      Submit(simulation.get(), Lock(1, kEx, "b"));
      Submit(simulation.get(), Lock(1, kNl, "a"));  // 5
      REQUIRE(simulation->Run());
      CHECK(PlaceOf(*simulation, "n1 ast 3 granted") < PlaceOf(*simulation, "n1 ast 5 granted"));
      orders.insert(PlaceOf(*simulation, "n1 ast 3 granted") <
                    PlaceOf(*simulation, "n1 ast 4 granted"));
    }
    CHECK(orders.size() == 2);
  }
}

TEST_CASE("masters: of two nodes that want a new resource one becomes it, and serves the other") {
  for (const Profile profile : kProfiles) {
    std::set<bool> firsts;
    for (uint64_t seed = 1; seed <= 20; ++seed) {
      auto simulation = Make(profile, seed, 3);
      for (const ConnectionId node : {1, 2, 1, 2}) Submit(simulation.get(), Lock(node, kNl));
      REQUIRE(simulation->Run());
      CHECK(PlaceOf(*simulation, "n1 ast 1") < PlaceOf(*simulation, "n1 ast 3"));
      CHECK(PlaceOf(*simulation, "n2 ast 2") < PlaceOf(*simulation, "n2 ast 4"));
      firsts.insert(PlaceOf(*simulation, "n1 ast 1") < PlaceOf(*simulation, "n2 ast 2"));
    }
    CHECK(firsts.size() == 2);
  }
}

TEST_CASE("masters: a node that is cut off goes on with its own resources, not with others'") {
  for (const Profile profile : kProfiles) {
    auto simulation = Make(profile, 1, 2);
    Master(simulation.get(), 1, "own");
    Master(simulation.get(), 2, "other");
    simulation->Partition(1);
    Submit(simulation.get(), Lock(1, kEx, "own"));    // 3
    Submit(simulation.get(), Lock(1, kEx, "other"));  // 4
    Submit(simulation.get(), Lock(2, kNl, "own"));    // 5
    simulation->After(1'000'000, [&simulation] { simulation->Heal(1); });
    REQUIRE(simulation->Run());
    const size_t healed = PlaceOf(*simulation, "n1 is healed");
    CHECK(PlaceOf(*simulation, "n1 ast 3 granted") < healed);
    CHECK(PlaceOf(*simulation, "n1 ast 4 granted") > healed);
    CHECK(PlaceOf(*simulation, "n2 ast 5 granted") > healed);
  }
}

TEST_CASE("masters: a node that is cut off is granted nothing of another's before it hears of it") {
  // Both are cut off; the first one dies, and what it had of the second one's is free.
  auto simulation = Make(Profile::kFsdlm, 1, 2);
  Master(simulation.get(), 2, "r");
  Submit(simulation.get(), Lock(1, kEx));
  REQUIRE(simulation->Run());
  Submit(simulation.get(), Lock(2, kEx));
  simulation->Kill(1);
  simulation->After(1'000'000, [&simulation] { simulation->Partition(2); });
  simulation->After(2'500'000, [&simulation] { simulation->Heal(2); });
  REQUIRE(simulation->Run());
  const size_t heard = PlaceOf(*simulation, "n2 hears that n1 died");
  CHECK(PlaceOf(*simulation, "n2 is healed") < heard);
  CHECK(heard < PlaceOf(*simulation, "n2 ast 3 granted"));
}

TEST_CASE("masters: one that is dead serves nobody; what it was asked, the next one is asked") {
  for (const Profile profile : kProfiles) {
    auto simulation = Make(profile, 1, 3);
    Master(simulation.get(), 1, "r");
    const uint64_t held = Submit(simulation.get(), Lock(2, kEx));
    REQUIRE(simulation->Run());
    simulation->Kill(1);
    Submit(simulation.get(), Unlock(2, held));
    Submit(simulation.get(), Lock(3, kEx));
    REQUIRE(simulation->Run());
    const size_t death = PlaceOf(*simulation, "n1 is dead");
    CHECK(death < PlaceOf(*simulation, "n2 ast 2 unlocked end"));
    CHECK(death < PlaceOf(*simulation, "n3 ast 3 granted"));
  }
}

TEST_CASE("masters: a request that may not wait is refused again by the next one, or granted") {
  auto simulation = Make(Profile::kFsdlm, 1, 2);
  Submit(simulation.get(), Lock(1, kEx));
  REQUIRE(simulation->Run());
  // Refused by a master that cannot tell.
  Request busy = Lock(2, kEx);
  busy.flags = fsdlm::kLkfNoQueue;
  Submit(simulation.get(), busy);
  simulation->After(40, [&simulation] { simulation->Kill(1); });
  REQUIRE(simulation->Run());
  // Nobody else has it.
  CHECK(Has(*simulation, "n2 ast 2 granted"));
}

TEST_CASE("masters: a grant that one cannot send is granted again, once, when it is dead") {
  for (const Profile profile : kProfiles) {
    auto simulation = Make(profile, 1, 3);
    const uint64_t held = Submit(simulation.get(), Lock(1, kEx));
    REQUIRE(simulation->Run());
    Submit(simulation.get(), Lock(2, kEx));
    REQUIRE(simulation->Run());
    simulation->Partition(1);
    // As master it hears its own node, and grants node 2 what that never hears of.
    Submit(simulation.get(), Unlock(1, held));
    const uint64_t later = Submit(simulation.get(), Lock(3, kEx));
    REQUIRE(simulation->Run());
    CHECK(later == 3);
    CHECK(PlaceOf(*simulation, "n1 ast 1 unlocked end") < PlaceOf(*simulation, "n1 is fenced"));
    const bool second = Has(*simulation, "n2 ast 2 granted");
    const bool third = Has(*simulation, "n3 ast 3 granted");
    CHECK((second ? 1 : 0) + (third ? 1 : 0) == 1);
    CHECK(simulation->Waiting().find(second ? "n3 waits" : "n2 waits") != std::string::npos);
    CHECK(PlaceOf(*simulation, "n1 is fenced") <
          PlaceOf(*simulation, second ? "n2 ast 2 granted" : "n3 ast 3 granted"));
  }
}

TEST_CASE("masters: a grant on its way arrives or is lost with its master, and is there once") {
  for (const Profile profile : kProfiles) {
    std::set<bool> arrived;
    for (uint64_t seed = 1; seed <= 30; ++seed) {
      auto simulation = Make(profile, seed, 2);
      const uint64_t held = Submit(simulation.get(), Lock(1, kEx));
      REQUIRE(simulation->Run());
      Submit(simulation.get(), Lock(2, kEx));
      REQUIRE(simulation->Run());
      // When the unlock has been told, the grant is on its way or has arrived.
      simulation->set_handler([&simulation](const Event& event) {
        if (event.final) simulation->Kill(1);
      });
      Submit(simulation.get(), Unlock(1, held));
      REQUIRE(simulation->Run());
      const size_t grant = PlaceOf(*simulation, "n2 ast 2 granted");
      CHECK(simulation->history().Text().find("n2 ast 2", grant + 1) == std::string::npos);
      arrived.insert(grant < PlaceOf(*simulation, "n1 is dead"));
    }
    CHECK(arrived.size() == 2);
  }
}

TEST_CASE("masters: a cancel that one cannot answer is answered when it is dead") {
  for (const Profile profile : kProfiles) {
    auto simulation = Make(profile, 1, 3);
    Master(simulation.get(), 1, "r");
    Submit(simulation.get(), Lock(3, kEx));
    REQUIRE(simulation->Run());
    const uint64_t waiting = Submit(simulation.get(), Lock(2, kEx));
    REQUIRE(simulation->Run());
    simulation->Kill(1);
    const uint32_t cancel = profile == Profile::kO2dlm ? 0x2000 : fsdlm::kLkfCancel;
    Submit(simulation.get(), Unlock(2, waiting, cancel));
    REQUIRE(simulation->Run());
    CHECK(PlaceOf(*simulation, "n1 is dead") < PlaceOf(*simulation, "n2 ast 3 "));
    CHECK(Has(*simulation,
              profile == Profile::kO2dlm ? "n2 ast 3 unlocked end" : "n2 ast 3 cancelled end"));
    CHECK(simulation->Waiting().empty());
  }
}

TEST_CASE("masters: a blocking AST that was lost with one comes from the next") {
  for (const Profile profile : kProfiles) {
    auto simulation = Make(profile, 1, 4);
    Master(simulation.get(), 4, "r");
    for (const ConnectionId holder : {2, 3}) {
      Submit(simulation.get(), Lock(holder, kPr));
      REQUIRE(simulation->Run());
    }
    simulation->Partition(4);
    // Its own request makes it tell both.
    Submit(simulation.get(), Lock(4, kEx));
    REQUIRE(simulation->Run());
    CHECK(!Has(*simulation, "blocks"));
    Submit(simulation.get(), Lock(1, kEx));
    REQUIRE(simulation->Run());
    CHECK(Has(*simulation, "n2 blocks 2 EX"));
    CHECK(Has(*simulation, "n3 blocks 3 EX"));
  }
}

TEST_CASE("masters: a conversion downwards that one cannot answer is done when it is dead") {
  auto simulation = Make(Profile::kFsdlm, 1, 3);
  Master(simulation.get(), 1, "r");
  const uint64_t lock = Submit(simulation.get(), Lock(2, kEx));
  REQUIRE(simulation->Run());
  simulation->Kill(1);
  Request down;
  down.kind = Request::Kind::kConvert;
  down.connection = 2;
  down.lock = lock;
  down.mode = kPr;
  Submit(simulation.get(), down);
  Submit(simulation.get(), Lock(3, kPr));
  REQUIRE(simulation->Run());
  const size_t death = PlaceOf(*simulation, "n1 is dead");
  // The first of its name is the lock's own.
  CHECK(simulation->history().Text().find("n2 ast 2 granted", death) != std::string::npos);
  CHECK(Has(*simulation, "n3 ast 3 granted"));
}

}  // namespace
}  // namespace stackglue::simulator::test
