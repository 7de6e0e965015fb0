// Joining and leaving a domain; protocol versions.
#include <cerrno>

#include "peer.h"

namespace stackglue::o2dlm::test {
namespace {

int Join(const std::shared_ptr<Cluster>& cluster, std::string_view domain, int node,
         ProtocolVersion* version, std::unique_ptr<Member>* member) {
  return cluster->Join(domain, node, version, nullptr, member);
}

TEST_CASE("join: refuses a node number outside 0 to 254") {
  auto cluster = Cluster::Create();
  ProtocolVersion version{1, 0};
  std::unique_ptr<Member> member;
  CHECK(Join(cluster, "d", -1, &version, &member) == -EINVAL);
  CHECK(Join(cluster, "d", 255, &version, &member) == -EINVAL);
  CHECK(Join(cluster, "d", 254, &version, &member) == 0);
  CHECK(member->node() == 254);
}

TEST_CASE("join: takes domain names of up to 63 bytes") {
  auto cluster = Cluster::Create();
  ProtocolVersion version{1, 0};
  std::unique_ptr<Member> member;
  CHECK(Join(cluster, std::string(64, 'x'), 1, &version, &member) == -ENAMETOOLONG);
  CHECK(Join(cluster, std::string(63, 'x'), 1, &version, &member) == 0);
  CHECK(Join(cluster, std::string_view("a\0b", 3), 1, &version, &member) == -EINVAL);
}

TEST_CASE("join: refuses null pointers") {
  auto cluster = Cluster::Create();
  ProtocolVersion version{1, 0};
  std::unique_ptr<Member> member;
  CHECK(Join(cluster, "d", 1, nullptr, &member) == -EINVAL);
  CHECK(Join(cluster, "d", 1, &version, nullptr) == -EINVAL);
  CHECK(member == nullptr);
}

TEST_CASE("join: the first member sets the version, later ones run at it") {
  auto cluster = Cluster::Create();
  std::unique_ptr<Member> first;
  std::unique_ptr<Member> second;
  ProtocolVersion version{1, 3};
  REQUIRE(Join(cluster, "d", 1, &version, &first) == 0);
  CHECK(version.minor == 3);
  ProtocolVersion newer{1, 5};
  REQUIRE(Join(cluster, "d", 2, &newer, &second) == 0);
  CHECK(newer.major == 1);
  CHECK(newer.minor == 3);
}

TEST_CASE("join: another major version or an older minor is EPROTO and changes nothing") {
  auto cluster = Cluster::Create();
  std::unique_ptr<Member> first;
  std::unique_ptr<Member> second;
  ProtocolVersion version{1, 3};
  REQUIRE(Join(cluster, "d", 1, &version, &first) == 0);
  for (const int node : {1, 2}) {
    ProtocolVersion older{1, 2};
    CHECK(Join(cluster, "d", node, &older, &second) == -EPROTO);
    CHECK(older.minor == 2);
    ProtocolVersion other{2, 3};
    CHECK(Join(cluster, "d", node, &other, &second) == -EPROTO);
    CHECK(second == nullptr);
  }
  CHECK(InspectDomain(cluster.get(), "d")->members.size() == 1);
}

TEST_CASE("join: the version lasts as long as any member") {
  auto cluster = Cluster::Create();
  std::unique_ptr<Member> first;
  std::unique_ptr<Member> second;
  ProtocolVersion version{1, 3};
  REQUIRE(Join(cluster, "d", 1, &version, &first) == 0);
  version = {1, 9};
  REQUIRE(Join(cluster, "d", 2, &version, &second) == 0);
  first.reset();
  version = {1, 2};
  CHECK(Join(cluster, "d", 1, &version, &first) == -EPROTO);
  second.reset();
  CHECK(!InspectDomain(cluster.get(), "d"));
  CHECK(Join(cluster, "d", 1, &version, &first) == 0);
}

TEST_CASE("join: domains of one cluster and clusters of one name are apart or the same") {
  auto one = Cluster::Named("join-test");
  auto same = Cluster::Named("join-test");
  auto other = Cluster::Named("join-test-2");
  CHECK(one == same);
  CHECK(one != other);
  CHECK(Cluster::Create() != Cluster::Create());
  Peer a(one, 1);
  Peer b(same, 2, "e");
  Peer c(other, 1);
  a.Hold(kEx);
  b.Hold(kEx);
  c.Hold(kEx);
  Peer d(same, 2);
  d.Lock(kEx);
  CHECK(d.Take() == "");
}

TEST_CASE("join: a cluster's name is free when its last owner is gone") {
  ProtocolVersion version{1, 7};
  std::unique_ptr<Member> member;
  REQUIRE(Join(Cluster::Named("short-lived"), "d", 1, &version, &member) == 0);
  // The member keeps it alive.
  CHECK(InspectDomain(Cluster::Named("short-lived").get(), "d").has_value());
  member.reset();
  CHECK(!InspectDomain(Cluster::Named("short-lived").get(), "d"));
}

TEST_CASE("leave: drops the member's locks and grants those who waited") {
  auto cluster = Cluster::Create();
  Peer b(cluster, 2);
  {
    Peer a(cluster, 1);
    a.Hold(kEx);
    a.Lock(kPr, "other");
    b.Lock(kEx);
    CHECK(b.Take() == "");
  }
  CHECK(b.Take() == "granted 1");
  CHECK(!View(cluster, "other"));
}

TEST_CASE("leave: one of two members of a node takes only its own locks along") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  a.Hold(kPr);
  {
    Peer twin(cluster, 1);
    twin.Hold(kPr);
    twin.Hold(kEx, "mine");
  }
  CHECK(View(cluster, "r")->granted.size() == 1);
  CHECK(!View(cluster, "mine"));
  CHECK(a.Take() == "");
}

TEST_CASE("leave: gives nobody an eviction and keeps the events of others") {
  auto cluster = Cluster::Create();
  Peer b(cluster, 2);
  b.Lock(kPr);
  { Peer a(cluster, 1); }
  CHECK(b.Take() == "granted 1");
}

}  // namespace
}  // namespace stackglue::o2dlm::test
