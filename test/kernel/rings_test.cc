// Which ring is shown: none that lacks a member, none before the keeper has confirmed a change, and
// never one that is below the last.
#include "kernel/rings.h"

#include <doctest/doctest.h>

#include <cstdint>

namespace stackglue::kernel {
namespace {

TEST_CASE("rings: nothing is shown before somebody has told") {
  Rings rings;
  CHECK(rings.shown() == 0);
  rings.Hear(4, {2}, {1});
  CHECK(rings.shown() == 0);
  rings.Hear(8, {1, 2}, {1});
  CHECK(rings.shown() == 8);
}

TEST_CASE("rings: one that lacks a member waits until he is told of, and so do those behind it") {
  Rings rings;
  rings.Hear(4, {1, 2, 3}, {1, 2, 3});
  CHECK(rings.shown() == 4);
  rings.Hear(8, {1, 3}, {1, 2, 3});
  // He is back, but his end has not been told.
  rings.Hear(12, {1, 2, 3}, {1, 2, 3});
  CHECK(rings.shown() == 4);
  SUBCASE("alone") { rings.Tell(2); }
  SUBCASE("and his next life joins at once") {
    rings.Ask(2, false);
    rings.Ask(2, true);
    rings.HandleAnswer();
    rings.HandleAnswer();
    CHECK(rings.shown() == 4);
    rings.Tell(2);
  }
  CHECK(rings.shown() == 12);
}

TEST_CASE("rings: who is no member may go and come as he likes") {
  Rings rings;
  rings.Hear(4, {1, 2, 3}, {1, 2});
  rings.Hear(8, {1, 2}, {1, 2});
  CHECK(rings.shown() == 8);
  rings.Hear(12, {1, 2, 3}, {1, 2});
  rings.Ask(3, true);
  CHECK(rings.shown() == 12);
  rings.HandleAnswer();
  rings.Hear(16, {1, 2, 3, 4}, {1, 2, 3});
  CHECK(rings.shown() == 16);
}

TEST_CASE("rings: each of two that are gone has his own") {
  Rings rings;
  rings.Hear(4, {1, 2, 3}, {1, 2, 3});
  rings.Hear(8, {1, 3}, {1, 2, 3});
  rings.Hear(12, {1}, {1, 2, 3});
  CHECK(rings.shown() == 4);
  rings.Tell(2);
  CHECK(rings.shown() == 8);
  rings.Tell(3);
  CHECK(rings.shown() == 12);
}

TEST_CASE("rings: after a change none is shown before the keeper has confirmed it") {
  Rings rings;
  rings.Hear(4, {1, 2}, {1, 2});
  rings.Ask(2, false);
  rings.Tell(2);
  CHECK(rings.shown() == 0);
  SUBCASE("by an answer: he has left, and runs on") {
    rings.HandleAnswer();
    CHECK(rings.shown() == 4);
  }
  SUBCASE("by a ring that fits, whatever comes then") {
    rings.Hear(8, {1}, {1});
    CHECK(rings.shown() == 8);
    rings.Hear(12, {1, 2}, {1});
    CHECK(rings.shown() == 12);
  }
  SUBCASE("by an answer, if there was nobody to ask at first") {
    rings.HandleAnswer();
    rings.Ask(3, true);
    rings.MissToAsk(true);
    CHECK(rings.shown() == 0);
    CHECK(rings.owes());
    rings.AskAgain();
    CHECK(rings.shown() == 0);
    rings.Hear(8, {1, 3}, {1, 3});
    CHECK(rings.shown() == 0);
    rings.HandleAnswer();
    CHECK(rings.shown() == 8);
  }
}

TEST_CASE("rings: who joins a keeper that is late waits for the answer") {
  Rings rings;
  rings.Hear(4, {1, 2, 3}, {1, 2, 3});
  rings.Ask(3, false);
  rings.Tell(3);
  rings.Ask(3, true);
  CHECK(rings.shown() == 0);
  rings.Hear(8, {1, 2}, {1, 2, 3});
  rings.Hear(12, {1, 2, 3}, {1, 2, 3});
  rings.HandleAnswer();
  CHECK(rings.shown() == 0);
  rings.HandleAnswer();
  CHECK(rings.shown() == 12);
  // And the end of that one is waited for.
  rings.Hear(16, {1, 2}, {1, 2, 3});
  CHECK(rings.shown() == 12);
}

TEST_CASE("rings: the number does not go down") {
  Rings rings;
  rings.Hear(UINT64_MAX - 1, {1}, {1});
  rings.Hear(4, {1}, {1});
  CHECK(rings.shown() == UINT64_MAX - 1);
  rings.Forget();
  CHECK(rings.shown() == 0);
  rings.Hear(8, {1}, {1});
  CHECK(rings.shown() == 0);
  // The same again, for who has forgotten.
  rings.Hear(UINT64_MAX - 1, {1}, {1});
  CHECK(rings.shown() == UINT64_MAX - 1);
  rings.Hear(UINT64_MAX, {1}, {1});
  CHECK(rings.shown() == UINT64_MAX);
}

TEST_CASE("rings: a cluster that nobody puts right takes no more memory") {
  Rings rings;
  rings.Hear(1, {1, 2}, {1, 2});
  for (uint64_t ring = 2; ring < 10000; ++ring) rings.Hear(ring, {1}, {1, 2});
  CHECK(rings.shown() == 1);
  rings.Tell(2);
  CHECK(rings.shown() == 9999);
}

}  // namespace
}  // namespace stackglue::kernel
