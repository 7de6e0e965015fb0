// Who is in a domain, and who comes and goes: what both engines have in common.
#include "engines/nodes_suite.h"
#include "peer.h"

namespace stackglue::test {
namespace {

struct O2dlm {
  using Peer = o2dlm::test::Peer;
  static auto CreateCluster() { return o2dlm::Cluster::Create(); }
  static constexpr int kLowest = 0;
  static constexpr int kHighest = 254;
  static constexpr int kEx = o2dlm::kModeEx;
  static void HoldUntilLeft(Peer* peer) { peer->Hold(kEx); }
};

STACKGLUE_TEST_NODES(O2dlm);

}  // namespace
}  // namespace stackglue::test
