// What EventOrder tells first, by numbered invariants (native/README.md), on a clock that is set.
#include "order/event_order.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "set_clock.h"

namespace stackglue::order::test {
namespace {

// An order that has begun, and what it tells in words.
struct Told {
  SetClock clock;
  EventOrder order{&clock};

  Told() { order.Begin(); }

  std::vector<std::string> Next() {
    static const char* const kNames[] = {"",        "failed",  "left",   "joined",
                                         "stopped", "resumed", "lost",   "quorum lost",
                                         "quorum",  "daemon",  "keeper", "killed"};
    std::vector<std::string> words;
    Notice notice;
    while (order.TakeNotice(&notice)) {
      std::string word = kNames[static_cast<int>(notice.kind)];
      if (notice.node != 0) word += " " + std::to_string(notice.node);
      words.push_back(word);
    }
    return words;
  }
};

using Words = std::vector<std::string>;

TEST_CASE("order 1: one node's lives are told in their order") {
  Told told;
  told.order.SeeControl();
  told.order.SeeJoin(2);
  told.order.SeeDeparture(2, Cause::kFailed);
  told.order.SeeJoin(2);
  told.order.SeeControl();
  told.order.SeeState(RunState::kRunning);
  CHECK(told.Next() == Words{"stopped", "joined 2", "failed 2", "joined 2", "resumed"});
}

TEST_CASE("order 2: deaths, then leaves and joins, then the state") {
  Told told;
  told.order.SeeState(RunState::kStopped);
  CHECK(told.Next() == Words{"stopped"});
  told.order.SeeJoin(4);
  told.order.SeeDeparture(3, Cause::kLeft);
  told.order.SeeDeparture(2, Cause::kFailed);
  told.order.SeeControl();
  told.order.See(NoticeKind::kQuorumLost);
  told.order.SeeState(RunState::kRunning);
  CHECK(told.Next() == Words{"failed 2", "joined 4", "left 3", "quorum lost", "resumed"});
}

TEST_CASE("order 3: nothing passes a departure whose cause is unknown") {
  Told told;
  told.order.SeeControl();
  const uint64_t departure = told.order.SeeDeparture(2, Cause::kUnknown);
  told.order.SeeDeparture(3, Cause::kFailed);
  told.order.SeeControl();
  told.order.SeeState(RunState::kRunning);
  told.order.See(NoticeKind::kQuorumLost);
  CHECK(told.Next() == Words{"stopped"});  // it came before
  CHECK(told.order.HoldsResults());
  told.order.SeeCause(departure + 1, true);  // not that one's
  CHECK(told.Next().empty());
  told.order.SeeCause(departure, true);
  CHECK(told.Next() == Words{"failed 2", "failed 3", "resumed", "quorum lost"});
  CHECK_FALSE(told.order.HoldsResults());
}

TEST_CASE("order 3: a late answer does not settle a later life's departure") {
  Told told;
  const uint64_t first = told.order.SeeDeparture(2, Cause::kUnknown);
  told.order.SeeCause(first, false);
  told.order.SeeJoin(2);
  told.order.SeeDeparture(2, Cause::kUnknown);
  told.order.SeeCause(first, true);
  CHECK(told.order.HasUnknownCause());
}

TEST_CASE("order 3: each cause is waited for by itself, by the clock") {
  Told told;
  const uint64_t first = told.order.SeeDeparture(2, Cause::kUnknown);
  told.clock.now_ms += 3000;
  const uint64_t second = told.order.SeeDeparture(3, Cause::kUnknown);
  for (int i = 0; i < 1000; ++i) CHECK(told.order.OverdueCauses().empty());  // however often
  told.clock.now_ms += EventOrder::kCauseMs - 3001;
  CHECK(told.order.OverdueCauses().empty());
  CHECK(told.order.NextDueMs() == told.clock.now_ms + 1);
  told.clock.now_ms += 1;
  REQUIRE(told.order.OverdueCauses().size() == 1);
  CHECK(told.order.OverdueCauses()[0] == first);
  told.order.SeeCause(first, false);
  CHECK(told.order.OverdueCauses().empty());
  told.clock.now_ms += 3000;
  REQUIRE(told.order.OverdueCauses().size() == 1);
  CHECK(told.order.OverdueCauses()[0] == second);
}

TEST_CASE("order 3: a cause is waited for since it was asked for") {
  Told told;
  const uint64_t first = told.order.SeeDeparture(2, Cause::kUnknown);
  const uint64_t second = told.order.SeeDeparture(3, Cause::kUnknown);
  told.clock.now_ms += EventOrder::kCauseMs;
  told.order.AwaitCause(second);
  REQUIRE(told.order.OverdueCauses().size() == 1);
  CHECK(told.order.OverdueCauses()[0] == first);
  told.clock.now_ms += EventOrder::kCauseMs - 1;
  CHECK(told.order.OverdueCauses().size() == 1);
  told.clock.now_ms += 1;
  CHECK(told.order.OverdueCauses().size() == 2);
  // One that is known stays so.
  told.order.SeeCause(second, true);
  told.order.AwaitCause(second);
  told.order.SeeCause(first, false);
  CHECK_FALSE(told.order.HasUnknownCause());
}

TEST_CASE("order 4: a death is told when a recovery runs, and no result of it before") {
  Told told;
  told.order.SeeControl();
  told.order.SeeState(RunState::kStopped);
  CHECK(told.Next() == Words{"stopped"});
  told.order.SeeDeparture(2, Cause::kFailed);
  told.order.SeeState(RunState::kStopped);
  CHECK(told.Next().empty());
  CHECK_FALSE(told.order.HoldsResults());  // they cannot be the recovery's
  told.order.SeeControl();
  told.order.SeeState(RunState::kStopped);  // that has not come so far, or is over
  CHECK(told.Next().empty());
  CHECK(told.order.HoldsResults());
  told.order.SeeState(RunState::kRecovering);
  CHECK(told.Next() == Words{"failed 2"});
  CHECK_FALSE(told.order.HoldsResults());
  told.order.SeeState(RunState::kRunning);
  CHECK(told.Next() == Words{"resumed"});
}

TEST_CASE("order 4: a stop that was over before it was heard of") {
  Told told;
  told.order.SeeControl();
  told.order.SeeState(RunState::kRunning);
  CHECK(told.Next().empty());
  told.order.SeeControl();
  told.order.SeeState(RunState::kRunning);
  CHECK(told.Next() == Words{"stopped", "resumed"});
}

TEST_CASE("order 5: this node's own end makes no deaths") {
  Told told;
  told.order.SeeDeparture(4, Cause::kUnknown);
  told.order.SeeOwnEnd();
  CHECK_FALSE(told.order.HoldsResults());
  told.order.SeeDeparture(2, Cause::kFailed);
  told.order.SeeDeparture(3, Cause::kUnknown);
  told.order.SeeJoin(5);
  told.order.SeeControl();
  told.order.SeeState(RunState::kRunning);
  told.order.SeeState(RunState::kStopped);
  CHECK(told.Next() == Words{"stopped"});
  told.order.SeeLoss(NoticeKind::kReleased);
  CHECK(told.Next().empty());
}

TEST_CASE("order 5: what a recovery may have run with before the end is told") {
  Told told;
  told.order.SeeState(RunState::kStopped);
  told.order.SeeDeparture(2, Cause::kFailed);
  told.order.SeeControl();
  told.order.SeeDeparture(3, Cause::kFailed);
  told.order.SeeOwnEnd();
  CHECK(told.Next() == Words{"stopped", "failed 2"});
}

TEST_CASE("order 6: the loss is the last that is told") {
  Told told;
  told.order.See(NoticeKind::kDaemonGone);
  told.order.SeeLoss(NoticeKind::kReleased);
  told.order.SeeLoss(NoticeKind::kKeeperGone);
  told.order.See(NoticeKind::kQuorumLost);
  told.order.SeeDeparture(2, Cause::kFailed);
  CHECK(told.Next() == Words{"daemon"});
  Notice notice;
  REQUIRE(told.order.TakeLoss(&notice));
  CHECK(notice.kind == NoticeKind::kReleased);
  told.order.See(NoticeKind::kDaemonGone);
  told.order.SeeState(RunState::kStopped);
  CHECK(told.Next().empty());
  CHECK_FALSE(told.order.TakeLoss(&notice));
}

TEST_CASE("order 7: nothing is told before the program has its connection, and all of it after") {
  SetClock clock;
  EventOrder order(&clock);
  order.SeeState(RunState::kStopped);
  order.SeeDeparture(2, Cause::kFailed);
  order.SeeControl();
  order.SeeState(RunState::kRunning);
  Notice notice;
  CHECK_FALSE(order.TakeNotice(&notice));
  CHECK_FALSE(order.ComesFirst());  // results of the connecting itself
  order.Begin();
  CHECK(order.ComesFirst());
  for (const auto kind : {NoticeKind::kStopped, NoticeKind::kNodeFailed, NoticeKind::kResumed}) {
    REQUIRE(order.TakeNotice(&notice));
    CHECK(notice.kind == kind);
  }
}

}  // namespace
}  // namespace stackglue::order::test
