// New requests: arguments, modes, order, and the flags that change it.
#include "peer.h"

namespace stackglue::fsdlm::test {
namespace {

TEST_CASE("join: what cannot be a node or a lockspace is refused") {
  auto cluster = Cluster::Create();
  std::unique_ptr<Member> member;
  CHECK(cluster->Join("ls", 0, nullptr, &member) == -EINVAL);
  CHECK(cluster->Join("", 1, nullptr, &member) == -EINVAL);
  CHECK(cluster->Join(std::string_view("a\0b", 3), 1, nullptr, &member) == -EINVAL);
  CHECK(cluster->Join("ls", 1, nullptr, nullptr) == -EINVAL);
  CHECK(cluster->Join(std::string(65, 'x'), 1, nullptr, &member) == -ENAMETOOLONG);
  CHECK(cluster->Join(std::string(64, 'x'), 1, nullptr, &member) == 0);
  CHECK(cluster->KillNode(2) == -ENOENT);
}

TEST_CASE("lock: arguments that the kernel refuses are refused") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  CHECK(a.TryLock(-1) == -EINVAL);
  CHECK(a.TryLock(6) == -EINVAL);
  CHECK(a.TryLock(kEx, std::string(65, 'n')) == -EINVAL);
  CHECK(a.TryLock(kEx, "r", kLkfCancel) == -EINVAL);
  CHECK(a.TryLock(kEx, "r", kLkfQueCvt) == -EINVAL);
  CHECK(a.TryLock(kEx, "r", kLkfConvDeadlk) == -EINVAL);
  CHECK(a.TryLock(kCr, "r", kLkfExpedite) == -EINVAL);
  CHECK(a.TryLock(kNl, "r", kLkfExpedite | kLkfNoQueue) == -EINVAL);
  CHECK(a.Take() == "");
  CHECK(InspectLockspace(cluster.get(), "ls")->resources.empty());

  const uint64_t lock = a.Hold(kNl);
  CHECK(a.Convert(lock, kNl, kLkfExpedite) == -EINVAL);
  CHECK(a.Convert(lock, kEx, kLkfConvDeadlk | kLkfNoQueue) == -EINVAL);
  CHECK(a.Convert(lock, kNl, kLkfQueCvt) == -EINVAL);
  LockId none = 12345;
  CHECK(a.member->Lock(kEx, kLkfConvert, {}, 1, true, nullptr, &none) == -ENOENT);
  CHECK(a.member->Lock(kEx, 0, "r", 1, true, nullptr, nullptr) == -EINVAL);
}

TEST_CASE("lock: a name may be empty, and of 64 bytes of any value") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  const std::string zeros(64, '\0');
  a.Hold(kEx, "");
  a.Hold(kEx, zeros);
  a.Hold(kEx, std::string(63, '\0'));
  CHECK(View(cluster, zeros)->granted.size() == 1);
}

TEST_CASE("lock: two modes are held together as the kernel's matrix says") {
  // Rows: held; columns: asked for; NL CR CW PR PW EX.
  const char* together[] = {"111111", "111110", "111000", "110100", "110000", "100000"};
  for (int held = kNl; held <= kEx; ++held) {
    for (int asked = kNl; asked <= kEx; ++asked) {
      auto cluster = Cluster::Create();
      Peer a(cluster, 1);
      Peer b(cluster, 2);
      a.Hold(held);
      b.Lock(asked, "r", kLkfNoQueue);
      CAPTURE(held);
      CAPTURE(asked);
      CHECK(b.Take() == (together[held][asked] == '1' ? "granted 1" : "busy 1 end"));
    }
  }
}

TEST_CASE("lock: NOQUEUE that fails is told by a completion, and the lock is gone") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  a.Hold(kEx);
  const uint64_t lock = b.Lock(kPr, "r", kLkfNoQueue);
  CHECK(b.Unlock(lock) == -ENOENT);
  CHECK(b.Convert(lock, kNl) == -EBUSY);
  CHECK(b.Take() == "busy 1 end");
  CHECK(b.Convert(lock, kNl) == -ENOENT);
  CHECK(a.Take() == "");
}

TEST_CASE("lock: new requests are granted in their order, as many as go together") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  const uint64_t lock = a.Hold(kEx);
  b.Lock(kPr);
  b.Lock(kCr);
  b.Lock(kEx);
  b.Lock(kPr);
  a.Unlock(lock);
  CHECK(b.Take() == "granted 1, blocks 1 EX, granted 2, blocks 2 EX");
  b.Unlock(1);
  CHECK(b.Take() == "unlocked 1 end");
  b.Unlock(2);
  CHECK(b.Take() == "unlocked 2 end, granted 3, blocks 3 PR");
}

TEST_CASE("lock: a new request waits behind others that wait, even NL") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  a.Hold(kPr);
  b.Lock(kEx);
  b.Lock(kPr);
  b.Lock(kNl);
  CHECK(b.Take() == "");
  CHECK(View(cluster, "r")->waiting.size() == 3);
}

TEST_CASE("lock: EXPEDITE grants NL whatever waits") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  a.Hold(kPr);
  b.Lock(kEx);
  b.Lock(kNl, "r", kLkfExpedite);
  CHECK(b.Take() == "granted 2");
}

TEST_CASE("lock: NOORDER passes those that wait when it goes with what is held") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  const uint64_t held = a.Hold(kPr);
  b.Lock(kEx);
  b.Lock(kPr, "r", kLkfNoOrder);
  CHECK(b.Take() == "granted 2");
  b.Lock(kCw, "r", kLkfNoOrder);
  CHECK(b.Take() == "blocks 2 CW");
  a.Unlock(held);
  // The EX at the head waits for the PR; the CW need not wait for the EX, but does for the PR.
  CHECK(b.Take() == "blocks 2 EX");
  b.Unlock(2);
  CHECK(b.Take() == "unlocked 2 end, granted 1, blocks 1 CW");
}

TEST_CASE("lock: NOORDER in the middle of the queue is granted before the head") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  const uint64_t reader = a.Hold(kCr);
  const uint64_t held = a.Hold(kPw);
  b.Lock(kEx);
  b.Lock(kPr, "r", kLkfNoOrder);
  CHECK(b.Take() == "");
  a.Unlock(held);
  CHECK(b.Take() == "granted 2, blocks 2 EX");
  a.Unlock(reader);
  b.Unlock(2);
  CHECK(b.Take() == "unlocked 2 end, granted 1");
}

TEST_CASE("lock: HEADQUE waits in front") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  const uint64_t held = a.Hold(kEx);
  b.Lock(kEx);
  b.Lock(kEx, "r", kLkfHeadQue);
  a.Unlock(held);
  CHECK(b.Take() == "granted 2, blocks 2 EX");
}

TEST_CASE("lock: ALTPR and ALTCW are granted in their mode when the first one cannot be had") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  a.Hold(kPr, "pr");
  a.Hold(kCw, "cw");
  b.Lock(kEx, "pr", kLkfAltPr);
  b.Lock(kEx, "cw", kLkfAltCw);
  CHECK(b.Take() == "granted 1 alt, granted 2 alt");
  b.Lock(kEx, "cw", kLkfAltPr | kLkfNoQueue);
  CHECK(b.Take() == "busy 3 end");
  CHECK(View(cluster, "pr")->granted.at(0).grmode == kPr);
}

TEST_CASE("lock: a waiter with ALTPR is granted PR as soon as that goes") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  const uint64_t held = a.Hold(kEx);
  b.Lock(kEx, "r", kLkfAltPr);
  a.Convert(held, kPr);
  CHECK(b.Take() == "granted 1 alt");
}

TEST_CASE("lock: the sink is told once, when the queue stops being empty") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  a.Lock(kNl);
  a.Lock(kNl);
  CHECK(a.sink.wakes == 1);
  a.Take();
  a.Lock(kNl);
  CHECK(a.sink.wakes == 2);
}

TEST_CASE("lock: another member's lock cannot be touched") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 1);
  a.Hold(kEx);
  LockId id = a.id(1);
  CHECK(b.member->Unlock(id, 0, 0, nullptr) == -ENOENT);
  CHECK(b.member->Lock(kNl, kLkfConvert, {}, 1, true, nullptr, &id) == -ENOENT);
}

}  // namespace
}  // namespace stackglue::fsdlm::test
