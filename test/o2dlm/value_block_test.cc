// Lock value blocks: who writes, who reads, when they are lost.
#include "peer.h"

namespace stackglue::o2dlm::test {
namespace {

TEST_CASE("value block: 64 zeros at first, read by PR and EX requests that ask") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  a.Lock(kPr, "r", kLkmValBlk);
  a.Lock(kPr, "r");
  a.Lock(kNl, "r", kLkmValBlk);
  CHECK(a.Take() == "granted 1 block 0, granted 2, granted 3");
  a.Lock(kEx, "other", kLkmValBlk);
  CHECK(a.Take() == "granted 4 block 0");
}

TEST_CASE("value block: written by a conversion from EX, read by one from below") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  const uint64_t mine = a.Hold(kEx);
  const uint64_t other = b.Hold(kNl);
  CHECK(a.Convert(mine, kPr, kLkmValBlk, Block(7)) == Status::kNormal);
  CHECK(a.Take() == "granted 1");
  CHECK(b.Convert(other, kPr, kLkmValBlk) == Status::kNormal);
  CHECK(b.Take() == "granted 1 block 7");
  CHECK(b.Convert(other, kPr, kLkmValBlk) == Status::kNormal);
  CHECK(b.Take() == "granted 1 block 7");
}

TEST_CASE("value block: all of its 64 bytes travel") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  const uint64_t lock = a.Hold(kEx);
  ValueBlock block;
  for (size_t i = 0; i < block.size(); ++i) block[i] = static_cast<uint8_t>(i + 1);
  CHECK(a.Convert(lock, kNl, kLkmValBlk, block) == Status::kNormal);
  a.Take();
  CHECK(a.Convert(lock, kPr, kLkmValBlk) == Status::kNormal);
  Event event;
  REQUIRE(a.member->TakeEvents(&event, 1) == 1);
  CHECK(event.has_lvb);
  CHECK(event.lvb == block);
}

TEST_CASE("value block: EX to EX writes") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  const uint64_t lock = a.Hold(kEx);
  CHECK(a.Convert(lock, kEx, kLkmValBlk, Block(3)) == Status::kNormal);
  CHECK(a.Take() == "granted 1");
  CHECK(View(cluster, "r")->lvb == Block(3));
}

TEST_CASE("value block: not written without VALBLK, not read by a conversion to NL") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  const uint64_t lock = a.Hold(kEx);
  CHECK(a.Convert(lock, kPr, 0, Block(7)) == Status::kNormal);
  a.Take();
  CHECK(View(cluster, "r")->lvb == Block(0));
  CHECK(a.Convert(lock, kNl, kLkmValBlk, Block(7)) == Status::kNormal);
  CHECK(a.Take() == "granted 1");
  CHECK(a.Convert(lock, kNl, kLkmValBlk, Block(7)) == Status::kNormal);
  CHECK(a.Take() == "granted 1");
  CHECK(View(cluster, "r")->lvb == Block(0));
}

TEST_CASE("value block: written by an unlock from EX only") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  b.Hold(kNl);
  const uint64_t first = a.Hold(kEx);
  CHECK(a.Unlock(first, kLkmValBlk, Block(9)) == Status::kNormal);
  CHECK(View(cluster, "r")->lvb == Block(9));
  a.Take();
  const uint64_t second = a.Hold(kPr);
  CHECK(a.Unlock(second, kLkmValBlk, Block(8)) == Status::kNormal);
  CHECK(View(cluster, "r")->lvb == Block(9));
}

TEST_CASE("value block: a write without a block is refused and changes nothing") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  const uint64_t lock = a.Hold(kEx);
  CHECK(a.Convert(lock, kPr, kLkmValBlk) == Status::kBadArgs);
  CHECK(a.Unlock(lock, kLkmValBlk) == Status::kBadArgs);
  CHECK(a.Take() == "");
  CHECK(View(cluster, "r")->granted.at(0).mode == kEx);
}

TEST_CASE("value block: a waiting reader gets what was written before its grant") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  const uint64_t mine = a.Hold(kEx);
  b.Lock(kPr, "r", kLkmValBlk);
  CHECK(a.Unlock(mine, kLkmValBlk, Block(5)) == Status::kNormal);
  CHECK(b.Take() == "granted 1 block 5");
}

TEST_CASE("value block: a refused or cancelled conversion leaves no wish to read behind") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  const uint64_t mine = a.Hold(kPr);
  const uint64_t other = b.Hold(kPr);
  CHECK(a.Convert(mine, kEx, kLkmValBlk | kLkmNoQueue) == Status::kNotQueued);
  CHECK(a.Convert(mine, kPr) == Status::kNormal);
  CHECK(a.Take() == "granted 1");
  CHECK(a.Convert(mine, kEx, kLkmValBlk) == Status::kNormal);
  CHECK(a.Cancel(mine) == Status::kNormal);
  CHECK(b.Unlock(other) == Status::kNormal);
  CHECK(a.Convert(mine, kEx) == Status::kNormal);
  CHECK(a.Take() == "cancelled 1, granted 1");
}

TEST_CASE("value block: forgotten with the resource") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  const uint64_t lock = a.Hold(kEx);
  CHECK(a.Unlock(lock, kLkmValBlk, Block(9)) == Status::kNormal);
  a.Take();
  a.Lock(kPr, "r", kLkmValBlk);
  CHECK(a.Take() == "granted 2 block 0");
}

TEST_CASE("value block: kept when a reader dies") {
  auto cluster = Cluster::Create();
  Peer master(cluster, 1);
  Peer b(cluster, 2);
  Peer c(cluster, 3);
  const uint64_t lock = master.Hold(kEx);
  master.Write(lock, 4);
  master.Convert(lock, kNl);
  b.Hold(kPr);
  CHECK(cluster->KillNode(2) == 0);
  c.Lock(kPr, "r", kLkmValBlk);
  CHECK(c.Take() == "died 2, granted 1 block 4");
}

TEST_CASE("value block: zeroed when an EX holder dies") {
  auto cluster = Cluster::Create();
  Peer master(cluster, 1);
  Peer b(cluster, 2);
  const uint64_t anchor = master.Hold(kEx);
  master.Write(anchor, 4);
  master.Convert(anchor, kNl);
  master.Take();
  b.Hold(kEx);
  CHECK(master.Convert(anchor, kPr, kLkmValBlk) == Status::kNormal);
  CHECK(cluster->KillNode(2) == 0);
  CHECK(master.Take() == "died 2, granted 1 block 0");
}

TEST_CASE("value block: kept when a node dies that only waited for EX") {
  auto cluster = Cluster::Create();
  Peer master(cluster, 1);
  Peer b(cluster, 2);
  const uint64_t anchor = master.Hold(kEx);
  master.Write(anchor, 4);
  b.Lock(kEx);
  CHECK(cluster->KillNode(2) == 0);
  CHECK(View(cluster, "r")->lvb == Block(4));
}

TEST_CASE("value block: dies with its master when the survivors hold only NL") {
  auto cluster = Cluster::Create();
  Peer master(cluster, 1);
  Peer b(cluster, 2);
  const uint64_t lock = master.Hold(kEx);
  master.Write(lock, 4);
  master.Convert(lock, kNl);
  b.Hold(kNl);
  CHECK(cluster->KillNode(1) == 0);
  CHECK(View(cluster, "r")->lvb == Block(0));
  CHECK(View(cluster, "r")->master == 2);
}

TEST_CASE("value block: outlives its master when a node other than the new master has read it") {
  auto cluster = Cluster::Create();
  Peer master(cluster, 1);
  Peer b(cluster, 2);
  Peer c(cluster, 3);
  const uint64_t lock = master.Hold(kEx);
  master.Write(lock, 4);
  master.Convert(lock, kPr);
  c.Hold(kPr, "r", kLkmValBlk);
  CHECK(cluster->KillNode(1) == 0);
  CHECK(View(cluster, "r")->master == 2);
  b.Lock(kPr, "r", kLkmValBlk);
  CHECK(b.Take() == "died 1, granted 1 block 4");
}

TEST_CASE("value block: lost with its master when only the new master has read it") {
  auto cluster = Cluster::Create();
  Peer master(cluster, 1);
  Peer b(cluster, 2);
  Peer c(cluster, 3);
  const uint64_t lock = master.Hold(kEx);
  master.Write(lock, 4);
  master.Convert(lock, kPr);
  b.Hold(kPr, "r", kLkmValBlk);
  c.Hold(kPr);
  CHECK(cluster->KillNode(1) == 0);
  CHECK(View(cluster, "r")->master == 2);
  CHECK(View(cluster, "r")->lvb == Block(0));
}

TEST_CASE("value block: a status block that fell behind at NL restores nothing") {
  auto cluster = Cluster::Create();
  Peer master(cluster, 1);
  Peer b(cluster, 2);
  Peer c(cluster, 3);
  const uint64_t lock = master.Hold(kEx);
  master.Write(lock, 4);
  master.Convert(lock, kNl);
  const uint64_t reader = c.Hold(kPr, "r", kLkmValBlk);
  c.Convert(reader, kNl);
  c.Take();
  c.Convert(reader, kPr);
  c.Take();
  CHECK(cluster->KillNode(1) == 0);
  CHECK(View(cluster, "r")->lvb == Block(0));
}

TEST_CASE("value block: moves with a PR lock when its master leaves, else it is lost") {
  auto cluster = Cluster::Create();
  Peer b(cluster, 2);
  Peer c(cluster, 3);
  {
    Peer master(cluster, 1);
    for (const char* name : {"kept", "lost"}) {
      const uint64_t lock = master.Hold(kEx, name);
      master.Write(lock, 4);
      master.Convert(lock, kNl);
      master.Take();
    }
    b.Hold(kPr, "kept", kLkmValBlk);
    c.Hold(kPr, "kept", kLkmValBlk);
    b.Hold(kNl, "lost");
    c.Hold(kNl, "lost");
  }
  CHECK(View(cluster, "kept")->master == 2);
  CHECK(View(cluster, "kept")->lvb == Block(4));
  CHECK(View(cluster, "lost")->lvb == Block(0));
}

TEST_CASE("value block: what a member leaves in EX is lost with it, as by a death") {
  auto cluster = Cluster::Create();
  Peer master(cluster, 1);
  Peer b(cluster, 2);
  const uint64_t writer = master.Hold(kEx);
  master.Write(writer, 4);
  master.Convert(writer, kNl);
  master.Take();
  {
    Peer c(cluster, 3);
    c.Hold(kNl);
  }
  CHECK(View(cluster, "r")->lvb == Block(4));
  {
    Peer c(cluster, 3);
    c.Hold(kEx, "r", kLkmValBlk);
  }
  CHECK(View(cluster, "r")->lvb == Block(0));
}

}  // namespace
}  // namespace stackglue::o2dlm::test
