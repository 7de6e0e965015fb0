// What LockspaceWatch asks about nodes that have gone, and what is told of the answers, on a clock
// that is set: a member's life begins where the failure of the life before cannot be taken for its
// own, and its own cannot be missed.
#include "kernel/lockspace_watch.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include "set_clock.h"

namespace stackglue::order::test {

// The folder in which the watch of this program looks: random_test.cc.
const std::string& Root();

namespace {

// A lockspace of the nodes 2 and 3, of which this is 3, and what its watch makes a program hear.
class Watched {
 public:
  Watched() {
    std::filesystem::remove_all(Root());
    std::filesystem::create_directories(Sysfs());
    std::ofstream(Sysfs() + "/recover_status") << "40\n";
    std::ofstream(Sysfs() + "/control") << "1";
    for (const int node : {2, 3}) {
      std::filesystem::create_directories(Comms(node));
      std::filesystem::create_directories(Nodes(node));
      std::ofstream(Comms(node) + "/local") << (node == 3 ? "1\n" : "0\n");
    }
    REQUIRE(watch_.Open("ls") == 0);
    order_.Begin();
  }
  ~Watched() { std::filesystem::remove_all(Root()); }

  void Join(int node) {
    std::filesystem::create_directories(Comms(node));
    std::filesystem::create_directory(Nodes(node));
  }
  // Its comms directory stays, so that dlm_controld has to be asked.
  void Vanish(int node) {
    std::filesystem::remove(Nodes(node));
    failed_s_[node] = clock.now_ms / 1000;
  }
  void Leave(int node) { std::filesystem::remove(Nodes(node)); }
  // The recovery after a change.
  void Recover() {
    for (const char* word : {"0", "1"}) std::ofstream(Sysfs() + "/control") << word;
  }

  // Looks, and has dlm_controld asked: it knows when each node has failed last.
  std::string Look() {
    watch_.Look();
    for (const auto& [departure, node, since_s] : watch_.membership().TakeUnknown()) {
      const auto failed_s = failed_s_.find(node);
      order_.SeeCause(departure, failed_s != failed_s_.end() && failed_s->second >= since_s);
    }
    std::string words;
    for (Notice notice; order_.TakeNotice(&notice);) {
      const std::string node = std::to_string(notice.node);
      if (notice.kind == NoticeKind::kNodeJoined) words += "joined " + node + ";";
      if (notice.kind == NoticeKind::kNodeFailed) words += "failed " + node + ";";
      if (notice.kind == NoticeKind::kNodeLeft) words += "left " + node + ";";
    }
    return words;
  }

  SetClock clock;

 private:
  static std::string Sysfs() { return Root() + "/sys/kernel/dlm/ls"; }
  static std::string Comms(int node) {
    return Root() + "/sys/kernel/config/dlm/cluster/comms/" + std::to_string(node);
  }
  static std::string Nodes(int node) {
    return Root() + "/sys/kernel/config/dlm/cluster/spaces/ls/nodes/" + std::to_string(node);
  }

  EventOrder order_{&clock};
  kernel::LockspaceWatch watch_{&order_};
  std::map<int, int64_t> failed_s_;
};

TEST_CASE("order: a death that came before the join was seen is told as one") {
  Watched watched;
  watched.clock.now_ms = 2000;
  watched.Join(4);
  watched.clock.now_ms = 3000;
  watched.Vanish(4);
  watched.Recover();
  watched.clock.now_ms = 5000;
  CHECK(watched.Look() == "joined 4;failed 4;");
}

TEST_CASE("order: a leave is none of the death that came before the join") {
  Watched watched;
  watched.clock.now_ms = 3000;
  watched.Vanish(2);
  watched.Recover();
  watched.clock.now_ms = 4000;
  CHECK(watched.Look() == "failed 2;");
  watched.clock.now_ms = 5000;
  watched.Join(2);
  watched.clock.now_ms = 6000;
  watched.Leave(2);
  watched.Recover();
  watched.clock.now_ms = 8000;
  CHECK(watched.Look() == "joined 2;left 2;");
}

// dlm_controld remembers a node's last failure and nothing of its leaves, so asked late it cannot
// tell a leave from a death that a later one has overwritten. What it may have been is told.
TEST_CASE("order: a leave that is asked about after the node's next death is told as a death") {
  Watched watched;
  watched.clock.now_ms = 3000;
  watched.Leave(2);
  watched.Recover();
  watched.clock.now_ms = 5000;
  watched.Join(2);
  watched.Vanish(2);
  watched.Recover();
  CHECK(watched.Look() == "failed 2;joined 2;failed 2;");
}

TEST_CASE("order: a death is none the less one when the node's next life has ended by a leave") {
  Watched watched;
  watched.clock.now_ms = 3000;
  watched.Vanish(2);
  watched.Recover();
  watched.clock.now_ms = 5000;
  watched.Join(2);
  watched.Leave(2);
  watched.Recover();
  // That leave may have been a death, for all that can be known.
  CHECK(watched.Look() == "failed 2;joined 2;failed 2;");
}

TEST_CASE("order: of two deaths that are asked about late neither is taken for a leave") {
  Watched watched;
  watched.clock.now_ms = 3000;
  watched.Vanish(2);
  watched.Recover();
  watched.clock.now_ms = 5000;
  watched.Join(2);
  watched.Vanish(2);
  watched.Recover();
  CHECK(watched.Look() == "failed 2;joined 2;failed 2;");
}

}  // namespace
}  // namespace stackglue::order::test
