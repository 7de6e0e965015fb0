// How requests end when the lockspace has gone: each in one event, -ENOTCONN, in the order in which
// they were asked for, whichever of a refusal and the loss is seen first.
#include <doctest/doctest.h>
#include <linux/dlm.h>
#include <linux/dlmconstants.h>

#include <cerrno>
#include <vector>

#include "book_kernel.h"

namespace stackglue::user::test {
namespace {

// What the book tells at the loss, up to `max` at a time.
std::vector<EventRecord> Lose(Kernel* kernel, size_t max = kBatchMax) {
  std::vector<EventRecord> told;
  for (;;) {
    std::vector<EventRecord> events(max);
    kernel->book.BeginBatch();
    const size_t count = kernel->book.EndLost(events.data(), max);
    kernel->book.ReleaseEnded();
    if (count == 0) return told;
    told.insert(told.end(), events.begin(), events.begin() + static_cast<std::ptrdiff_t>(count));
  }
}

uint32_t Granted(Kernel* kernel, int mode) {
  const auto index = static_cast<uint32_t>(kernel->Lock(mode, 0));
  REQUIRE(kernel->Result(kernel->orders().size() - 1, 0));
  return index;
}

}  // namespace

TEST_CASE("loss: requests end in the order of asking, and a lock that is only held in none") {
  Kernel kernel;
  const uint32_t held = Granted(&kernel, kPr);
  const uint32_t converting = Granted(&kernel, kPr);
  const uint32_t unlocking = Granted(&kernel, kEx);
  CHECK(kernel.book.Unlock(unlocking, 0, nullptr) == 0);
  const int64_t waiting = kernel.Lock(kEx, 0);
  CHECK(kernel.book.Convert(converting, kEx, DLM_LKF_CONVERT, 0, nullptr) == 0);
  const std::vector<EventRecord> told = Lose(&kernel);
  REQUIRE(told.size() == 3);
  CHECK(told[0].kind == EventKind::kUnlock);
  CHECK(told[0].index == static_cast<int32_t>(unlocking));
  CHECK(told[0].value == -ENOTCONN);
  CHECK(told[0].final == 0);
  CHECK(told[1].kind == EventKind::kCompletion);
  CHECK(told[1].index == waiting);
  CHECK(told[1].final == 1);
  CHECK(told[2].kind == EventKind::kCompletion);
  CHECK(told[2].index == static_cast<int32_t>(converting));
  CHECK(told[2].final == 0);
  CHECK(told[1].value == -ENOTCONN);
  CHECK(told[2].value == -ENOTCONN);
  CHECK(kernel.book.results_due() == 0);
  CHECK(Lose(&kernel).empty());
  CHECK(held == 0);
}

TEST_CASE("loss: a small batch leaves the rest to the next, in order") {
  Kernel kernel;
  std::vector<int64_t> asked;
  for (int i = 0; i < 5; ++i) asked.push_back(kernel.Lock(kEx, 0));
  const std::vector<EventRecord> told = Lose(&kernel, 2);
  REQUIRE(told.size() == asked.size());
  for (size_t i = 0; i < told.size(); ++i) CHECK(told[i].index == asked[i]);
}

TEST_CASE(
    "loss: an unlock by force and what it was to end are one event, whoever hears of the loss "
    "first") {
  for (const bool is_refused_first : {true, false}) {
    for (const bool is_conversion : {true, false}) {
      CAPTURE(is_refused_first);
      CAPTURE(is_conversion);
      Kernel kernel;
      uint32_t index = 0;
      if (is_conversion) {
        index = Granted(&kernel, kPr);
        CHECK(kernel.book.Convert(index, kEx, DLM_LKF_CONVERT, 0, nullptr) == 0);
      } else {
        index = static_cast<uint32_t>(kernel.Lock(kEx, 0));
      }
      CHECK(kernel.book.Unlock(index, DLM_LKF_FORCEUNLOCK, nullptr) == 0);
      // A new lock is taken back when its master is known: the probe is granted.
      if (!is_conversion) CHECK(!kernel.Result(kernel.orders().size() - 1, 0));
      size_t unlock = kernel.orders().size();
      while (kernel.orders().at(unlock - 1).operation != Operation::kUnlock ||
             kernel.orders().at(unlock - 1).cookie.index != index) {
        --unlock;
      }
      size_t told = 0;
      if (is_refused_first && kernel.Refuse(unlock - 1, -ENOTCONN)) ++told;
      told += Lose(&kernel).size();
      if (!is_refused_first && kernel.Refuse(unlock - 1, -ENOTCONN)) ++told;
      CHECK(told == 1);
      CHECK(Lose(&kernel).empty());
    }
  }
}

TEST_CASE("loss: a request that is made by steps ends in one completion, at whichever step it is") {
  for (int steps = 0; steps < 3; ++steps) {
    CAPTURE(steps);
    Kernel kernel;
    kernel.Lock(kEx, DLM_LKF_NOQUEUE);
    if (steps > 0) CHECK(!kernel.Result(0, 0));
    if (steps > 1) CHECK(!kernel.Result(1, -EAGAIN));
    const std::vector<EventRecord> told = Lose(&kernel);
    REQUIRE(told.size() == 1);
    CHECK(told[0].kind == EventKind::kCompletion);
    CHECK(told[0].final == 1);
    CHECK(told[0].value == -ENOTCONN);
  }
}

TEST_CASE("loss: a probe is nobody's, and a cancel that waits for it ends with what it was for") {
  Kernel kernel;
  const int64_t index = kernel.Lock(kEx, 0);
  CHECK(kernel.book.Unlock(static_cast<uint32_t>(index), DLM_LKF_CANCEL, nullptr) == 0);
  CHECK(kernel.Looked() == Texts{"lock EX", kProbe});
  const std::vector<EventRecord> told = Lose(&kernel);
  REQUIRE(told.size() == 1);
  CHECK(told[0].index == index);
  CHECK(told[0].kind == EventKind::kCompletion);
}

}  // namespace stackglue::user::test
