// Conversions: order, deadlock, and the flags of both.
#include "peer.h"

namespace stackglue::fsdlm::test {
namespace {

TEST_CASE("convert: down is granted at once and lets others in") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  const uint64_t lock = a.Hold(kEx);
  b.Lock(kPr);
  CHECK(a.Convert(lock, kPr) == 0);
  // The kernel tells of the blocking AST first, and then drops none: PR was blocked by EX.
  CHECK(a.Take() == "blocks 1 PR, granted 1");
  CHECK(b.Take() == "granted 1");
}

TEST_CASE("convert: conversions that wait go before new requests") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  Peer c(cluster, 3);
  const uint64_t held = a.Hold(kPr);
  const uint64_t converting = b.Hold(kNl);
  c.Lock(kEx);
  CHECK(b.Convert(converting, kEx) == 0);
  CHECK(b.Take() == "");
  a.Unlock(held);
  CHECK(b.Take() == "granted 1, blocks 1 EX");
  CHECK(c.Take() == "");
}

TEST_CASE("convert: what goes with the held modes is granted in place, past those that wait") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  Peer c(cluster, 3);
  a.Hold(kPr);
  const uint64_t first = b.Hold(kNl);
  b.Convert(first, kEx);
  const uint64_t second = c.Lock(kNl, "r", kLkfExpedite);
  CHECK(c.Convert(second, kPr) == 0);
  CHECK(c.Take() == "granted 1, granted 1, blocks 1 EX");
}

TEST_CASE("convert: QUECVT queues behind conversions that wait") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  Peer c(cluster, 3);
  const uint64_t held = a.Hold(kPr);
  const uint64_t second = c.Hold(kNl);
  const uint64_t first = b.Hold(kNl);
  b.Convert(first, kCw);
  CHECK(c.Convert(second, kPr, kLkfQueCvt) == 0);
  CHECK(c.Take() == "");
  a.Unlock(held);
  CHECK(b.Take() == "granted 1, blocks 1 PR");
  CHECK(c.Take() == "");
  b.Convert(first, kNl);
  CHECK(c.Take() == "granted 1");
}

TEST_CASE("convert: QUECVT is for going up, and between CW and PR") {
  const char* allowed[] = {"011111", "001111", "000111", "001011", "000001", "000000"};
  for (int from = kNl; from <= kEx; ++from) {
    for (int to = kNl; to <= kEx; ++to) {
      auto cluster = Cluster::Create();
      Peer a(cluster, 1);
      const uint64_t lock = a.Hold(from);
      CAPTURE(from);
      CAPTURE(to);
      CHECK(a.Convert(lock, to, kLkfQueCvt) == (allowed[from][to] == '1' ? 0 : -EINVAL));
    }
  }
}

TEST_CASE("convert: NOQUEUE that fails keeps the mode") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  a.Hold(kPr);
  const uint64_t lock = b.Hold(kPr);
  CHECK(b.Convert(lock, kEx, kLkfNoQueue) == 0);
  CHECK(b.Take() == "busy 1");
  CHECK(a.Take() == "");
  CHECK(View(cluster, "r")->granted.size() == 2);
  CHECK(b.Unlock(lock) == 0);
}

TEST_CASE("convert: a lock that waits or converts cannot be converted") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  a.Hold(kPr);
  const uint64_t lock = b.Hold(kPr);
  b.Convert(lock, kEx);
  CHECK(b.Convert(lock, kNl) == -EBUSY);
  const uint64_t waiting = b.Lock(kEx);
  CHECK(b.Convert(waiting, kNl) == -EBUSY);
}

TEST_CASE("convert: the second of two that wait for each other is told of the deadlock") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  const uint64_t first = a.Hold(kPr);
  const uint64_t second = b.Hold(kPr);
  a.Convert(first, kEx);
  CHECK(b.Take() == "blocks 1 EX");
  CHECK(b.Convert(second, kEx) == 0);
  CHECK(b.Take() == "deadlock 1");
  CHECK(a.Take() == "");
  CHECK(View(cluster, "r")->granted.at(0).grmode == kPr);
  b.Unlock(second);
  CHECK(a.Take() == "granted 1");
}

TEST_CASE("convert: CONVDEADLK gives up the mode that it holds instead") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  const uint64_t first = a.Hold(kPr);
  const uint64_t second = b.Hold(kPr);
  a.Convert(first, kEx);
  b.Take();
  CHECK(b.Convert(second, kEx, kLkfConvDeadlk) == 0);
  CHECK(a.Take() == "granted 1, blocks 1 EX");
  CHECK(b.Take() == "");
  a.Unlock(first);
  CHECK(b.Take() == "granted 1 demoted");
}

TEST_CASE("convert: NODLCKWT lets a deadlock stand") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  const uint64_t first = a.Hold(kPr);
  const uint64_t second = b.Hold(kPr);
  a.Convert(first, kPw);
  CHECK(b.Take() == "blocks 1 PW");
  CHECK(b.Convert(second, kEx, kLkfNoDlckWt) == 0);
  CHECK(b.Take() == "");
  CHECK(View(cluster, "r")->converting.size() == 2);
  // The next time that the queue is looked at, the lock is told to give way.
  Peer c(cluster, 3);
  const uint64_t other = c.Hold(kNl, "r", kLkfExpedite);
  c.Unlock(other);
  CHECK(b.Take() == "blocks 1 EX");
  b.Cancel(second);
  CHECK(b.Take() == "cancelled 1");
}

TEST_CASE("convert: HEADQUE goes to the head of the conversions") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  const uint64_t held = a.Hold(kPr);
  const uint64_t first = b.Hold(kNl);
  const uint64_t second = b.Hold(kNl);
  b.Convert(first, kEx);
  b.Convert(second, kEx, kLkfHeadQue);
  a.Unlock(held);
  CHECK(b.Take() == "granted 2, blocks 2 EX");
}

TEST_CASE("convert: to the mode that it has is granted and changes nothing") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  const uint64_t lock = a.Hold(kPr);
  CHECK(a.Convert(lock, kPr) == 0);
  CHECK(a.Take() == "granted 1");
}

TEST_CASE("convert: ALTPR is granted in PR when the mode cannot be had") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  a.Hold(kPr);
  const uint64_t lock = b.Hold(kNl);
  CHECK(b.Convert(lock, kEx, kLkfAltPr) == 0);
  CHECK(b.Take() == "granted 1 alt");
  CHECK(View(cluster, "r")->granted.at(0).grmode == kPr);
}

TEST_CASE("convert: two that bar each other in the middle wait for each other") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  const uint64_t first = a.Hold(kPr);
  const uint64_t second = b.Hold(kPr);
  a.Convert(first, kCw);
  CHECK(b.Take() == "blocks 1 CW");
  b.Convert(second, kCw);
  CHECK(b.Take() == "deadlock 1");
  b.Convert(second, kCr);
  CHECK(a.Take() == "granted 1");
}

}  // namespace
}  // namespace stackglue::fsdlm::test
