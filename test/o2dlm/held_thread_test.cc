// dlm_thread as a thing of its own: what requests find before it has run.
#include "peer.h"

namespace stackglue::o2dlm::test {
namespace {

TEST_CASE("held thread: nobody is granted from a queue, nor told, before it has run") {
  auto cluster = Cluster::Create();
  cluster->HoldThread();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  a.Hold(kEx);
  CHECK(!cluster->thread_is_due());
  b.Lock(kEx);
  CHECK(cluster->thread_is_due());
  CHECK(a.Take() == "");
  cluster->RunThread();
  CHECK(!cluster->thread_is_due());
  CHECK(a.Take() == "blocks 1 EX");
  REQUIRE(a.Unlock(1) == Status::kNormal);
  CHECK(b.Take() == "");
  cluster->RunThread();
  CHECK(b.Take() == "granted 1");
}

TEST_CASE("held thread: a new lock passes one that could be granted") {
  auto cluster = Cluster::Create();
  cluster->HoldThread();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  Peer c(cluster, 3);
  a.Hold(kEx);
  b.Lock(kEx);
  cluster->RunThread();
  CHECK(a.Take() == "blocks 1 EX");
  REQUIRE(a.Convert(1, kNl) == Status::kNormal);
  CHECK(a.Take() == "granted 1");
  c.Lock(kPr);
  CHECK(c.Take() == "granted 1");
  cluster->RunThread();
  CHECK(b.Take() == "");
  CHECK(c.Take() == "blocks 1 EX");
}

TEST_CASE("held thread: a conversion passes one that waits only if it goes with what that wants") {
  auto cluster = Cluster::Create();
  cluster->HoldThread();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  Peer c(cluster, 3);
  a.Hold(kEx);
  b.Hold(kNl);
  c.Hold(kNl);
  REQUIRE(b.Convert(1, kEx) == Status::kNormal);
  cluster->RunThread();
  REQUIRE(a.Convert(1, kNl) == Status::kNormal);
  REQUIRE(c.Convert(1, kPr) == Status::kNormal);
  CHECK(c.Take() == "");
  cluster->RunThread();
  CHECK(b.Take() == "granted 1, blocks 1 PR");
}

TEST_CASE("held thread: requests that it missed are one run, and a resource that goes needs none") {
  auto cluster = Cluster::Create();
  cluster->HoldThread();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  a.Hold(kEx);
  b.Lock(kPr);
  b.Lock(kPr);
  cluster->RunThread();
  CHECK(a.Take() == "blocks 1 PR");
  CHECK(a.Take() == "");
  b.Cancel(1);
  b.Cancel(2);
  REQUIRE(a.Unlock(1) == Status::kNormal);
  CHECK(!cluster->thread_is_due());
  cluster->RunThread();
}

TEST_CASE("held thread: a death runs it") {
  auto cluster = Cluster::Create();
  cluster->HoldThread();
  Peer a(cluster, 1);
  Peer b(cluster, 2);
  a.Hold(kEx);
  b.Lock(kEx);
  REQUIRE(cluster->KillNode(1) == 0);
  CHECK(b.Take() == "died 1, granted 1");
  CHECK(!cluster->thread_is_due());
}

}  // namespace
}  // namespace stackglue::o2dlm::test
