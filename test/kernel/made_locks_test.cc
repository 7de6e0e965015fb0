// The ids of locks that the loop does not know yet: that they are found, and that they go.
#include "kernel/made_locks.h"

#include <doctest/doctest.h>

#include <map>
#include <random>
#include <utility>

namespace stackglue::kernel::test {
namespace {

constexpr uint32_t kMany = 100'000;

TEST_CASE("made locks: gives its memory back when the loop knows all ids but one") {
  MadeLocks made;
  for (uint32_t index = 0; index < kMany; ++index) {
    made.MakeRoomFor(index);
    made.Put({index, 1}, index + 1);
  }
  CHECK(made.capacity() >= kMany);
  for (uint32_t index = 0; index < kMany; ++index) {
    if (index != kMany / 2) made.Forget({index, 1});
  }
  CHECK(made.capacity() <= 17 * 256);
  CHECK(made.IdOf({kMany / 2, 1}) == kMany / 2 + 1);
}

TEST_CASE("made locks: keeps no room for locks that were refused") {
  MadeLocks made;
  for (uint32_t index = 0; index < kMany; ++index) {
    made.MakeRoomFor(index);
    made.Forget({index, 1});
  }
  CHECK(made.capacity() <= 16 * 256);
}

TEST_CASE("made locks: has what a map has, whatever comes and goes") {
  const unsigned seed = std::random_device()();
  MESSAGE("seed " << seed);
  std::mt19937 random(seed);
  MadeLocks made;
  std::map<uint32_t, std::pair<uint32_t, uint32_t>> known;  // generation and id
  for (uint32_t step = 1; step <= 50'000; ++step) {
    const auto index = static_cast<uint32_t>(random() % 10'000);
    const auto at = known.find(index);
    const uint32_t generation = at == known.end() ? 0 : at->second.first;
    switch (random() % 4) {
      case 0:
      case 1:
        made.MakeRoomFor(index);
        made.Put({index, step}, step);
        known[index] = {step, step};
        break;
      case 2:
        made.Forget({index, generation});
        known.erase(index);
        break;
      default:
        // Another use of the index.
        made.Forget({index, step});
    }
    const auto looked = static_cast<uint32_t>(random() % 10'000);
    const auto found = known.find(looked);
    if (found == known.end()) {
      REQUIRE(made.IdOf({looked, step}) == 0);
    } else {
      REQUIRE(made.IdOf({looked, found->second.first}) == found->second.second);
      REQUIRE(made.IdOf({looked, found->second.first + 1}) == 0);
    }
  }
}

}  // namespace
}  // namespace stackglue::kernel::test
