// Who is in a domain, and who comes and goes.
#include <array>
#include <vector>

#include "peer.h"

namespace stackglue::o2dlm::test {
namespace {

std::vector<int> NodesOf(const Peer& peer) {
  std::vector<int> nodes(peer.member->Nodes(nullptr, 0));
  CHECK(peer.member->Nodes(nodes.data(), nodes.size()) == nodes.size());
  return nodes;
}

TEST_CASE("nodes: are told in ascending order, however many members they have") {
  auto cluster = Cluster::Create();
  Peer c(cluster, 254);
  Peer a(cluster, 0);
  Peer b(cluster, 0);
  Peer elsewhere(cluster, 5, "other");
  CHECK(NodesOf(a) == std::vector<int>{0, 254});
  std::array<int, 1> first{-1};
  CHECK(a.member->Nodes(first.data(), first.size()) == 2);
  CHECK(first[0] == 0);
  cluster->KillNode(254);
  CHECK(NodesOf(b) == std::vector<int>{0});
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
    b.Hold(kEx);
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

}  // namespace
}  // namespace stackglue::o2dlm::test
