// Value blocks: who reads, who writes, when one is valid, and how long it is kept.
#include "peer.h"

namespace stackglue::fsdlm::test {
namespace {

TEST_CASE("value block: each conversion reads, writes or does neither as the kernel's table says") {
  // Rows: from; columns: to; r: reads, w: writes.
  const char* table[] = {"rrrrrr", "-rrrrr", "--rrrr", "---rrr", "wwwwwr", "wwwwww"};
  for (int from = kNl; from <= kEx; ++from) {
    for (int to = kNl; to <= kEx; ++to) {
      auto cluster = Cluster::Create();
      Peer a(cluster, 1);
      const uint64_t writer = a.Hold(kEx, "r", kLkfValBlk);
      a.Convert(writer, kNl, kLkfValBlk, Block(7));
      a.Take();
      const uint64_t lock = a.Hold(from, "r", kLkfValBlk);
      REQUIRE(a.Convert(lock, to, kLkfValBlk, Block(9)) == 0);
      CAPTURE(from);
      CAPTURE(to);
      const std::string shown = a.TakeWithBlocks();
      const uint8_t stored = View(cluster, "r")->lvb->at(0);
      switch (table[from][to]) {
        case 'r':
          CHECK(shown == "granted 2 block 7");
          CHECK(stored == 7);
          break;
        case 'w':
          CHECK(shown == "granted 2");
          CHECK(stored == 9);
          break;
        default:
          CHECK(shown == "granted 2 block 9");  // its own copy, as it gave it
          CHECK(stored == 7);
      }
    }
  }
}

TEST_CASE("value block: a refused unlock changes what the node has, not what it sent before") {
  for (const int master : {1, 2}) {
    auto cluster = Cluster::Create();
    Peer other(cluster, master);
    Peer a(cluster, 1);
    const uint64_t holder = other.Hold(kPr);
    const uint64_t lock = a.Hold(kCr);
    a.Convert(lock, kEx, kLkfValBlk | kLkfForceUnlock, Block(6));
    CHECK(a.Unlock(lock, kLkfForceUnlock, Block(7)) == -EINVAL);
    other.Unlock(holder);
    CHECK(a.TakeWithBlocks() == (master == 1 ? "granted 1 block 7" : "granted 1 block 6"));
  }
}

TEST_CASE("value block: without VALBLK nothing is read or written") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  const uint64_t writer = a.Hold(kEx, "r", kLkfValBlk);
  a.Convert(writer, kNl, kLkfValBlk, Block(7));
  a.Convert(writer, kEx);
  a.Convert(writer, kNl, 0, Block(9));
  a.Take();
  CHECK(View(cluster, "r")->lvb->at(0) == 7);
  a.Lock(kPr);
  CHECK(a.TakeWithBlocks() == "granted 2");
}

TEST_CASE("value block: unlocking PW or EX writes it, PR does not") {
  for (const int mode : {kPr, kPw, kEx}) {
    auto cluster = Cluster::Create();
    Peer a(cluster, 1);
    a.Hold(kNl);
    const uint64_t lock = a.Hold(mode, "r", kLkfValBlk);
    CHECK(a.Unlock(lock, kLkfValBlk, Block(5)) == 0);
    CHECK(View(cluster, "r")->lvb.has_value() == (mode != kPr));
  }
}

TEST_CASE("value block: an unlock writes what the last request said, though it does not say so") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  a.Hold(kNl);
  const uint64_t lock = a.Hold(kEx, "r", kLkfValBlk);
  CHECK(a.Unlock(lock, 0, Block(5)) == 0);
  CHECK(View(cluster, "r")->lvb->at(0) == 5);
}

TEST_CASE("value block: a lock that never had one writes nothing at home, zeros from elsewhere") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  a.Hold(kNl);
  const uint64_t mine = a.Hold(kEx);
  CHECK(a.Unlock(mine, kLkfValBlk, Block(5)) == 0);
  CHECK(!View(cluster, "r")->lvb.has_value());
  const uint64_t theirs = b.Hold(kEx);
  CHECK(b.Unlock(theirs, kLkfValBlk, Block(5)) == 0);
  CHECK(View(cluster, "r")->lvb->at(0) == 0);
}

TEST_CASE("value block: IVVALBLK makes it invalid until it is written again") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  const uint64_t lock = a.Hold(kEx, "r", kLkfValBlk);
  a.Convert(lock, kNl, kLkfValBlk, Block(7));
  a.Convert(lock, kEx);
  a.Take();
  a.Convert(lock, kNl, kLkfIvValBlk);
  a.Convert(lock, kPr, kLkfValBlk);
  CHECK(a.TakeWithBlocks() == "granted 1, granted 1 invalid block 7");
  a.Convert(lock, kEx, kLkfValBlk);
  CHECK(a.TakeWithBlocks() == "granted 1 invalid block 7");
  a.Convert(lock, kNl, kLkfValBlk, Block(8));
  a.Convert(lock, kPr, kLkfValBlk);
  CHECK(a.TakeWithBlocks() == "granted 1, granted 1 block 8");
}

TEST_CASE("value block: invalid is not told where nobody ever wrote one") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  const uint64_t lock = a.Hold(kEx, "r", kLkfValBlk);
  a.Convert(lock, kNl, kLkfIvValBlk);
  a.Convert(lock, kPr, kLkfValBlk);
  // A conversion that neither reads nor writes is told all the same.
  a.Convert(lock, kNl, kLkfValBlk);
  CHECK(a.Take() == "granted 1, granted 1, granted 1 invalid");
}

TEST_CASE("value block: a node that is not the master is not told with a conversion down") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  const uint64_t master = a.Hold(kEx, "r", kLkfValBlk);
  const uint64_t remote = b.Hold(kNl);
  a.Convert(master, kNl, kLkfIvValBlk);
  a.Take();
  for (Peer* each : {&a, &b}) {
    each->Convert(each == &a ? master : remote, kCr);
    each->Convert(each == &a ? master : remote, kNl);
  }
  CHECK(a.Take() == "granted 1, granted 1 invalid");
  CHECK(b.Take() == "granted 1, granted 1");
}

TEST_CASE("value block: the end of a process that holds EX makes it invalid") {
  auto cluster = Cluster::Create();
  Peer keeper(cluster, 1);
  Peer b(cluster, 2);
  const uint64_t writer = b.Hold(kEx, "r", kLkfValBlk);
  b.Convert(writer, kNl, kLkfValBlk, Block(7));
  b.Take();
  { Peer(cluster, 1).Hold(kEx); }
  b.Convert(writer, kPr, kLkfValBlk);
  CHECK(b.TakeWithBlocks() == "granted 1 invalid block 7");
}

TEST_CASE("value block: gone with the last lock") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  a.Unlock(a.Hold(kEx, "r", kLkfValBlk), kLkfValBlk, Block(7));
  a.Take();
  a.Lock(kPr, "r", kLkfValBlk);
  CHECK(a.TakeWithBlocks() == "granted 2 block 0");
}

// Whether the block of "r" is invalid: a conversion that neither reads nor writes tells.
std::string TakeValidity(Peer* peer) {
  peer->Convert(peer->Hold(kPr, "r"), kNl);
  return peer->Take();
}

TEST_CASE("value block: invalid for ten seconds without a lock") {
  ManualClock clock;
  auto cluster = Cluster::Create(&clock);
  Peer a(cluster, 1);
  const auto spoil = [&] {
    a.Unlock(a.Hold(kEx), kLkfIvValBlk);
    a.Take();
  };
  spoil();
  clock.now_ms += kTossMs - 1;
  const uint64_t lock = a.Hold(kPr);
  a.Convert(lock, kNl);
  a.Unlock(lock);
  CHECK(a.Take() == "granted 2 invalid, unlocked 2 end");
  clock.now_ms += kTossMs;
  CHECK(TakeValidity(&a) == "granted 3");
}

TEST_CASE("value block: no longer invalid without a lock when a node joins") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  a.Unlock(a.Hold(kEx), kLkfIvValBlk);
  a.Take();
  Peer b(cluster, 2);
  CHECK(TakeValidity(&a) == "granted 2");
}

// fs/dlm/recover.c:recover_lvb: of copies at NL and CR the newest by its number, which comes with
// the grant.
TEST_CASE("value block: a grant that is lost with the master leaves its node an old copy") {
  ManualClock clock;
  auto cluster = Cluster::Create(&clock);
  std::unique_ptr<Member> master;
  std::unique_ptr<Member> first;
  std::unique_ptr<Member> second;
  REQUIRE(cluster->Join("s", 1, nullptr, &master) == 0);
  REQUIRE(cluster->Join("s", 2, nullptr, &first) == 0);
  REQUIRE(cluster->Join("s", 3, nullptr, &second) == 0);
  ValueBlock got{};
  // Asks, and takes all that comes of it.
  const auto ask = [&got](Member* member, LockId* id, int mode, uint8_t fill) {
    const uint32_t flags = kLkfValBlk | (*id == 0 ? 0 : kLkfConvert);
    const ValueBlock block = Block(fill);
    REQUIRE(member->Lock(mode, flags, *id == 0 ? "r" : "", 1, false, block.data(), id) == 0);
    Event event;
    while (member->TakeEvents(&event, 1) == 1) {
      if (event.has_lvb) got = event.lvb;
    }
  };
  LockId writer = 0;
  LockId late = 0;
  LockId reader = 0;
  ask(master.get(), &writer, kEx, 0);
  ask(master.get(), &writer, kNl, 1);
  ask(first.get(), &late, kNl, 0);
  ask(first.get(), &late, kCr, 0);
  ask(first.get(), &late, kNl, 1);
  ask(master.get(), &writer, kEx, 1);
  ask(master.get(), &writer, kNl, 2);
  ask(second.get(), &reader, kNl, 0);
  ask(second.get(), &reader, kCr, 0);
  REQUIRE(got == Block(2));
  ask(first.get(), &late, kCr, 1);
  const ValueBlock old = Block(1);
  REQUIRE(first->Recall(late, kNl, kCr, old.data()) == 0);
  REQUIRE(cluster->KillNode(1) == 0);
  got = {};
  Event event;
  while (first->TakeEvents(&event, 1) == 1) {
    if (event.has_lvb) got = event.lvb;
  }
  CHECK(got == Block(2));
}

}  // namespace
}  // namespace stackglue::fsdlm::test
