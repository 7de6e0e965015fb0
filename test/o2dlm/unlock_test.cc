// Unlock and cancel.
#include "peer.h"

namespace stackglue::o2dlm::test {
namespace {

TEST_CASE("unlock: ends the lock with an unlock AST that is its last event") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  const uint64_t lock = a.Hold(kEx);
  CHECK(a.Unlock(lock) == Status::kNormal);
  Event event;
  CHECK(a.member->TakeEvents(&event, 1) == 1);
  CHECK(event.kind == Event::Kind::kUnlockAst);
  CHECK(event.final);
  CHECK(event.astarg == lock);
  CHECK(event.value == static_cast<int>(Status::kNormal));
}

TEST_CASE("unlock: refuses unknown flags and lock 0") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  const uint64_t lock = a.Hold(kEx);
  for (const uint32_t flag : {kLkmForce, kLkmConvert, kLkmNoQueue, kLkmUnlock, kLkmLocal, 1u}) {
    CHECK(a.Unlock(lock, flag) == Status::kBadParam);
  }
  CHECK(a.member->Unlock(0, 0, nullptr) == Status::kBadParam);
  CHECK(a.Unlock(lock, kLkmInvValBlk) == Status::kNormal);
}

TEST_CASE("unlock: refused while the lock AST is pending") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  const uint64_t lock = a.Lock(kPr);
  CHECK(a.Unlock(lock) == Status::kBadParam);
  CHECK(a.Take() == "granted 1");
  CHECK(a.Unlock(lock) == Status::kNormal);
}

TEST_CASE("unlock: refused for a lock that waits or converts") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  const uint64_t mine = a.Hold(kPr);
  const uint64_t waiting = b.Lock(kEx);
  CHECK(b.Unlock(waiting) == Status::kDenied);
  const uint64_t other = b.Hold(kPr);
  a.Convert(mine, kEx);
  CHECK(a.Unlock(mine) == Status::kDenied);
  CHECK(b.Unlock(other) == Status::kNormal);
}

TEST_CASE("unlock: a second unlock is refused, before and after the unlock AST is taken") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  const uint64_t lock = a.Hold(kPr);
  a.Unlock(lock);
  CHECK(a.Unlock(lock) == Status::kDenied);
  CHECK(a.Cancel(lock) == Status::kIvLockId);
  CHECK(a.Take() == "ended 1");
  CHECK(a.Unlock(lock) == Status::kIvLockId);
  CHECK(a.Cancel(lock) == Status::kIvLockId);
}

TEST_CASE("unlock: a pending blocking AST is delivered before the unlock AST") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  const uint64_t lock = a.Hold(kPr);
  b.Lock(kEx);
  CHECK(a.Unlock(lock) == Status::kNormal);
  CHECK(a.Take() == "blocks 1 EX, ended 1");
}

TEST_CASE("unlock: the lock is gone for others before its unlock AST is taken") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  const uint64_t lock = a.Hold(kEx);
  b.Lock(kEx);
  a.Unlock(lock);
  CHECK(b.Take() == "granted 1");
}

TEST_CASE("cancel: a waiting request ends, and the queue behind it moves up") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  Peer c(cluster, 3);
  const uint64_t holder = a.Hold(kEx);
  const uint64_t waiting = b.Lock(kEx);
  c.Lock(kPr);
  CHECK(a.Convert(holder, kPr) == Status::kNormal);
  CHECK(c.Take() == "");
  CHECK(b.Cancel(waiting) == Status::kNormal);
  CHECK(b.Take() == "ended 1");
  CHECK(c.Take() == "granted 1");
  CHECK(b.Cancel(waiting) == Status::kIvLockId);
}

TEST_CASE("cancel: a waiting conversion goes back to the mode it had") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  const uint64_t mine = a.Hold(kPr);
  b.Hold(kPr);
  a.Convert(mine, kEx);
  CHECK(a.Cancel(mine) == Status::kNormal);
  CHECK(a.Take() == "cancelled 1");
  const auto view = View(cluster, "r");
  CHECK(view->converting.empty());
  CHECK(view->granted.size() == 2);
  CHECK(view->granted.at(1).mode == kPr);
  CHECK(a.Convert(mine, kNl) == Status::kNormal);
}

TEST_CASE("cancel: too late for a granted lock, which stays") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  const uint64_t lock = a.Hold(kEx);
  CHECK(a.Cancel(lock) == Status::kNormal);
  CHECK(a.Cancel(lock) == Status::kNormal);
  CHECK(a.Take() == "too late 1, too late 1");
  CHECK(a.Unlock(lock) == Status::kNormal);
}

TEST_CASE("cancel: too late when the grant is pending, both ASTs come") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  const uint64_t lock = a.Lock(kEx);
  CHECK(a.Cancel(lock) == Status::kNormal);
  CHECK(a.Take() == "granted 1, too late 1");
}

TEST_CASE("cancel: VALBLK is ignored, not refused") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  const uint64_t lock = a.Hold(kEx);
  CHECK(a.Cancel(lock, kLkmValBlk) == Status::kNormal);
  CHECK(a.Take() == "too late 1");
  CHECK(View(cluster, "r")->lvb == Block(0));
}

TEST_CASE("cancel: of a conversion lets a new request pass that it held up") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  Peer c(cluster, 3);
  const uint64_t mine = a.Hold(kPr);
  b.Hold(kPr);
  a.Convert(mine, kEx);
  c.Lock(kPr);
  CHECK(c.Take() == "");
  a.Cancel(mine);
  CHECK(c.Take() == "granted 1");
}

}  // namespace
}  // namespace stackglue::o2dlm::test
