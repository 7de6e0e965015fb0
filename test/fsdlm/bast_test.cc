// Blocking ASTs: who gets them, with which mode, and which are dropped.
#include "peer.h"

namespace stackglue::fsdlm::test {
namespace {

TEST_CASE("bast: each granted lock in the way is told once for each higher mode") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  a.Hold(kEx);
  b.Lock(kCr);
  CHECK(a.Take() == "blocks 1 CR");
  b.Lock(kCr);
  CHECK(a.Take() == "");
  b.Lock(kEx);
  CHECK(a.Take() == "blocks 1 EX");
  b.Lock(kEx);
  CHECK(a.Take() == "");
}

TEST_CASE("bast: a pending one covers lower modes and is followed by higher ones") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  a.Hold(kEx);
  b.Lock(kPr);
  b.Lock(kCr);
  b.Lock(kPw);
  CHECK(a.Take() == "blocks 1 PR, blocks 1 PW");
}

TEST_CASE("bast: NOQUEUE sends none, NOQUEUEBAST does, to converting locks too") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  Peer c(cluster, 3);
  a.Hold(kPr);
  const uint64_t lock = b.Hold(kPr);
  b.Convert(lock, kPw);
  CHECK(a.Take() == "blocks 1 PW");
  c.Lock(kEx, "r", kLkfNoQueue);
  CHECK(a.Take() == "");
  c.Lock(kEx, "r", kLkfNoQueue | kLkfNoQueueBast);
  CHECK(a.Take() == "blocks 1 EX");
  CHECK(b.Take() == "blocks 1 EX");
  CHECK(c.Take() == "busy 1 end, busy 2 end");
}

TEST_CASE("bast: dropped when it is taken after a grant that goes with its mode") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  const uint64_t lock = a.Hold(kPr);
  a.Convert(lock, kNl);
  a.Convert(lock, kPr);
  b.Lock(kCw);
  // Told while the last completion that was taken is the PR: not dropped.
  CHECK(a.Take() == "granted 1, granted 1, blocks 1 CW");

  a.Convert(lock, kNl);
  CHECK(a.Take() == "granted 1");
  CHECK(b.Take() == "granted 1");
  a.Convert(lock, kPr);
  b.Lock(kEx);
  CHECK(a.Take() == "");
}

TEST_CASE("bast: one that came before the conversion down is still told") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  const uint64_t lock = a.Hold(kEx);
  b.Lock(kEx);
  a.Convert(lock, kNl);
  CHECK(a.Take() == "blocks 1 EX, granted 1");
  CHECK(b.Take() == "granted 1");
}

TEST_CASE("bast: a lock granted in NL after EX was asked for hears nothing of EX") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  const uint64_t lock = a.Hold(kEx);
  a.Convert(lock, kNl);
  a.Convert(lock, kPr);
  b.Lock(kEx);
  a.Convert(lock, kNl);
  CHECK(a.Take() == "granted 1, granted 1, blocks 1 EX, granted 1");
}

TEST_CASE("bast: PR is told of CW, and again after it was taken") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  a.Hold(kPr);
  b.Lock(kCw);
  CHECK(a.Take() == "blocks 1 CW");
  b.Lock(kCw);
  CHECK(a.Take() == "blocks 1 CW");
  b.Lock(kEx);
  CHECK(a.Take() == "blocks 1 EX");
  b.Lock(kCw);
  CHECK(a.Take() == "");
}

TEST_CASE("bast: CW is told of PR") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  a.Hold(kCw);
  b.Lock(kPr);
  CHECK(a.Take() == "blocks 1 PR");
}

TEST_CASE("bast: after a grant the holder is told of the highest mode that waits") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  const uint64_t held = a.Hold(kEx);
  b.Lock(kPr);
  b.Lock(kCw);
  b.Lock(kPw);
  a.Unlock(held);
  CHECK(b.Take() == "granted 1, blocks 1 PW");
}

TEST_CASE("bast: PR is told of CW when PR is the highest mode that waits") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  const uint64_t held = a.Hold(kEx);
  b.Lock(kPr);
  b.Lock(kCw);
  b.Lock(kPr);
  a.Unlock(held);
  CHECK(b.Take() == "granted 1, blocks 1 CW");
}

TEST_CASE("bast: none without a routine for it") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  LockId id = 0;
  REQUIRE(a.member->Lock(kEx, 0, "r", 1, false, nullptr, &id) == 0);
  b.Lock(kEx);
  CHECK(a.Take() == "granted 1");
}

TEST_CASE("bast: a member's own lock in its own way is told") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  a.Hold(kEx);
  a.Lock(kEx);
  CHECK(a.Take() == "blocks 1 EX");
}

TEST_CASE("bast: a lock with an earlier event has all its events taken first") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  a.Lock(kEx, "one");
  a.Lock(kEx, "two");
  b.Lock(kEx, "one");
  CHECK(a.Take() == "granted 1, blocks 1 EX, granted 2");
}

TEST_CASE("bast: many events of one lock that nobody takes are all kept") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  const uint64_t lock = a.Lock(kEx);
  std::string expected = "granted 1";
  for (int i = 0; i < 40; ++i) {
    REQUIRE(a.Convert(lock, i % 2 == 0 ? kNl : kPr) == 0);
    expected += ", granted 1";
  }
  CHECK(a.Take() == expected);
}

}  // namespace
}  // namespace stackglue::fsdlm::test
