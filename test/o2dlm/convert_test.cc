// Conversions: in place, queued, refused.
#include "peer.h"

namespace stackglue::o2dlm::test {
namespace {

TEST_CASE("convert: up, down and to the same mode, in place when nothing is in the way") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  const uint64_t lock = a.Hold(kNl);
  for (const int mode : {kPr, kEx, kEx, kPr, kPr, kNl, kNl, kEx, kNl}) {
    CHECK(a.Convert(lock, mode) == Status::kNormal);
    CHECK(a.Take() == "granted 1");
    CHECK(View(cluster, "r")->granted.at(0).mode == mode);
  }
}

TEST_CASE("convert: waits for incompatible holders and is granted when they go") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  const uint64_t mine = a.Hold(kPr);
  const uint64_t other = b.Hold(kPr);
  CHECK(a.Convert(mine, kEx) == Status::kNormal);
  CHECK(a.Take() == "");
  CHECK(b.Take() == "blocks 1 EX");
  CHECK(b.Convert(other, kNl) == Status::kNormal);
  CHECK(a.Take() == "granted 1");
}

TEST_CASE("convert: a lock keeps its mode while its conversion waits") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  const uint64_t mine = a.Hold(kPr);
  b.Hold(kPr);
  a.Convert(mine, kEx);
  const auto view = View(cluster, "r");
  CHECK(view->converting.at(0).mode == kPr);
  CHECK(view->converting.at(0).convert_mode == kEx);
  CHECK(b.TryLock(kEx, "r", kLkmNoQueue) == Status::kNotQueued);
}

TEST_CASE("convert: NOQUEUE that cannot be granted changes nothing") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  const uint64_t mine = a.Hold(kPr);
  b.Hold(kPr);
  CHECK(a.Convert(mine, kEx, kLkmNoQueue) == Status::kNotQueued);
  CHECK(a.Take() == "");
  CHECK(b.Take() == "");
  CHECK(View(cluster, "r")->granted.size() == 2);
  CHECK(a.Convert(mine, kNl, kLkmNoQueue) == Status::kNormal);
}

TEST_CASE("convert: refused while another conversion of the lock waits") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  const uint64_t mine = a.Hold(kPr);
  b.Hold(kPr);
  a.Convert(mine, kEx);
  CHECK(a.Convert(mine, kEx) == Status::kDenied);
  CHECK(a.Convert(mine, kNl) == Status::kDenied);
  CHECK(a.Take() == "");
}

TEST_CASE("convert: refused while the lock waits to be granted") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  a.Hold(kEx);
  const uint64_t mine = b.Lock(kPr);
  CHECK(b.Convert(mine, kNl) == Status::kDenied);
}

TEST_CASE("convert: refused while the lock AST is pending") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  const uint64_t lock = a.Lock(kPr);
  CHECK(a.Convert(lock, kNl) == Status::kDenied);
  CHECK(a.Take() == "granted 1");
  CHECK(a.Convert(lock, kNl) == Status::kNormal);
  CHECK(a.Convert(lock, kNl) == Status::kDenied);
  CHECK(a.Take() == "granted 1");
}

TEST_CASE("convert: refuses LOCAL, lock 0, another cookie and an ended lock") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  const uint64_t lock = a.Hold(kPr);
  CHECK(a.Convert(lock, kEx, kLkmLocal) == Status::kBadParam);
  LockId none = 0;
  CHECK(a.member->Lock(kEx, kLkmConvert, {}, 1, nullptr, &none) == Status::kBadParam);
  LockId id = a.id(lock);
  CHECK(a.member->Lock(kEx, kLkmConvert, {}, 2, nullptr, &id) == Status::kBadArgs);
  a.Unlock(lock);
  CHECK(a.Convert(lock, kEx) == Status::kDenied);
  a.Take();
  CHECK(a.Convert(lock, kEx) == Status::kIvLockId);
}

TEST_CASE("convert: conversions come before new requests") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  Peer c(cluster, 3);
  const uint64_t first = a.Hold(kPr);
  const uint64_t second = b.Hold(kPr);
  c.Lock(kEx);
  a.Convert(first, kEx);
  b.Unlock(second);
  CHECK(a.Take() == "granted 1, blocks 1 EX");
  CHECK(c.Take() == "");
}

TEST_CASE("convert: an upconversion waits behind a conversion that it would be in the way of") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  Peer c(cluster, 3);
  const uint64_t first = a.Hold(kPr);
  const uint64_t second = b.Hold(kPr);
  const uint64_t third = c.Hold(kNl);
  a.Convert(first, kEx);
  CHECK(c.Convert(third, kPr, kLkmNoQueue) == Status::kNotQueued);
  CHECK(c.Convert(third, kPr) == Status::kNormal);
  CHECK(c.Take() == "");
  b.Unlock(second);
  CHECK(a.Take() == "granted 1, blocks 1 PR");
  CHECK(c.Take() == "");
  a.Convert(first, kPr);
  CHECK(c.Take() == "granted 1");
}

TEST_CASE("convert: an upconversion passes requests that wait to be granted") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  const uint64_t mine = a.Hold(kPr);
  b.Lock(kEx);
  CHECK(a.Convert(mine, kEx) == Status::kNormal);
  CHECK(a.Take() == "granted 1, blocks 1 EX");
}

TEST_CASE("convert: two upconversions to EX wait for each other until one gives way") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  const uint64_t mine = a.Hold(kPr);
  const uint64_t other = b.Hold(kPr);
  a.Convert(mine, kEx);
  b.Convert(other, kEx);
  CHECK(a.Take() == "");
  CHECK(b.Take() == "blocks 1 EX");
  CHECK(b.Cancel(other) == Status::kNormal);
  CHECK(b.Take() == "cancelled 1, blocks 1 EX");
  CHECK(b.Unlock(other) == Status::kNormal);
  CHECK(a.Take() == "granted 1");
}

TEST_CASE("convert: only the head of the converting queue is granted") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  Peer c(cluster, 3);
  Peer d(cluster, 4);
  const uint64_t holder = a.Hold(kPr);
  const uint64_t first = b.Hold(kNl);
  const uint64_t second = c.Hold(kNl);
  b.Convert(first, kEx);
  c.Convert(second, kPr);
  d.Lock(kPr);
  CHECK(b.Take() == "");
  CHECK(c.Take() == "");
  CHECK(d.Take() == "");
  a.Unlock(holder);
  CHECK(b.Take() == "granted 1, blocks 1 PR");
  b.Convert(first, kNl);
  CHECK(c.Take() == "granted 1");
  CHECK(d.Take() == "granted 1");
}

}  // namespace
}  // namespace stackglue::o2dlm::test
