// The event queue and the wake-up of its owner.
#include "peer.h"

namespace stackglue::o2dlm::test {
namespace {

TEST_CASE("events: the sink is told once, when the queue stops being empty") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  CHECK(a.sink.wakes == 0);
  a.Lock(kPr);
  a.Lock(kPr, "two");
  CHECK(a.sink.wakes == 1);
  a.Take();
  a.Lock(kPr, "three");
  CHECK(a.sink.wakes == 2);
}

TEST_CASE("events: who looks by itself is told of what is left when it stops") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  a.member->SetTold(false);
  a.Lock(kPr);
  CHECK(a.sink.wakes == 0);
  CHECK(a.Take() == "granted 1");
  a.member->SetTold(true);
  CHECK(a.sink.wakes == 0);
  a.Lock(kPr, "two");
  CHECK(a.sink.wakes == 1);

  a.member->SetTold(false);
  a.member->SetTold(true);
  CHECK(a.sink.wakes == 2);
}

TEST_CASE("events: every member concerned is told, however many") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  const uint64_t lock = a.Hold(kEx);
  std::vector<std::unique_ptr<Peer>> peers;
  for (int i = 2; i < 52; ++i) {
    peers.push_back(std::make_unique<Peer>(cluster, i));
    peers.back()->Lock(kPr);
  }
  for (const auto& peer : peers) CHECK(peer->sink.wakes == 0);
  a.Unlock(lock);
  for (const auto& peer : peers) {
    CHECK(peer->sink.wakes == 1);
    CHECK(peer->Take() == "granted 1");
  }
}

TEST_CASE("events: taking a part leaves the rest in order") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  for (int i = 0; i < 5; ++i) a.Lock(kNl);
  std::array<Event, 2> some;
  CHECK(a.member->TakeEvents(some.data(), 2) == 2);
  CHECK(Show(some[1]) == "granted 2");
  CHECK(a.member->TakeEvents(some.data(), 0) == 0);
  CHECK(a.member->TakeEvents(nullptr, 2) == 0);
  CHECK(a.Take() == "granted 3, granted 4, granted 5");
}

TEST_CASE("events: a member without a sink works") {
  auto cluster = Cluster::Create();
  ProtocolVersion version{1, 0};
  std::unique_ptr<Member> member;
  REQUIRE(cluster->Join("d", 1, &version, nullptr, &member) == 0);
  LockId id = 0;
  CHECK(member->Lock(kPr, 0, "r", 1, nullptr, &id) == Status::kNormal);
  Event event;
  CHECK(member->TakeEvents(&event, 1) == 1);
}

TEST_CASE("events: cookies come back unchanged") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  LockId id = 0;
  CHECK(a.member->Lock(kPr, 0, "r", ~uint64_t{0}, nullptr, &id) == Status::kNormal);
  Event event;
  CHECK(a.member->TakeEvents(&event, 1) == 1);
  CHECK(event.astarg == ~uint64_t{0});
  CHECK(!event.final);
}

TEST_CASE("events: statuses have the kernel's names") {
  CHECK(std::string(StatusName(Status::kNormal)) == "DLM_NORMAL");
  CHECK(std::string(StatusName(Status::kNotQueued)) == "DLM_NOTQUEUED");
  CHECK(static_cast<int>(Status::kMigrating) == 40);
  CHECK(std::string(StatusName(Status::kMigrating)) == "DLM_MIGRATING");
  CHECK(std::string(StatusName(static_cast<Status>(41))) == "DLM_MAXSTATS");
  CHECK(std::string(StatusName(static_cast<Status>(-1))) == "DLM_MAXSTATS");
}

}  // namespace
}  // namespace stackglue::o2dlm::test
