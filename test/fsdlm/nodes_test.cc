// What a program learns of the lockspace itself: its nodes, who comes and goes, who may come.
#include "peer.h"

namespace stackglue::fsdlm::test {
namespace {

std::vector<int> NodesOf(const Peer& peer) {
  std::vector<int> nodes(peer.member->Nodes(nullptr, 0));
  CHECK(peer.member->Nodes(nodes.data(), nodes.size()) == nodes.size());
  return nodes;
}

TEST_CASE("nodes: are told in ascending order, however many processes they have") {
  auto cluster = Cluster::Create();
  Peer c(cluster, 7);
  Peer a(cluster, 2);
  Peer b(cluster, 2);
  Peer elsewhere(cluster, 5, "other");
  CHECK(NodesOf(a) == std::vector<int>{2, 7});
  std::array<int, 1> first{};
  CHECK(a.member->Nodes(first.data(), first.size()) == 2);
  CHECK(first[0] == 2);
  cluster->KillNode(7);
  CHECK(NodesOf(b) == std::vector<int>{2});
  CHECK(NodesOf(c).empty());
}

TEST_CASE("nodes: who watches is told of each that joins and leaves, once") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  Peer deaf(cluster, 1);
  a.member->WatchNodes();
  {
    Peer b(cluster, 2);
    CHECK(a.Take() == "joined 2");
    Peer same_node(cluster, 2);
    Peer elsewhere(cluster, 3, "other");
    CHECK(a.Take() == "");
  }
  CHECK(a.Take() == "left 2");
  CHECK(deaf.Take() == "");
}

TEST_CASE("nodes: a node that leaves is told of before the grants that it leads to") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  a.member->WatchNodes();
  {
    Peer b(cluster, 2);
    b.Hold(kEx, "r", kLkfPersistent);
    a.Lock(kEx);
    a.Take();
  }
  CHECK(a.Take() == "left 2, granted 1");
}

TEST_CASE("nodes: a death is no leave, and who died comes back as one that joins") {
  auto cluster = Cluster::Create();
  Peer a(cluster, 1);
  a.member->WatchNodes();
  Peer b(cluster, 2);
  cluster->KillNode(2);
  CHECK(a.Take() == "joined 2, died 2");
  Peer again(cluster, 2);
  CHECK(a.Take() == "joined 2");
}

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
