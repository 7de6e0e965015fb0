// Who is in a group of either engine, and who comes and goes. An engine's nodes_test.cc has it run
// with a type of these members:
//
//   Peer                      as its peer.h has it
//   CreateCluster()
//   kLowest, kHighest         two numbers of nodes
//   HoldUntilLeft(peer)       holds a lock that is given up when its node leaves
//   kEx
#ifndef STACKGLUE_TEST_ENGINES_NODES_SUITE_H_
#define STACKGLUE_TEST_ENGINES_NODES_SUITE_H_

#include <doctest/doctest.h>

#include <array>
#include <vector>

namespace stackglue::test {

template <class Peer>
std::vector<int> NodesOf(const Peer& peer) {
  std::vector<int> nodes(peer.member->Nodes(nullptr, 0));
  CHECK(peer.member->Nodes(nodes.data(), nodes.size()) == nodes.size());
  return nodes;
}

TEST_CASE_TEMPLATE_DEFINE("nodes: are told in ascending order, however many members they have",
                          Engine, nodes_ascending) {
  using Peer = typename Engine::Peer;
  const int low = Engine::kLowest;
  const int high = Engine::kHighest;
  auto cluster = Engine::CreateCluster();
  Peer c(cluster, high);
  Peer a(cluster, low);
  Peer b(cluster, low);
  Peer elsewhere(cluster, 5, "other");
  CHECK(NodesOf(a) == std::vector<int>{low, high});
  std::array<int, 1> first{-1};
  CHECK(a.member->Nodes(first.data(), first.size()) == 2);
  CHECK(first[0] == low);
  cluster->KillNode(high);
  CHECK(NodesOf(b) == std::vector<int>{low});
  CHECK(NodesOf(c).empty());
}

TEST_CASE_TEMPLATE_DEFINE("nodes: who watches is told of each that joins and leaves, once", Engine,
                          nodes_watched) {
  using Peer = typename Engine::Peer;
  auto cluster = Engine::CreateCluster();
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

TEST_CASE_TEMPLATE_DEFINE("nodes: a node that leaves is told of before the grants that it leads to",
                          Engine, nodes_leaving) {
  using Peer = typename Engine::Peer;
  auto cluster = Engine::CreateCluster();
  Peer a(cluster, 1);
  a.member->WatchNodes();
  {
    Peer b(cluster, 2);
    Engine::HoldUntilLeft(&b);
    a.Lock(Engine::kEx);
    a.Take();
  }
  CHECK(a.Take() == "left 2, granted 1");
}

TEST_CASE_TEMPLATE_DEFINE("nodes: a death is no leave, and who died comes back as one that joins",
                          Engine, nodes_dying) {
  using Peer = typename Engine::Peer;
  auto cluster = Engine::CreateCluster();
  Peer a(cluster, 1);
  a.member->WatchNodes();
  Peer b(cluster, 2);
  cluster->KillNode(2);
  CHECK(a.Take() == "joined 2, died 2");
  Peer again(cluster, 2);
  CHECK(a.Take() == "joined 2");
}

}  // namespace stackglue::test

// Runs all of the above for an engine. To be used once, outside of any namespace of the suite's.
#define STACKGLUE_TEST_NODES(Engine)                  \
  TEST_CASE_TEMPLATE_INVOKE(nodes_ascending, Engine); \
  TEST_CASE_TEMPLATE_INVOKE(nodes_watched, Engine);   \
  TEST_CASE_TEMPLATE_INVOKE(nodes_leaving, Engine);   \
  TEST_CASE_TEMPLATE_INVOKE(nodes_dying, Engine)

#endif  // STACKGLUE_TEST_ENGINES_NODES_SUITE_H_
