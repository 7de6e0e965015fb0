// What a program learns of the lockspace itself: its nodes, who comes and goes, who may come.
#include "engines/nodes_suite.h"
#include "peer.h"

namespace stackglue::test {
namespace {

struct Fsdlm {
  using Peer = fsdlm::test::Peer;
  static auto CreateCluster() { return fsdlm::Cluster::Create(); }
  static constexpr int kLowest = 2;
  static constexpr int kHighest = 7;
  static constexpr int kEx = fsdlm::kModeEx;
  // Persistent: the end of its process alone leaves it.
  static void HoldUntilLeft(Peer* peer) { peer->Hold(kEx, "r", fsdlm::kLkfPersistent); }
};

STACKGLUE_TEST_NODES(Fsdlm);

}  // namespace
}  // namespace stackglue::test

namespace stackglue::fsdlm::test {
namespace {

TEST_CASE("nodes: a purge of the own locks takes nothing from what is told of nodes") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  a.member->WatchNodes();
  Peer b(cluster, 2);
  a.Hold(kEx, "r");
  cluster->KillNode(2);
  CHECK(a.member->Purge(1, a.member->pid()) == 0);
  Peer again(cluster, 2);
  CHECK(a.Take() == "died 2, joined 2");
}

TEST_CASE("nodes: the sink of a member that dies is told") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  const int before = a.sink.wakes.load();
  cluster->KillNode(1);
  CHECK(a.sink.wakes.load() == before + 1);
  CHECK(a.Take() == "");
}

TEST_CASE("nodes: a process can ask to be its node's first, or not to be") {
  auto cluster = Cluster::Create();
  CountingSink sink;
  std::unique_ptr<Member> first;
  std::unique_ptr<Member> second;
  CHECK(cluster->Join("ls", 1, &sink, &first, Company::kNeeded) == -ENOENT);
  Peer other(cluster, 2);
  CHECK(cluster->Join("ls", 1, &sink, &first, Company::kNeeded) == -ENOENT);
  CHECK(cluster->Join("ls", 1, &sink, &first, Company::kNone) == 0);
  CHECK(cluster->Join("ls", 1, &sink, &second, Company::kNone) == -EEXIST);
  CHECK(second == nullptr);
  CHECK(cluster->Join("ls", 1, &sink, &second, Company::kNeeded) == 0);
  first.reset();
  second.reset();
  CHECK(cluster->Join("ls", 1, &sink, &first, Company::kNone) == 0);
}

TEST_CASE("nodes: the owner and the transaction of a lock are seen, of an orphan's too") {
  auto cluster = Cluster::Create();
  Peer keeper(cluster, 1);
  int pid = 0;
  const auto view = [&] { return View(cluster, "r")->granted.at(0); };
  {
    Peer a(cluster, 1);
    pid = a.member->pid();
    const uint64_t lock = a.Hold(kEx, "r", kLkfPersistent);
    CHECK(view().transaction == 0);
    CHECK(a.member->SetTransaction(a.id(lock), ~uint64_t{0}) == 0);
    CHECK(view().transaction == ~uint64_t{0});
    CHECK(keeper.member->SetTransaction(a.id(lock), 1) == -ENOENT);
    CHECK(a.member->SetTransaction(0, 1) == -ENOENT);
    CHECK(view().pid == pid);
  }
  CHECK(view().is_orphan);
  CHECK(view().pid == pid);
  CHECK(view().transaction == ~uint64_t{0});
  const uint64_t adopted = keeper.Lock(kEx, "r", kLkfOrphan);
  CHECK(view().pid == keeper.member->pid());
  CHECK(keeper.member->SetTransaction(keeper.id(adopted), 0) == 0);
  CHECK(view().transaction == 0);
}

}  // namespace
}  // namespace stackglue::fsdlm::test
