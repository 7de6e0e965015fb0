// Unlock, cancel, force-unlock; orphans and purging.
#include "peer.h"

namespace stackglue::fsdlm::test {
namespace {

TEST_CASE("unlock: flags that the kernel refuses are refused") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  const uint64_t lock = a.Hold(kEx);
  CHECK(a.Unlock(lock, kLkfNoQueue) == -EINVAL);
  CHECK(a.Unlock(lock, kLkfCancel | kLkfForceUnlock) == -EINVAL);
  CHECK(a.member->Unlock(77, 0, 0, nullptr) == -ENOENT);
  CHECK(a.Unlock(lock) == 0);
  CHECK(a.Unlock(lock) == -ENOENT);
  CHECK(a.Take() == "unlocked 1 end");
}

TEST_CASE("unlock: FORCEUNLOCK is refused where the last request had it") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  const uint64_t lock = a.Hold(kPr);
  a.Convert(lock, kEx, kLkfForceUnlock);
  CHECK(a.Unlock(lock, kLkfForceUnlock) == -EINVAL);
  CHECK(a.Unlock(lock) == 0);
  CHECK(a.Take() == "granted 1, unlocked 1 end");
}

TEST_CASE("cancel: refused where the last operation was cancelled, whatever it would do") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  a.Hold(kPr);
  const uint64_t lock = b.Hold(kPr);
  b.Convert(lock, kEx);
  CHECK(b.Cancel(lock) == 0);
  CHECK(b.Cancel(lock) == -EINVAL);
  b.Convert(lock, kEx);
  CHECK(b.Cancel(lock) == 0);
}

TEST_CASE("unlock: a lock that waits or converts is ended as well") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  a.Hold(kPr);
  const uint64_t converting = b.Hold(kPr);
  const uint64_t waiting = b.Lock(kEx);
  b.Convert(converting, kEx);
  CHECK(b.Unlock(waiting) == 0);
  CHECK(b.Unlock(converting, kLkfForceUnlock) == 0);
  CHECK(b.Take() == "blocks 1 EX, unlocked 1 end, unlocked 2 end");
  CHECK(View(cluster, "r")->granted.size() == 1);
}

TEST_CASE("unlock: a grant that was not taken is taken before the end") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  const uint64_t lock = a.Lock(kEx);
  CHECK(a.Unlock(lock) == 0);
  CHECK(a.Take() == "granted 1, unlocked 1 end");
}

TEST_CASE("cancel: a waiting request ends, a conversion keeps the mode that it had") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  a.Hold(kPr);
  const uint64_t converting = b.Hold(kPr);
  b.Convert(converting, kEx);
  const uint64_t waiting = b.Lock(kEx);
  CHECK(b.Cancel(waiting) == 0);
  CHECK(b.Cancel(converting) == 0);
  CHECK(b.Take() == "cancelled 2 end, cancelled 1");
  CHECK(b.Cancel(waiting) == -ENOENT);
  CHECK(b.Convert(converting, kNl) == 0);
  CHECK(b.Take() == "granted 1");
}

TEST_CASE("cancel: what came too late has no event") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  const uint64_t lock = a.Lock(kEx);
  CHECK(a.Cancel(lock) == 0);
  CHECK(a.Take() == "granted 1");
}

TEST_CASE("cancel: those who waited behind it are granted") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  Peer c(cluster, 3);
  a.Hold(kPr);
  const uint64_t waiting = b.Lock(kEx);
  c.Lock(kPr);
  b.Cancel(waiting);
  CHECK(c.Take() == "granted 1");
}

TEST_CASE("unlock: the end of a process ends its locks, those who wait are granted") {
  auto cluster = Cluster::Create();
  auto a = std::make_unique<Peer>(cluster, 1);
  Peer b(cluster, 2);
  a->Hold(kEx);
  a->Lock(kEx);
  b.Lock(kEx);
  a.reset();
  CHECK(b.Take() == "granted 1");
}

TEST_CASE("orphan: a PERSISTENT lock outlives its process, and is adopted by its mode") {
  auto cluster = Cluster::Create();
  Peer keeper(cluster, 1);
  auto a = std::make_unique<Peer>(cluster, 1);
  a->Hold(kPr, "r", kLkfPersistent);
  const LockId id = a->id(1);
  a.reset();
  CHECK(View(cluster, "r")->granted.at(0).is_orphan);

  Peer b(cluster, 1);
  CHECK(b.TryLock(kPr, "other", kLkfOrphan) == -ENOENT);
  CHECK(b.TryLock(kEx, "r", kLkfOrphan) == -EAGAIN);
  CHECK(b.TryLock(kPr, "r", kLkfOrphan | kLkfPersistent) == 0);
  CHECK(b.id(1) == id);
  CHECK(b.Take() == "");
  CHECK(b.TryLock(kPr, "r", kLkfOrphan) == -ENOENT);
  CHECK(b.Convert(1, kEx) == 0);
  CHECK(b.Take() == "granted 1");
  CHECK(b.Unlock(1) == 0);
  CHECK(b.Take() == "unlocked 1 end");
}

TEST_CASE("orphan: another node cannot adopt it") {
  auto cluster = Cluster::Create();
  Peer keeper(cluster, 1);
  Peer b(cluster, 2);
  { Peer(cluster, 1).Hold(kPr, "r", kLkfPersistent); }
  CHECK(b.TryLock(kPr, "r", kLkfOrphan) == -ENOENT);
}

TEST_CASE("orphan: a conversion that waits is cancelled, a request that waits is gone") {
  auto cluster = Cluster::Create();
  Peer keeper(cluster, 1);
  Peer b(cluster, 2);
  b.Hold(kPr);
  {
    Peer a(cluster, 1);
    const uint64_t lock = a.Hold(kPr, "r", kLkfPersistent);
    a.Lock(kEx, "r", kLkfPersistent);
    a.Convert(lock, kEx, kLkfPersistent);
  }
  const auto view = View(cluster, "r");
  CHECK(view->granted.size() == 2);
  CHECK(view->converting.empty());
  CHECK(view->waiting.empty());
  CHECK(keeper.TryLock(kPr, "r", kLkfOrphan) == 0);
  // The cancelled request stays on the kernel's list, as an orphan of no mode.
  CHECK(keeper.TryLock(kEx, "r", kLkfOrphan) == -EAGAIN);
}

TEST_CASE("orphan: it still bars others, and is purged by node and process") {
  auto cluster = Cluster::Create();
  Peer keeper(cluster, 1);
  Peer b(cluster, 2);
  int pid = 0;
  {
    Peer a(cluster, 1);
    pid = a.member->pid();
    a.Hold(kEx, "r", kLkfPersistent);
  }
  b.Lock(kPr);
  CHECK(b.member->Purge(9, 0) == -ENOBUFS);
  CHECK(b.member->Purge(1, pid + 1000) == 0);
  CHECK(b.Take() == "");
  CHECK(b.member->Purge(1, pid) == 0);
  CHECK(b.Take() == "granted 1");
}

TEST_CASE("orphan: purging an EX makes the value block invalid") {
  auto cluster = Cluster::Create();
  Peer keeper(cluster, 1);
  Peer b(cluster, 2);
  b.Hold(kNl, "r", kLkfValBlk);
  { Peer(cluster, 1).Hold(kEx, "r", kLkfPersistent); }
  CHECK(keeper.member->Purge(0, 0) == 0);
  CHECK(!View(cluster, "r")->valid);
}

TEST_CASE("orphan: they go when their node leaves") {
  auto cluster = Cluster::Create();
  Peer b(cluster, 2);
  { Peer(cluster, 1).Hold(kEx, "r", kLkfPersistent); }
  CHECK(b.Lock(kEx) == 1);
  CHECK(b.Take() == "granted 1");
}

TEST_CASE("purge: of its own process drops all its locks without an event") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  a.Hold(kEx);
  a.Hold(kEx, "s");
  a.Lock(kEx);
  b.Lock(kPr);
  CHECK(a.member->Purge(1, a.member->pid()) == 0);
  CHECK(a.Take() == "");
  CHECK(b.Take() == "granted 1");
  a.Hold(kEx, "s");
}

}  // namespace
}  // namespace stackglue::fsdlm::test
