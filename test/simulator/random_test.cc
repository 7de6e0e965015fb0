// Random services on random clusters: nodes that lock, convert, cancel and write value blocks while
// others are killed, cut off, paused and booted again. What is right is judged by what the nodes
// themselves have been told, after every event.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "simulator/simulation.h"
#include "support.h"

namespace stackglue::simulator::test {
namespace {

constexpr int kNodes = 4;
constexpr int kResources = 3;
constexpr uint64_t kWorkUs = 12'000'000;
constexpr uint64_t kEndUs = 40'000'000;

bool GoTogether(int a, int b) { return a <= kNl || b <= kNl || (a == kPr && b == kPr); }

// Deaths are recovered from in a while, and who is cut off knows in the end that it has no quorum.
std::unique_ptr<Simulation> MakeTroubled(Profile profile, uint64_t seed) {
  Simulation::Options options;
  options.profile = profile;
  options.seed = seed;
  options.recovery_max_us = 300'000;
  options.quorum_us = 900'000;
  return Simulation::Create(options);
}

// One service: on each node an NL lock for each resource, which keeps its value block, and others
// that come and go.
class Services {
 public:
  Services(Profile profile, uint64_t seed)
      : profile_(profile), simulation_(MakeTroubled(profile, seed)) {
    simulation_->set_handler([this](const Event& event) { Hear(event); });
    simulation_->set_fence_handler([this](int node, const std::vector<Event>& ends) {
      HearEnds(node, ends);
      Forget(node);
    });
    for (int resource = 0; resource < kResources; ++resource) written_[resource] = {};
    for (int node = 1; node <= kNodes; ++node) Begin(node);
    for (int i = 0; i < 10; ++i) After(Choose(kWorkUs), [this] { Fail(); });
  }

  // Empty, or what is wrong.
  std::string Run() {
    while (wrong_.empty() && simulation_->Step()) {
      if (simulation_->now_us() > kEndUs) return "it has no end";
    }
    if (!wrong_.empty()) return wrong_;
    for (const auto& [number, held] : locks_) {
      if (held.is_asked) return "lock " + std::to_string(number) + " is never answered";
    }
    if (!simulation_->Waiting().empty()) return simulation_->Waiting();
    return "";
  }
  std::string history() const { return simulation_->history().Text(); }
  int grants() const { return grants_; }
  int blocks() const { return blocks_; }
  int ends() const { return ends_; }

 private:
  struct Held {
    int node = 0;
    ConnectionId connection = 0;
    int resource = 0;
    int mode = -1;      // what it has
    int safe_mode = 0;  // what others may count on: less, as soon as less was asked for
    int wanted = -1;
    bool is_asked = false;
    bool is_unlocking = false;
    bool is_keeper = false;
  };
  struct Block {
    int value = 0;
    bool is_certain = true;  // nothing has failed since it was written
  };

  uint64_t Choose(uint64_t bound) { return simulation_->Choose(bound); }
  void After(uint64_t us, std::function<void()> task) { simulation_->After(us, std::move(task)); }
  uint32_t WithBlock() const {
    return profile_ == Profile::kO2dlm ? o2dlm_valblk : static_cast<uint32_t>(fsdlm::kLkfValBlk);
  }
  uint32_t Cancel() const {
    return profile_ == Profile::kO2dlm ? o2dlm_cancel : static_cast<uint32_t>(fsdlm::kLkfCancel);
  }
  void Wrong(const std::string& what) {
    if (wrong_.empty()) wrong_ = what;
  }

  void Begin(int node) {
    connections_[node] = Boot(simulation_.get(), node);
    for (int resource = 0; resource < kResources; ++resource) Ask(node, resource, kNl, true);
    Work(node, connections_[node]);
  }

  void Work(int node, ConnectionId life) {
    if (simulation_->now_us() > kWorkUs) return;
    After(Choose(60'000), [this, node, life] {
      if (!simulation_->running(node) || connections_[node] != life) return;
      const int mode = Choose(3) == 0 ? kPr : kEx;
      Ask(node, static_cast<int>(Choose(kResources)), mode, false);
      Work(node, life);
    });
  }

  void Ask(int node, int resource, int mode, bool keeper) {
    Request request = Lock(connections_[node], mode, "r" + std::to_string(resource));
    request.flags = WithBlock();
    if (simulation_->Submit(&request) != 0) return Wrong("a lock was refused");
    Held& held = locks_[request.lock];
    held.node = node;
    held.connection = connections_[node];
    held.resource = resource;
    held.wanted = mode;
    held.is_asked = true;
    held.is_keeper = keeper;
    // Some lose patience.
    if (!keeper && Choose(4) == 0) {
      After(Choose(400'000), [this, number = request.lock] {
        const auto at = locks_.find(number);
        if (at == locks_.end() || !at->second.is_asked || at->second.mode >= 0) return;
        Request cancel = Unlock(at->second.connection, number, Cancel());
        (void)simulation_->Submit(&cancel);
      });
    }
  }

  void Hear(const Event& event) {
    if (event.kind == Event::Kind::kNodeDown) {
      Forget(static_cast<int>(event.value));
      return;
    }
    if (event.kind == Event::Kind::kNotice) return HearNotice(event);
    const auto at = locks_.find(event.lock);
    if (at == locks_.end()) return Wrong("an event of no lock: " + std::to_string(event.lock));
    Held& held = at->second;
    if (event.kind == Event::Kind::kBlocking) return;
    if (event.final) {
      locks_.erase(at);
      return;
    }
    // A cancel that came too late.
    if (event.kind == Event::Kind::kUnlock) return;
    if (!held.is_asked) return Wrong("lock " + std::to_string(event.lock) + " ends twice");
    held.is_asked = false;
    if (event.value != 0) return Wrong("lock " + std::to_string(event.lock) + " has failed");
    ++grants_;
    const bool is_up = held.wanted > held.mode;
    held.mode = held.safe_mode = held.wanted;
    for (const auto& [number, other] : locks_) {
      if (number == event.lock || other.resource != held.resource || other.mode < 0) continue;
      if (!GoTogether(held.mode, other.safe_mode)) {
        Wrong("locks " + std::to_string(event.lock) + " and " + std::to_string(number) +
              " exclude each other");
      }
    }
    if (is_up && held.mode >= kPr) Read(event, held);
    if (!held.is_keeper) {
      After(Choose(8'000), [this, number = event.lock] { Go(number); });
    }
  }

  // A group stops and resumes in turn; a node has a quorum and has none.
  void HearNotice(const Event& event) {
    const auto kind = static_cast<NoticeKind>(event.lock);
    const auto turn = [&](std::set<ConnectionId>* in, bool begins) {
      const bool is_news =
          begins ? in->insert(event.connection).second : in->erase(event.connection) > 0;
      if (!is_news) Wrong("a notice twice: " + std::to_string(event.lock));
    };
    if (kind == NoticeKind::kStopped) turn(&stopped_, true);
    if (kind == NoticeKind::kResumed) turn(&stopped_, false);
    if (kind == NoticeKind::kQuorumLost) turn(&without_quorum_, true);
    if (kind == NoticeKind::kQuorumRegained) turn(&without_quorum_, false);
  }

  // A fenced node hears of each lock that it waits for, and of no other.
  void HearEnds(int node, const std::vector<Event>& ends) {
    std::map<uint64_t, int> completions;
    for (const Event& event : ends) {
      const auto at = locks_.find(event.lock);
      if (at == locks_.end() || at->second.node != node) return Wrong("an end of no lock");
      if (event.kind == Event::Kind::kCompletion && event.value == 0) {
        return Wrong("a grant with the fence");
      }
      // In o2dlm a cancel has an event of its own.
      if (event.kind == Event::Kind::kCompletion || at->second.is_unlocking) {
        ++completions[event.lock];
      }
    }
    for (const auto& [number, held] : locks_) {
      if (held.node != node) continue;
      const int wanted = held.is_asked || held.is_unlocking ? 1 : 0;
      const auto at = completions.find(number);
      if ((at == completions.end() ? 0 : at->second) != wanted) {
        Wrong("lock " + std::to_string(number) + " of a fenced node does not end once");
      }
      ends_ += wanted;
    }
  }

  void Read(const Event& event, const Held& held) {
    Block& block = written_[held.resource];
    const bool is_valid = (event.flags & fsdlm::kSbfValNotValid) == 0;
    const int value =
        event.has_block && event.block.size() > 1 ? event.block[0] + 256 * event.block[1] : 0;
    ++blocks_;
    if (block.is_certain && (!is_valid || value != block.value)) {
      Wrong("lock " + std::to_string(event.lock) + " reads " + std::to_string(value) + ", not " +
            std::to_string(block.value));
    }
    if (value > block.value) Wrong("a block of the future");
  }

  // Writes and gives up, or goes down first.
  void Go(uint64_t number) {
    const auto at = locks_.find(number);
    if (at == locks_.end() || !simulation_->running(at->second.node)) return;
    Held& held = at->second;
    if (held.is_asked || held.is_unlocking) return;
    Request request = Unlock(held.connection, number);
    const bool writes = held.mode == kEx;
    if (writes && Choose(3) == 0) {
      request.kind = Request::Kind::kConvert;
      request.mode = Choose(2) == 0 ? kNl : kPr;
      held.wanted = held.safe_mode = request.mode;
      held.is_asked = true;
    } else {
      held.is_unlocking = true;
      held.safe_mode = kNl;
    }
    if (writes) {
      Block& block = written_[held.resource];
      ++block.value;
      block.is_certain = failing_.empty();
      request.flags = WithBlock();
      request.block = {static_cast<uint8_t>(block.value), static_cast<uint8_t>(block.value >> 8)};
    }
    if (simulation_->Submit(&request) != 0) Wrong("a request was refused");
  }

  // From here on whatever is written may be lost with somebody.
  void Fail() {
    const int node = 1 + static_cast<int>(Choose(kNodes));
    if (simulation_->state(node) != Simulation::NodeState::kRunning) return;
    const uint64_t length = Choose(3'500'000);
    switch (Choose(6)) {
      case 0:
        StartFailing(node);
        simulation_->Kill(node);
        ForgetWhenDead(node);
        break;
      case 1:
        StartFailing(node);
        simulation_->Partition(node);
        ForgetWhenDead(node);
        After(length, [this, node] {
          if (simulation_->state(node) != Simulation::NodeState::kCutOff) return;
          simulation_->Heal(node);
          StopFailing(node);
        });
        break;
      case 2:
        simulation_->StopGroup("");
        After(length, [this] { simulation_->ResumeGroup(""); });
        break;
      case 3:
        simulation_->LoseQuorum(node);
        After(length, [this, node] { simulation_->RegainQuorum(node); });
        break;
      case 4: {
        const int other = 1 + node % kNodes;
        // Either may be fenced of it.
        for (const int one : {node, other}) StartFailing(one);
        simulation_->PartitionPair(node, other, Choose(2) == 0);
        After(length, [this, node, other] {
          simulation_->HealPair(node, other);
          for (const int one : {node, other}) {
            if (simulation_->state(one) == Simulation::NodeState::kRunning) StopFailing(one);
          }
        });
        After(length + 3'500'000, [this, other] { Revive(other); });
        break;
      }
      default:
        simulation_->Pause(node);
        After(length, [this, node] { simulation_->Resume(node); });
    }
    After(length + 3'500'000, [this, node] { Revive(node); });
  }

  void Revive(int node) {
    if (simulation_->running(node)) return;
    Forget(node);
    Begin(node);
    StopFailing(node);
  }

  void StartFailing(int node) {
    ++failing_[node];
    for (auto& [resource, block] : written_) block.is_certain = false;
  }
  void StopFailing(int node) { failing_.erase(node); }

  // When the node has been silent for so long that it is dead, whether or not somebody is left to
  // hear of it.
  void ForgetWhenDead(int node) {
    const int failure = ++failures_[node];
    After(Simulation::Options{}.detect_us, [this, node, failure] {
      if (failures_[node] == failure) Forget(node);
    });
  }

  // The node is dead for the others.
  void Forget(int node) {
    if (simulation_->running(node)) return;
    std::erase_if(locks_, [node](const auto& item) { return item.second.node == node; });
  }

  static constexpr uint32_t o2dlm_valblk = 0x100;
  static constexpr uint32_t o2dlm_cancel = 0x2000;

  const Profile profile_;
  std::unique_ptr<Simulation> simulation_;
  std::map<int, ConnectionId> connections_;
  std::map<uint64_t, Held> locks_;
  std::map<int, Block> written_;
  std::map<int, int> failing_;
  std::map<int, int> failures_;  // how often each node has failed
  std::set<ConnectionId> stopped_;
  std::set<ConnectionId> without_quorum_;
  std::string wrong_;
  int grants_ = 0;
  int blocks_ = 0;
  int ends_ = 0;
};

TEST_CASE("services: random ones exclude each other, are all answered and read what was written") {
  const char* given = std::getenv("STACKGLUE_SEED");
  const uint64_t first =
      given == nullptr ? std::random_device()() : std::strtoull(given, nullptr, 0);
  INFO("STACKGLUE_SEED=", first);
  int grants = 0;
  int blocks = 0;
  int ends = 0;
  for (uint64_t seed = first; seed < first + 6; ++seed) {
    for (const Profile profile : {Profile::kO2dlm, Profile::kFsdlm}) {
      Services services(profile, seed);
      const std::string wrong = services.Run();
      grants += services.grants();
      blocks += services.blocks();
      ends += services.ends();
      if (wrong.empty()) continue;
      const std::string history = services.history();
      const size_t tail = history.size() > 4'000 ? history.size() - 4'000 : 0;
      FAIL("STACKGLUE_SEED=" << seed << (profile == Profile::kO2dlm ? " o2dlm: " : " fsdlm: ")
                             << wrong << "\n"
                             << history.substr(tail));
    }
  }
  CHECK(grants > 2'500);
  CHECK(blocks > 500);
  CHECK(ends > 0);
}

}  // namespace
}  // namespace stackglue::simulator::test
