// The death of nodes: who is told, what becomes of locks, queues and value blocks.
#include "peer.h"

namespace stackglue::fsdlm::test {
namespace {

TEST_CASE("death: is told before the grants that it leads to") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  a.Hold(kEx);
  b.Lock(kEx);
  CHECK(cluster->KillNode(1) == 0);
  CHECK(b.Take() == "died 1, granted 1");
  CHECK(a.member->dead());
  CHECK(a.Take() == "");
  CHECK(a.TryLock(kEx) == -EPERM);
  CHECK(a.member->Unlock(a.id(1), 0, 0, nullptr) == -EPERM);
  CHECK(a.member->Purge(0, 0) == -EPERM);
}

TEST_CASE("death: of all processes of a node, told to each survivor of its lockspaces") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 1);
  Peer c(cluster, 2);
  Peer d(cluster, 2);
  Peer other(cluster, 3, "other");
  CHECK(cluster->KillNode(1) == 0);
  CHECK(b.member->dead());
  CHECK(c.Take() == "died 1");
  CHECK(d.Take() == "died 1");
  CHECK(other.Take() == "");
  Peer again(cluster, 1);
  again.Hold(kEx);
}

TEST_CASE("death: its orphans go too") {
  auto cluster = Cluster::Create();
  Peer keeper(cluster, 1);
  Peer b(cluster, 2);
  { Peer(cluster, 1).Hold(kEx, "r", kLkfPersistent); }
  b.Lock(kEx);
  cluster->KillNode(1);
  CHECK(b.Take() == "died 1, granted 1");
}

TEST_CASE("death: of a holder of EX with VALBLK makes the block invalid where the master lives") {
  auto cluster = Cluster::Create();
  Peer master(cluster, 2);
  Peer a(cluster, 1);
  const uint64_t reader = master.Hold(kEx, "r", kLkfValBlk);
  master.Convert(reader, kNl, kLkfValBlk, Block(7));
  master.Take();
  a.Hold(kEx, "r", kLkfValBlk);
  cluster->KillNode(1);
  master.Convert(reader, kPr, kLkfValBlk);
  CHECK(master.TakeWithBlocks() == "died 1, granted 1 invalid block 7");
}

TEST_CASE(
    "death: of a holder of EX with VALBLK is remembered where the master lives, locks or not") {
  auto cluster = Cluster::Create();
  Peer master(cluster, 2);
  Peer b(cluster, 1);
  const uint64_t first = master.Hold(kNl);
  b.Hold(kEx, "r", kLkfValBlk);
  master.Unlock(first);
  master.Take();
  cluster->KillNode(1);
  master.Convert(master.Lock(kPr), kNl);
  CHECK(master.Take() == "died 1, granted 2, granted 2 invalid");
}

TEST_CASE("death: of a holder of EX without VALBLK leaves the block valid") {
  auto cluster = Cluster::Create();
  Peer master(cluster, 2);
  Peer a(cluster, 1);
  const uint64_t reader = master.Hold(kEx, "r", kLkfValBlk);
  master.Convert(reader, kNl, kLkfValBlk, Block(7));
  master.Take();
  a.Hold(kEx);
  cluster->KillNode(1);
  master.Convert(reader, kPr, kLkfValBlk);
  CHECK(master.TakeWithBlocks() == "died 1, granted 1 block 7");
}

TEST_CASE("death: of the master: the block is taken from a lock above CR, and valid") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  Peer c(cluster, 3);
  const uint64_t writer = a.Hold(kEx, "r", kLkfValBlk);
  a.Convert(writer, kNl, kLkfValBlk, Block(7));
  b.Hold(kPr, "r", kLkfValBlk);
  cluster->KillNode(1);
  CHECK(View(cluster, "r")->master == 2);
  c.Lock(kPr, "r", kLkfValBlk);
  CHECK(c.TakeWithBlocks() == "died 1, granted 1 block 7");
}

TEST_CASE("death: of the master: with NL and CR only, the newest block is kept, invalid") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  Peer c(cluster, 3);
  const uint64_t writer = a.Hold(kEx, "r", kLkfValBlk);
  a.Convert(writer, kNl, kLkfValBlk, Block(7));
  b.Hold(kCr, "r", kLkfValBlk);
  a.Convert(writer, kPw);
  a.Convert(writer, kNl, kLkfValBlk, Block(8));
  c.Hold(kNl, "r", kLkfValBlk);
  cluster->KillNode(1);
  b.Lock(kPr, "r", kLkfValBlk);
  CHECK(b.TakeWithBlocks() == "died 1, granted 2 invalid block 8");
}

TEST_CASE("death: of the master: without VALBLK among the survivors the block is forgotten") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  const uint64_t writer = a.Hold(kEx, "r", kLkfValBlk);
  a.Convert(writer, kNl, kLkfValBlk, Block(7));
  b.Hold(kPr);
  cluster->KillNode(1);
  b.Lock(kPr, "r", kLkfValBlk);
  CHECK(b.TakeWithBlocks() == "died 1, granted 2 block 0");
}

TEST_CASE("death: of the master: its own waiters come first at the new master") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  Peer c(cluster, 3);
  a.Hold(kEx);
  c.Lock(kEx);
  b.Lock(kEx);
  cluster->KillNode(1);
  CHECK(b.Take() == "died 1, granted 1, blocks 1 EX");
  CHECK(c.Take() == "died 1");
}

TEST_CASE("death: conversions are granted in any order by the recovery") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  Peer c(cluster, 3);
  b.Hold(kPr);
  a.Hold(kPr);
  const uint64_t first = b.Hold(kNl);
  const uint64_t second = c.Hold(kNl);
  b.Convert(first, kEx);
  c.Convert(second, kPr, kLkfQueCvt);
  CHECK(c.Take() == "");
  cluster->KillNode(1);
  CHECK(c.Take() == "died 1, granted 1, blocks 1 EX");
}

TEST_CASE("death: those that waited are told of by a new master again") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  Peer c(cluster, 3);
  a.Hold(kNl);
  c.Hold(kPr);
  b.Hold(kPr);
  b.Lock(kEx);
  CHECK(b.Take() == "blocks 1 EX");
  CHECK(c.Take() == "blocks 1 EX");
  cluster->KillNode(1);
  // Node 2 is the new master, and knows what its own lock was told.
  CHECK(b.Take() == "died 1");
  CHECK(c.Take() == "died 1, blocks 1 EX");
}

TEST_CASE("death: of the master: a lock that was demoted is not marked so by a master elsewhere") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  Peer c(cluster, 3);
  const uint64_t first = a.Hold(kPr);
  const uint64_t second = c.Hold(kCr);
  b.Hold(kNl);
  a.Convert(first, kEx);
  c.Convert(second, kCw, kLkfConvDeadlk);
  CHECK(a.Take() == "granted 1, blocks 1 CW");
  CHECK(c.Take() == "blocks 1 EX");
  SUBCASE("node 2 becomes master") {
    cluster->KillNode(1);
    CHECK(c.Take() == "died 1, granted 1");
  }
  SUBCASE("its own node becomes master") {
    cluster->KillNode(2);
    cluster->KillNode(1);
    CHECK(c.Take() == "died 2, died 1, granted 1 demoted");
  }
}

TEST_CASE("death: of the master: a demotion that its node was not told of is undone") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  Peer c(cluster, 3);
  a.Hold(kNl);
  const uint64_t holder = b.Hold(kCr);
  const uint64_t writer = c.Hold(kPr, "r", kLkfValBlk);
  c.Convert(writer, kEx, kLkfValBlk | kLkfConvDeadlk, Block(7));
  b.Convert(holder, kCw, kLkfNoDlckWt);
  // What waits is tried once more, and the conversion to EX gives up PR.
  a.Unlock(a.Lock(kCr));
  CHECK(b.Take() == "blocks 1 EX");
  CHECK(c.Take() == "");
  CHECK(View(cluster, "r")->converting[0].grmode == kNl);
  cluster->KillNode(1);
  CHECK(b.Take() == "died 1, granted 1, blocks 1 EX");
  // PR keeps the block valid, NL would not.
  b.Convert(holder, kCw, kLkfValBlk);
  CHECK(b.Take() == "granted 1, blocks 1 EX");
}

TEST_CASE("death: of the master: a demoted lock is told of what it is in the way of again") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  Peer c(cluster, 3);
  const uint64_t own = a.Hold(kPr);
  const uint64_t lock = c.Hold(kPr);
  c.Convert(lock, kCw, kLkfConvDeadlk | kLkfNoOrder);
  a.Convert(own, kCw, kLkfNoDlckWt);
  a.Unlock(a.Lock(kEx));
  c.Cancel(lock);
  CHECK(c.Take() == "cancelled 1");
  a.Convert(own, kNl);
  b.Hold(kPr);
  b.Lock(kCw);
  CHECK(b.Take() == "blocks 1 CW");
  CHECK(c.Take() == "");
  cluster->KillNode(1);
  CHECK(c.Take() == "died 1, blocks 1 CW");
}

TEST_CASE("leave: the others recover, and hear of no death") {
  auto cluster = Cluster::Create();
  auto a = std::make_unique<Peer>(cluster, 1);
  Peer b(cluster, 2);
  const uint64_t writer = a->Hold(kEx, "r", kLkfValBlk);
  a->Convert(writer, kNl, kLkfValBlk, Block(7));
  b.Hold(kNl, "r", kLkfValBlk);
  a.reset();
  b.Lock(kPr, "r", kLkfValBlk);
  CHECK(b.TakeWithBlocks() == "granted 2 invalid block 7");
  CHECK(View(cluster, "r")->master == 2);
}

TEST_CASE("death: of the only holder forgets the resource") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  const uint64_t writer = a.Hold(kEx, "r", kLkfValBlk);
  a.Convert(writer, kNl, kLkfValBlk, Block(7));
  cluster->KillNode(1);
  CHECK(InspectLockspace(cluster.get(), "ls")->resources.empty());
}

TEST_CASE("death: a lock that ended but was not heard of keeps nothing from others") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  a.Hold(kNl);
  b.Unlock(b.Hold(kEx));
  cluster->KillNode(1);
  CHECK(b.Lock(kEx) == 2);
  CHECK(b.Take() == "died 1, unlocked 1 end, granted 2");
  CHECK(View(cluster, "r")->master == 2);
}

}  // namespace
}  // namespace stackglue::fsdlm::test
