// A node of a cluster as its own files show it, for random tests of the order of events: configfs
// and sysfs in a folder, a device that has results, and a keeper that answers when it likes. What
// happens here is written down as it is meant, with a number for each fact.
#ifndef STACKGLUE_TEST_ORDER_WORLD_H_
#define STACKGLUE_TEST_ORDER_WORLD_H_

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <deque>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace stackglue::order::test {

class World {
 public:
  enum Kind { kMembers, kState, kResults, kBusy, kKeeper, kKinds };
  static constexpr int kThisNode = 3;
  static constexpr int kNodes = 6;

  // What a program is to be told of a node.
  struct Change {
    char kind;  // J(oined), F(ailed), L(eft)
    int64_t at;
    int64_t recovered_at = 0;
    bool may_be_dropped = false;  // by this node's own end
  };
  struct Ask {
    uint64_t departure;
    int node;
  };
  struct Answer {
    uint64_t departure;
    bool has_failed;
  };

  World(const std::string& root, uint64_t seed) : root_(root), random_(seed) {}

  uint64_t Below(uint64_t bound) { return random_() % bound; }
  bool OneIn(uint64_t n) { return Below(n) == 0; }

  // A new lockspace, with some of the nodes.
  void Begin() {
    namespace fs = std::filesystem;
    fs::remove_all(root_ + "/sys");
    fs::create_directories(Sysfs());
    members.clear();
    for (int node = 1; node <= kNodes; ++node) {
      if (node != kThisNode && node > 4) continue;
      fs::create_directories(Comms(node));
      fs::create_directories(Nodes(node));
      std::ofstream(Comms(node) + "/local") << (node == kThisNode ? "1\n" : "0\n");
      if (node != kThisNode) members.insert(node);
    }
    std::ofstream(Sysfs() + "/control") << "1";
    state_ = kRunning;
    SetStatus(0x40);
    changes.clear();
    causes_.clear();
    late_comms_.clear();
    asked_.clear();
    answers.clear();
    device.clear();
    untold.clear();
    is_over = is_gone = false;
    run_began_at = now = 1;
  }

  // Something happens.
  void Happen() {
    if (is_gone) return;
    if (is_over) {
      if (OneIn(3)) Clear();
      return;
    }
    switch (Below(10)) {
      case 0:
      case 1:
        MoveState();
        break;
      case 2:
      case 3:
      case 4:
        if (state_ == kStopped)
          ChangeMembers();
        else if (state_ != kRunning || OneIn(3))
          MoveState();
        else
          Make();
        break;
      case 5:
      case 6:
        if (!late_comms_.empty() && OneIn(2))
          RemoveLateComms();
        else
          SendAnswer();
        break;
      default:
        Make();
    }
  }

  // All that is on its way arrives, so that time may pass.
  void Settle() {
    while (!late_comms_.empty()) RemoveLateComms();
    while (SendAnswer()) {
    }
  }
  void Calm() {
    Settle();
    while (!is_gone && !is_over && state_ != kRunning) MoveState();
  }

  // dlm_controld ends on this node: comms first, and then the lockspace's nodes, one by one.
  void BeginOwnEnd() {
    if (is_over || is_gone) return;
    is_over = true;
    ++now;
    late_comms_.clear();
    for (int node = 1; node <= kNodes; ++node) std::filesystem::remove_all(Comms(node));
    Drop();
  }
  // The lockspace is taken away.
  void Remove() {
    ++now;
    rmdir(Nodes(kThisNode).c_str());
    is_gone = true;
    Drop();
  }

  void Asked(const Ask& ask) { asked_.push_back(ask); }

  // By node, in the order of its lives; the first that have been told are gone.
  std::map<int, std::deque<Change>> changes;
  std::multiset<int64_t> untold;  // those of `changes` that must be told
  std::set<int> members;
  std::deque<Answer> answers;  // that have come
  std::deque<int64_t> device;  // when results were made
  int64_t now = 1;
  int64_t run_began_at = 1;
  bool is_over = false;
  bool is_gone = false;
  int64_t counts[kKinds] = {};

  bool is_running() const { return state_ == kRunning; }

 private:
  enum State { kRunning, kStopped, kStarted, kRecovering };

  std::string Sysfs() const { return root_ + "/sys/kernel/dlm/ls"; }
  std::string Comms(int node) const {
    return root_ + "/sys/kernel/config/dlm/cluster/comms/" + std::to_string(node);
  }
  std::string Nodes(int node) const {
    return root_ + "/sys/kernel/config/dlm/cluster/spaces/ls/nodes/" + std::to_string(node);
  }
  static void Write(const std::string& path, const std::string& text, int flags) {
    const int fd = open(path.c_str(), O_WRONLY | O_CREAT | flags, 0600);
    [[maybe_unused]] const ssize_t size = write(fd, text.data(), text.size());
    close(fd);
  }
  void SetStatus(int status) {
    Write(Sysfs() + "/recover_status", status == 0 ? "00\n" : status == 1 ? "01\n" : "40\n", 0);
  }

  void MoveState() {
    ++now;
    ++counts[kState];
    // A recovery may be stopped before it has come to its end.
    if (state_ == kRunning || (state_ != kStopped && OneIn(4))) {
      SetStatus(0);
      Write(Sysfs() + "/control", "0", 0);
      state_ = kStopped;
      return;
    }
    if (state_ == kStopped) {
      start_at_ = now;
      Write(Sysfs() + "/control", "1", 0);
      state_ = kStarted;
      return;
    }
    if (state_ == kStarted) {
      for (auto& [node, all] : changes) {
        for (Change& change : all) {
          if (change.recovered_at == 0) change.recovered_at = now;
        }
      }
    }
    SetStatus(state_ == kStarted ? 1 : 0x40);
    if (state_ == kRecovering) run_began_at = start_at_;
    state_ = state_ == kStarted ? kRecovering : kRunning;
  }

  void Add(int node, char kind) {
    changes[node].push_back({kind, ++now});
    untold.insert(now);
    ++counts[kMembers];
  }

  void ChangeMembers() {
    const int node = 1 + static_cast<int>(Below(kNodes));
    if (node == kThisNode) return;
    if (members.count(node) == 0) {
      if (std::erase(late_comms_, node) > 0) std::filesystem::remove_all(Comms(node));
      mkdir(Comms(node).c_str(), 0700);
      mkdir(Nodes(node).c_str(), 0700);
      members.insert(node);
      Add(node, 'J');
      return;
    }
    members.erase(node);
    switch (Below(5)) {
      case 0:
      case 1:
        std::filesystem::remove_all(Comms(node));
        Add(node, 'F');
        break;
      case 2: {
        // Its comms directory stays, or goes later, and then nobody answers.
        const bool is_late = OneIn(2);
        causes_[node].push_back(is_late ? '?' : 'F');
        if (is_late) late_comms_.push_back(node);
        Add(node, 'F');
        break;
      }
      case 3:
        causes_[node].push_back('L');
        Add(node, 'L');
        break;
      case 4:  // nobody ever answers
        causes_[node].push_back('?');
        Add(node, 'L');
        break;
    }
    rmdir(Nodes(node).c_str());
  }

  void RemoveLateComms() {
    ++counts[kKeeper];
    std::filesystem::remove_all(Comms(late_comms_.front()));
    late_comms_.pop_front();
  }

  // The keeper answers in the order in which it is asked.
  bool SendAnswer() {
    if (asked_.empty()) return false;
    ++counts[kKeeper];
    const Ask ask = asked_.front();
    asked_.pop_front();
    const char cause = causes_[ask.node].front();
    causes_[ask.node].pop_front();
    if (cause != '?') answers.push_back({ask.departure, cause == 'F'});
    return true;
  }

  // A result, which is that of a lockspace that runs.
  void Make() {
    if (state_ != kRunning || device.size() > 300) return;
    ++counts[kResults];
    device.push_back(++now);
  }

  void Clear() {
    if (members.empty() || OneIn(6)) {
      Remove();
      return;
    }
    rmdir(Nodes(*members.begin()).c_str());
    members.erase(members.begin());
  }

  // What has not been told may be, or not.
  void Drop() {
    for (auto& [node, all] : changes) {
      for (Change& change : all) change.may_be_dropped = true;
    }
    untold.clear();
  }

  const std::string root_;
  std::mt19937_64 random_;
  State state_ = kRunning;
  int64_t start_at_ = 1;
  std::map<int, std::deque<char>> causes_;  // of departures that are asked about
  std::deque<int> late_comms_;
  std::deque<Ask> asked_;
};

}  // namespace stackglue::order::test

#endif  // STACKGLUE_TEST_ORDER_WORLD_H_
