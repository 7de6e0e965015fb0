// The death of a node, recovery, and what is left of the dead.
#include <cerrno>

#include "peer.h"

namespace stackglue::o2dlm::test {
namespace {

TEST_CASE("death: of a node in no domain is ENOENT") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  CHECK(cluster->KillNode(2) == -ENOENT);
  CHECK(cluster->KillNode(-1) == -ENOENT);
  CHECK(cluster->KillNode(1000) == -ENOENT);
  CHECK(a.Take() == "");
}

TEST_CASE("death: survivors get one eviction each, before any grant of the recovery") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  Peer c(cluster, 3);
  Peer twin(cluster, 3);
  a.Hold(kEx);
  b.Lock(kPr);
  c.Lock(kPr);
  CHECK(cluster->KillNode(1) == 0);
  CHECK(b.Take() == "died 1, granted 1");
  CHECK(c.Take() == "died 1, granted 1");
  CHECK(twin.Take() == "died 1");
}

TEST_CASE("death: nodes that share no domain with the dead one hear nothing") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1, "one");
  Peer also_a(cluster, 1, "two");
  Peer b(cluster, 2, "one");
  Peer c(cluster, 3, "two");
  Peer d(cluster, 4, "three");
  CHECK(cluster->KillNode(1) == 0);
  CHECK(a.member->dead());
  CHECK(also_a.member->dead());
  CHECK(b.Take() == "died 1");
  CHECK(c.Take() == "died 1");
  CHECK(d.Take() == "");
}

TEST_CASE("death: takes granted, converting and waiting locks of the dead node along") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  const uint64_t converting = a.Hold(kPr);
  const uint64_t other = b.Hold(kPr);
  a.Convert(converting, kEx);
  a.Lock(kEx);
  b.Take();
  CHECK(cluster->KillNode(1) == 0);
  CHECK(b.Take() == "died 1");
  const auto view = View(cluster, "r");
  CHECK(view->granted.size() == 1);
  CHECK(view->converting.empty());
  CHECK(view->blocked.empty());
  CHECK(b.Convert(other, kEx) == Status::kNormal);
  CHECK(b.Take() == "granted 1");
}

TEST_CASE("death: the dead refuse every call and get no event") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  const uint64_t lock = a.Lock(kEx);
  CHECK(cluster->KillNode(1) == 0);
  CHECK(a.member->dead());
  CHECK(!b.member->dead());
  CHECK(a.member->node() == 1);
  CHECK(a.Take() == "");
  CHECK(a.TryLock(kPr) == Status::kRejected);
  CHECK(a.Convert(lock, kPr) == Status::kRejected);
  CHECK(a.Unlock(lock) == Status::kRejected);
  CHECK(a.Cancel(lock) == Status::kRejected);
  CHECK(cluster->KillNode(1) == -ENOENT);
}

TEST_CASE("death: the number can join again and the old member stays dead") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  a.Hold(kEx);
  CHECK(cluster->KillNode(1) == 0);
  {
    Peer again(cluster, 1);
    again.Hold(kEx);
    CHECK(a.member->dead());
    CHECK(!again.member->dead());
    a.member.reset();
    CHECK(View(cluster, "r")->granted.size() == 1);
  }
  CHECK(b.Take() == "died 1");
}

TEST_CASE("death: of the last node ends the domain and its version") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  a.Hold(kEx);
  CHECK(cluster->KillNode(1) == 0);
  CHECK(!InspectDomain(cluster.get(), "d"));
  ProtocolVersion version{9, 9};
  std::unique_ptr<Member> member;
  CHECK(cluster->Join("d", 1, &version, nullptr, &member) == 0);
}

TEST_CASE("death: survivors that are in the way of a waiter are told again") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  Peer c(cluster, 3);
  a.Hold(kEx);
  b.Lock(kEx);
  CHECK(a.Take() == "blocks 1 EX");
  CHECK(cluster->KillNode(3) == 0);
  CHECK(a.Take() == "died 3, blocks 1 EX");
}

TEST_CASE("death: a node that dies twice is reported twice") {
  auto cluster = Cluster::Create();
  Peer b(cluster, 2);
  for (int i = 0; i < 2; ++i) {
    Peer a(cluster, 1);
    CHECK(cluster->KillNode(1) == 0);
  }
  CHECK(b.Take() == "died 1, died 1");
}

TEST_CASE("death: an unlock AST that was not taken yet still comes to the survivor") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  const uint64_t lock = b.Hold(kEx);
  b.Unlock(lock);
  CHECK(cluster->KillNode(1) == 0);
  CHECK(b.Take() == "ended 1, died 1");
}

}  // namespace
}  // namespace stackglue::o2dlm::test
