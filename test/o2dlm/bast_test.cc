// Blocking ASTs: who gets them, at which level, how often, and in which order.
#include "peer.h"

namespace stackglue::o2dlm::test {
namespace {

TEST_CASE("bast: each lock in the way is told, with the mode that waits") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  Peer c(cluster, 3);
  a.Hold(kPr);
  b.Hold(kPr);
  b.Hold(kNl);
  c.Lock(kEx);
  CHECK(a.Take() == "blocks 1 EX");
  CHECK(b.Take() == "blocks 1 EX");
  CHECK(c.Take() == "");
}

TEST_CASE("bast: only one is pending at a time, and its level rises") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  a.Hold(kEx);
  b.Lock(kPr);
  CHECK(View(cluster, "r")->granted.at(0).highest_blocked == kPr);
  b.Cancel(1);
  b.Lock(kEx);
  CHECK(View(cluster, "r")->granted.at(0).highest_blocked == kEx);
  CHECK(a.Take() == "blocks 1 EX");
  CHECK(View(cluster, "r")->granted.at(0).highest_blocked == kModeInvalid);
}

TEST_CASE("bast: only the head of a queue counts for the level") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  a.Hold(kEx);
  b.Lock(kPr);
  b.Lock(kEx);
  CHECK(a.Take() == "blocks 1 PR");
}

TEST_CASE("bast: once taken, the next event on the resource sends it again") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  a.Hold(kEx);
  b.Lock(kPr);
  CHECK(a.Take() == "blocks 1 PR");
  CHECK(a.Take() == "");
  b.Lock(kPr);
  CHECK(a.Take() == "blocks 1 PR");
  CHECK(b.TryLock(kPr, "r", kLkmNoQueue) == Status::kNotQueued);
  CHECK(a.Take() == "blocks 1 PR");
}

TEST_CASE("bast: NOQUEUE requests send none of their own") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  a.Hold(kEx);
  CHECK(b.TryLock(kPr, "r", kLkmNoQueue) == Status::kNotQueued);
  CHECK(a.Take() == "");
}

TEST_CASE("bast: both heads tell the locks in their way when neither can be granted") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  Peer c(cluster, 3);
  const uint64_t mine = a.Hold(kPr);
  b.Hold(kPr);
  a.Convert(mine, kEx);
  CHECK(b.Take() == "blocks 1 EX");
  c.Lock(kEx);
  CHECK(a.Take() == "blocks 1 EX");
  CHECK(b.Take() == "blocks 1 EX");
}

TEST_CASE("bast: a converting lock is told as well") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  Peer c(cluster, 3);
  const uint64_t first = a.Hold(kPr);
  const uint64_t second = b.Hold(kPr);
  a.Convert(first, kEx);
  b.Take();
  b.Convert(second, kEx);
  CHECK(b.Take() == "blocks 1 EX");
  CHECK(a.Take() == "");
}

TEST_CASE("bast: withdrawn when the lock is converted out of the way before it is taken") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  const uint64_t lock = a.Hold(kEx);
  b.Lock(kPr);
  CHECK(a.Convert(lock, kPr) == Status::kNormal);
  CHECK(a.Take() == "granted 1");
  CHECK(b.Take() == "granted 1");
}

TEST_CASE("bast: kept when the new mode is still in the way") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  const uint64_t lock = a.Hold(kEx);
  b.Lock(kEx);
  CHECK(a.Convert(lock, kPr) == Status::kNormal);
  CHECK(a.Take() == "granted 1, blocks 1 EX");
}

TEST_CASE("bast: withdrawn for NL whatever waits") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  const uint64_t lock = a.Hold(kEx);
  b.Lock(kEx);
  CHECK(a.Convert(lock, kNl) == Status::kNormal);
  CHECK(a.Take() == "granted 1");
  CHECK(b.Take() == "granted 1");
}

TEST_CASE("bast: taken before the grant, it is sent again after the grant") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  Peer c(cluster, 3);
  const uint64_t mine = a.Hold(kPr);
  const uint64_t other = b.Hold(kPr);
  c.Lock(kEx);
  a.Convert(mine, kEx);
  CHECK(a.Take() == "blocks 1 EX");
  b.Unlock(other);
  CHECK(a.Take() == "granted 1, blocks 1 EX");
}

TEST_CASE("bast: comes after the grant of the lock that it is about") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  a.Lock(kPr);
  b.Lock(kEx);
  CHECK(a.Take() == "granted 1, blocks 1 EX");
}

TEST_CASE("bast: of several resources come after all the grants of one run") {
  auto cluster = Cluster::Create();
  Peer b(cluster, 2);
  {
    Peer a(cluster, 1);
    a.Hold(kEx, "one");
    a.Hold(kEx, "two");
    b.Lock(kPr, "one");
    b.Lock(kPr, "two");
    b.Lock(kEx, "one");
    b.Lock(kEx, "two");
  }
  const std::string taken = b.Take();
  CHECK(taken.find("granted 1") < taken.find("blocks"));
  CHECK(taken.find("granted 2") < taken.find("blocks"));
  CHECK(taken.find("blocks 1 EX") != std::string::npos);
  CHECK(taken.find("blocks 2 EX") != std::string::npos);
}

TEST_CASE("bast: a member's own lock in its own way is told") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  a.Hold(kEx);
  a.Lock(kEx);
  CHECK(a.Take() == "blocks 1 EX");
}

}  // namespace
}  // namespace stackglue::o2dlm::test
