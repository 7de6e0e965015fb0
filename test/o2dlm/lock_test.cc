// New requests: parameters, the grant rule, NOQUEUE, order.
#include "peer.h"

namespace stackglue::o2dlm::test {
namespace {

TEST_CASE("lock: grants at once and tells by an AST") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  CHECK(a.Lock(kEx) == 1);
  CHECK(a.Take() == "granted 1");
  CHECK(a.Take() == "");
}

TEST_CASE("lock: refuses modes other than NL, PR and EX") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  for (const int mode : {-1, 1, 2, 4, 6, 256, 1 << 30}) {
    CHECK(a.TryLock(mode) == Status::kBadParam);
  }
  CHECK(!View(cluster, "r"));
}

TEST_CASE("lock: refuses unknown flags and ignores those that o2dlm ignores") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  for (const uint32_t flag : {kLkmOrphan, kLkmTimeout, kLkmNoDlckWt, 1u, 0x10000000u, 0x20000000u,
                              0x40000000u, 0x80000000u}) {
    CHECK(a.TryLock(kPr, "r", flag) == Status::kBadParam);
  }
  const uint32_t ignored = kLkmUnlock | kLkmCancel | kLkmInvValBlk | kLkmForce | kLkmLocal;
  a.Lock(kPr, "r", ignored);
  CHECK(a.Take() == "granted 1");
}

TEST_CASE("lock: takes names of 1 to 32 bytes, any bytes") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  CHECK(a.TryLock(kPr, "") == Status::kIvBufLen);
  CHECK(a.TryLock(kPr, std::string_view()) == Status::kBadArgs);
  CHECK(a.TryLock(kPr, std::string(33, 'x')) == Status::kIvBufLen);
  CHECK(a.TryLock(kEx, std::string(32, 'x')) == Status::kNormal);
  CHECK(a.TryLock(kEx, std::string(31, 'x')) == Status::kNormal);
  CHECK(a.TryLock(kEx, std::string_view("a\0b", 3)) == Status::kNormal);
  CHECK(a.TryLock(kEx, std::string_view("a\0c", 3)) == Status::kNormal);
  CHECK(a.Take() == "granted 1, granted 2, granted 3, granted 4");
}

TEST_CASE("lock: checks parameters in the kernel's order") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  LockId id = 0;
  CHECK(a.member->Lock(1, 1, "", 0, nullptr, nullptr) == Status::kBadArgs);
  CHECK(a.member->Lock(1, 0, "", 0, nullptr, &id) == Status::kBadParam);
  CHECK(a.member->Lock(kPr, kLkmOrphan, "", 0, nullptr, &id) == Status::kBadParam);
  CHECK(a.member->Lock(kPr, 0, "", 0, nullptr, &id) == Status::kIvBufLen);
}

TEST_CASE("lock: keeps the lock manager's own resource to itself") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  CHECK(a.TryLock(kEx, "$RECOVERY") == Status::kBadParam);
  CHECK(a.TryLock(kEx, "$RECOVERY2") == Status::kNormal);
}

TEST_CASE("lock: NL goes with everything, PR with PR, EX with NL only") {
  const int modes[] = {kNl, kPr, kEx};
  for (const int held : modes) {
    for (const int wanted : modes) {
      auto cluster = Cluster::Create();
      Peer a(cluster, 1);
      Peer b(cluster, 2);
      a.Hold(held);
      b.Lock(wanted);
      const bool compatible = held == kNl || wanted == kNl || (held == kPr && wanted == kPr);
      CHECK(b.Take() == (compatible ? "granted 1" : ""));
    }
  }
}

TEST_CASE("lock: grants PR to both after EX is unlocked") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  Peer c(cluster, 3);
  const uint64_t lock = a.Hold(kEx);
  b.Lock(kPr);
  c.Lock(kPr);
  CHECK(b.Take() == "");
  CHECK(a.Unlock(lock) == Status::kNormal);
  CHECK(b.Take() == "granted 1");
  CHECK(c.Take() == "granted 1");
}

TEST_CASE("lock: waiters are granted first come, first served") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  const uint64_t held = a.Hold(kEx);
  b.Lock(kPr);
  b.Lock(kEx);
  b.Lock(kPr);
  a.Unlock(held);
  CHECK(b.Take() == "granted 1, blocks 1 EX");
  b.Unlock(1);
  CHECK(b.Take() == "ended 1, granted 2, blocks 2 PR");
  b.Unlock(2);
  CHECK(b.Take() == "ended 2, granted 3");
}

TEST_CASE("lock: a new PR passes a waiting EX when PR is granted") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  Peer c(cluster, 3);
  a.Hold(kPr);
  b.Lock(kEx);
  c.Lock(kPr);
  CHECK(c.Take() == "granted 1, blocks 1 EX");
  CHECK(b.Take() == "");
}

TEST_CASE("lock: a new request respects what a waiting conversion wants") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  Peer c(cluster, 3);
  const uint64_t first = a.Hold(kPr);
  b.Hold(kPr);
  CHECK(a.Convert(first, kEx) == Status::kNormal);
  CHECK(c.TryLock(kPr, "r", kLkmNoQueue) == Status::kNotQueued);
  CHECK(c.TryLock(kNl, "r", kLkmNoQueue) == Status::kNormal);
  c.Lock(kPr);
  CHECK(c.Take() == "granted 1");
}

TEST_CASE("lock: NOQUEUE that cannot be granted leaves nothing behind") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  a.Hold(kEx);
  CHECK(b.TryLock(kPr, "r", kLkmNoQueue) == Status::kNotQueued);
  CHECK(b.Take() == "");
  CHECK(a.Take() == "");
  CHECK(View(cluster, "r")->blocked.empty());
  CHECK(b.TryLock(kPr, "free", kLkmNoQueue) == Status::kNormal);
  CHECK(b.Take() == "granted 1");
}

TEST_CASE("lock: one member may hold several locks on one resource") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  a.Hold(kPr);
  a.Hold(kPr);
  a.Lock(kEx);
  CHECK(a.Take() == "blocks 1 EX, blocks 2 EX");
}

TEST_CASE("lock: a resource is forgotten with its last lock") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  const uint64_t lock = a.Hold(kEx);
  CHECK(View(cluster, "r"));
  a.Unlock(lock);
  CHECK(!View(cluster, "r"));
}

TEST_CASE("lock: ids are never reused and mean nothing to other members") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  const uint64_t first = a.Hold(kPr);
  LockId stolen = a.id(first);
  CHECK(b.member->Unlock(stolen, 0, nullptr) == Status::kIvLockId);
  CHECK(b.member->Unlock(stolen, kLkmCancel, nullptr) == Status::kIvLockId);
  CHECK(b.member->Lock(kEx, kLkmConvert, {}, 1, nullptr, &stolen) == Status::kIvLockId);
  for (LockId garbage : {LockId{99}, ~LockId{0}, LockId{1} << 63}) {
    CHECK(a.member->Unlock(garbage, 0, nullptr) == Status::kIvLockId);
    CHECK(a.member->Lock(kEx, kLkmConvert, {}, 1, nullptr, &garbage) == Status::kIvLockId);
  }
  a.Unlock(first);
  a.Take();
  CHECK(a.Unlock(first) == Status::kIvLockId);
  const uint64_t second = a.Hold(kPr);
  CHECK(a.id(second) != a.id(first));
}

TEST_CASE("lock: thousands of resources and locks keep their identity") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  for (int i = 0; i < 3000; ++i) a.Lock(kEx, "res" + std::to_string(i));
  a.Take();
  for (int i = 0; i < 3000; ++i) {
    CHECK(b.TryLock(kPr, "res" + std::to_string(i), kLkmNoQueue) == Status::kNotQueued);
  }
  for (uint64_t i = 1; i <= 3000; i += 2) CHECK(a.Unlock(i) == Status::kNormal);
  a.Take();
  CHECK(InspectDomain(cluster.get(), "d")->resources.size() == 1500);
  CHECK(b.TryLock(kPr, "res0", kLkmNoQueue) == Status::kNormal);
  CHECK(b.TryLock(kPr, "res1", kLkmNoQueue) == Status::kNotQueued);
}

}  // namespace
}  // namespace stackglue::o2dlm::test
