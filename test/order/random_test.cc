// Random events through LockspaceWatch, EventOrder and Delivery, against what the world knows of
// them: lists of facts by number, and nothing of the product's. Prints its seed; STACKGLUE_SEED
// repeats a run, STACKGLUE_STEPS sets its length in events.
//
// A thing may happen at any step: between two turns, while a handler is busy, after results were
// read and before the members are looked at.
#include <doctest/doctest.h>

#include <array>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>

#include "host_root.h"
#include "kernel/lockspace_watch.h"
#include "order/delivery.h"
#include "set_clock.h"
#include "world.h"

namespace stackglue::order::test {
namespace {

uint64_t SeedFromEnvironment() {
  if (const char* text = std::getenv("STACKGLUE_SEED")) return std::strtoull(text, nullptr, 0);
  return std::random_device()();
}

int64_t StepsFromEnvironment(int64_t otherwise) {
  const char* text = std::getenv("STACKGLUE_STEPS");
  return text == nullptr ? otherwise : std::atoll(text);
}

// A program with one connection, which checks what it is told.
class Life final : public EventSource, public EventListener {
 public:
  explicit Life(World* world) : world_(*world) {
    world_.Begin();
    REQUIRE(watch_.Open("ls") == 0);
  }

  void Step() {
    const uint64_t chance = world_.Below(12);
    if (chance < 8) {
      world_.Happen();
    } else if (chance < 9) {
      HearKeeper();
      delivery_.Turn();
    } else if (chance < 10) {
      OnTime();
    } else {
      if (!has_begun_ && world_.OneIn(8)) Begin();
      delivery_.Turn();
    }
    if (world_.OneIn(25)) Ask();
    if (world_.OneIn(25)) TellQuorum();
    if (world_.OneIn(60)) PassTime();
  }

  // To the end: nothing may be left untold.
  void End() {
    if (world_.OneIn(3)) world_.BeginOwnEnd();
    while (world_.is_over && !world_.is_gone) Step();
    if (!world_.is_gone && world_.OneIn(3)) world_.Remove();
    Begin();
    for (int i = 0; i < 3; ++i) {
      calm_ = true;
      world_.Calm();
      HearKeeper();
      OnTime();
      PassTime();
      while (delivery_.Turn()) {
      }
    }
    if (world_.is_gone) {
      Expect(is_lost_, "the loss is told");
      Expect(asked_.empty(), "every request has ended");
      return;
    }
    Expect(world_.untold.empty(), "all changes are told");
    Expect(world_.device.empty(), "all results are told");
    Expect(!is_stopped_, "that it runs is told");
  }

  // ---- EventSource ----

  size_t Collect(EventRecord* events) override {
    size_t count = 0;
    for (; count < kBatchMax && !world_.device.empty(); ++count) {
      events[count] = {EventKind::kCompletion, static_cast<int32_t>(world_.device.front()), 0, 0};
      world_.device.pop_front();
    }
    if (!calm_ && world_.OneIn(3)) world_.Happen();
    Look();
    return count;
  }
  void Look() override {
    watch_.Look();
    Looked();
  }
  size_t CollectLost(EventRecord* events) override {
    size_t count = 0;
    for (; count < kBatchMax && !asked_.empty(); ++count) {
      events[count] = {EventKind::kUnlock, static_cast<int32_t>(asked_.front()), 0, 1};
      asked_.pop_front();
    }
    return count;
  }
  void Release() override {}

  // ---- EventListener ----

  void TellNotice(const Notice& notice) override {
    Expect(!is_lost_, "nothing is told after the loss");
    Expect(has_begun_ || notice.kind == NoticeKind::kReleased,
           "nothing is told before the beginning");
    switch (notice.kind) {
      case NoticeKind::kNodeFailed:
        Change(notice.node, 'F');
        break;
      case NoticeKind::kNodeLeft:
        Change(notice.node, 'L');
        break;
      case NoticeKind::kNodeJoined:
        Change(notice.node, 'J');
        break;
      case NoticeKind::kStopped:
        Expect(!is_stopped_, "no two stops");
        is_stopped_ = true;
        break;
      case NoticeKind::kResumed:
        Expect(is_stopped_, "no two starts");
        is_stopped_ = false;
        has_resumed_ = true;
        break;
      case NoticeKind::kReleased:
        Expect(world_.is_gone, "what is lost is gone");
        Expect(asked_.empty(), "the loss is told when every request has ended");
        is_lost_ = true;
        break;
      default:
        break;
    }
    BeBusy();
  }

  void TellResults(size_t count) override {
    CheckResumed();
    for (size_t size = count; size > 0; size = delivery_.More()) {
      for (size_t i = 0; i < size; ++i) {
        Expect(!is_lost_, "no result is told after the loss");
        if (batch_[i].kind == EventKind::kUnlock) continue;
        // Before, these are the results of the connecting itself.
        if (has_begun_) ExpectTold(batch_[i].index, "a grant before a change");
      }
      BeBusy();
    }
  }

 private:
  void Expect(bool is_so, const char* what) {
    if (!is_so) FAIL(std::string(what) << ", at " << world_.now);
  }

  // All changes before that moment, but for those that this node's own end has overtaken.
  void ExpectTold(int64_t moment, const char* what) {
    Expect(world_.untold.empty() || *world_.untold.begin() > moment, what);
  }

  void Change(int node, char kind) {
    auto& all = world_.changes[node];
    while (!all.empty() && all.front().may_be_dropped && all.front().kind != kind) all.pop_front();
    const char* const what = kind == 'F' ? "the death of a living node" : "a change that was none";
    Expect(!all.empty(), what);
    const World::Change change = all.front();
    all.pop_front();
    Expect(change.kind == kind, kind == 'J' ? "a join before a death" : what);
    Expect(change.recovered_at != 0 || change.may_be_dropped, "a change before its recovery");
    const auto untold = world_.untold.find(change.at);
    if (untold != world_.untold.end()) world_.untold.erase(untold);
    // What came of a node before it died is told with its death.
    if (kind == 'F') {
      told_first_.erase(node);
      Expect(told_first_.empty(), "another's join before a death");
    } else {
      told_first_.insert(node);
    }
  }

  // After each look: what is told next may begin with a death again.
  void Looked() {
    CheckResumed();
    told_first_.clear();
    for (const auto& [departure, node, since_s] : watch_.membership().TakeUnknown()) {
      world_.Asked({departure, node});
    }
    run_ = order_.is_stopped() ? 0 : world_.run_began_at;
  }

  // What led to the run that the program has been told of is told by now.
  void CheckResumed() {
    if (has_resumed_ && !is_stopped_) ExpectTold(run_, "resumed before a change");
    has_resumed_ = false;
  }

  void HearKeeper() {
    while (!world_.answers.empty()) {
      const World::Answer answer = world_.answers.front();
      world_.answers.pop_front();
      order_.SeeCause(answer.departure, answer.has_failed);
    }
    LookAtState();
  }

  void LookAtState() {
    watch_.LookAtState();
    Looked();
  }

  void OnTime() {
    if (!order_.OverdueCauses().empty()) HearKeeper();
    watch_.LookAtState();
    watch_.GiveUpCauses();
    Looked();
    delivery_.Turn();
  }

  // Longer than any cause is waited for; what is on its way arrives before.
  void PassTime() {
    Look();
    world_.Settle();
    HearKeeper();
    clock_.now_ms += EventOrder::kCauseMs;
    OnTime();
  }

  void BeBusy() {
    if (calm_ || !world_.OneIn(3)) return;
    ++world_.counts[World::kBusy];
    for (uint64_t i = world_.Below(6); i > 0; --i) world_.Happen();
    if (world_.OneIn(4)) Ask();
  }

  void Ask() {
    if (!is_lost_ && !order_.is_lost()) asked_.push_back(++last_asked_);
  }

  void TellQuorum() {
    ++world_.counts[World::kKeeper];
    is_quorate_ = !is_quorate_;
    order_.See(is_quorate_ ? NoticeKind::kQuorumRegained : NoticeKind::kQuorumLost);
  }

  void Begin() {
    has_begun_ = true;
    order_.Begin();
  }

  World& world_;
  SetClock clock_;
  EventOrder order_{&clock_};
  kernel::LockspaceWatch watch_{&order_};
  std::array<EventRecord, kBatchMax> batch_;
  Delivery delivery_{&order_, this, this, batch_.data(), {kBatchMax, 16, false}};
  bool has_begun_ = false;
  bool is_stopped_ = false;
  bool is_lost_ = false;
  bool is_quorate_ = true;
  bool calm_ = false;
  std::set<int> told_first_;   // who has joined or left, since the last look
  bool has_resumed_ = false;   // since the last look
  int64_t run_ = 0;            // what was seen to run then began at that moment
  std::deque<int64_t> asked_;  // requests that are under way for as long as there is a lockspace
  int64_t last_asked_ = 0;
};

TEST_CASE("order: random events are told in the order of the model") {
  const uint64_t seed = SeedFromEnvironment();
  const int64_t steps = StepsFromEnvironment(50'000);
  std::cout << "seed " << seed << "\n";
  World world(Root(), seed);
  const auto done = [&world] {
    int64_t sum = 0;
    for (const int64_t count : world.counts) sum += count;
    return sum;
  };
  while (done() < steps) {
    Life life(&world);
    for (int64_t end = done() + 200; done() < end && !world.is_gone;) life.Step();
    life.End();
  }
  std::filesystem::remove_all(Root());
  static const char* const kNames[] = {"members", "state", "results", "busy", "keeper"};
  for (int kind = 0; kind < World::kKinds; ++kind) {
    std::cout << kNames[kind] << " " << world.counts[kind] << "\n";
    CHECK(world.counts[kind] * 20 >= done());
  }
}

}  // namespace
}  // namespace stackglue::order::test
