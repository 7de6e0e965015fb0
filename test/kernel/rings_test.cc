// Which ring is shown: none that lacks a member, none before the keeper has confirmed a change, and
// never one that is below the last.
#include "kernel/rings.h"

#include <doctest/doctest.h>

#include <cstdint>

namespace stackglue::kernel {
namespace {

TEST_CASE("rings: nothing is shown before somebody has told") {
  Rings rings;
  CHECK(rings.Shown({1}) == 0);
  rings.Hear(4, {2});
  CHECK(rings.Shown({1}) == 0);
  rings.Hear(8, {1, 2});
  CHECK(rings.Shown({1}) == 8);
}

TEST_CASE("rings: one that lacks a member waits until he is told of, and so do those behind it") {
  Rings rings;
  rings.Hear(4, {1, 2, 3});
  CHECK(rings.Shown({1, 2, 3}) == 4);
  rings.Hear(8, {1, 3});
  // He is back, but his end has not been told.
  rings.Hear(12, {1, 2, 3});
  CHECK(rings.Shown({1, 2, 3}) == 4);
  CHECK(rings.Shown({1, 3}) == 12);
}

TEST_CASE("rings: each of two that are gone has his own") {
  Rings rings;
  rings.Hear(4, {1, 2, 3});
  rings.Hear(8, {1, 3});
  rings.Hear(12, {1});
  CHECK(rings.Shown({1, 2, 3}) == 4);
  CHECK(rings.Shown({1, 3}) == 8);
  CHECK(rings.Shown({1}) == 12);
}

TEST_CASE("rings: after a change none is shown before the keeper has confirmed it") {
  Rings rings;
  rings.Hear(4, {1, 2});
  CHECK(rings.Shown({1, 2}) == 4);
  rings.Ask(2, false);
  CHECK(rings.Shown({1}) == 0);
  SUBCASE("by an answer: he has left, and runs on") {
    rings.HandleAnswer();
    CHECK(rings.Shown({1}) == 4);
  }
  SUBCASE("by a ring that fits, whatever comes then") {
    rings.Hear(8, {1});
    CHECK(rings.Shown({1}) == 8);
    rings.Hear(12, {1, 2});
    CHECK(rings.Shown({1}) == 12);
  }
}

TEST_CASE("rings: the number does not go down") {
  Rings rings;
  rings.Hear(UINT64_MAX - 1, {1});
  rings.Hear(4, {1});
  CHECK(rings.Shown({1}) == UINT64_MAX - 1);
  rings.Forget();
  CHECK(rings.Shown({1}) == 0);
  rings.Hear(8, {1});
  CHECK(rings.Shown({1}) == 0);
  rings.Hear(UINT64_MAX, {1});
  CHECK(rings.Shown({1}) == UINT64_MAX);
}

TEST_CASE("rings: a cluster that nobody puts right takes no more memory") {
  Rings rings;
  rings.Hear(1, {1, 2});
  CHECK(rings.Shown({1, 2}) == 1);
  for (uint64_t ring = 2; ring < 10000; ++ring) rings.Hear(ring, {1});
  CHECK(rings.Shown({1, 2}) == 1);
  CHECK(rings.Shown({1}) == 9999);
}

}  // namespace
}  // namespace stackglue::kernel
