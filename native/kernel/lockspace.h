// One open lockspace of the kernel's DLM and the locks that this process has in it.
//
// Nothing here waits for the cluster. What does is done by others: the keeper, a process of our
// own, opens the lockspace, holds it open and gives it up (keeper_protocol.h), and requests are put
// into an area from which a submitter takes them to the kernel (submitter.h): the lockspace's
// thread, the keeper, or, if the caller prefers that, the loop itself.
//
// Each idea has a file: lockspace.cc how it opens, runs and ends, lockspace_cluster.cc what is
// heard of the cluster, lockspace_requests.cc and lockspace_results.cc the ways there and back.
//
// Threads: all of it is the loop's.
//
// Invariants: what lock_book.h says of the locks. The states:
//
//   kOpening --- keeper: kOpened, AttachDevice --> kOpen --- Close() --> kClosing
//       |                                            |                      |
//       | keeper: kFailed                            |    submitter ended   |
//       v                                            |    (EndSubmission),  |
//    kFailed                                         |    keeper: kClosed   |
//                                                    v                      v
//       Close() while kOpening, Abandon() --------------------------->  kClosed
#ifndef STACKGLUE_NATIVE_KERNEL_LOCKSPACE_H_
#define STACKGLUE_NATIVE_KERNEL_LOCKSPACE_H_

#include <sys/types.h>

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/device_protocol.h"
#include "kernel/keeper_client.h"
#include "kernel/lockspace_watch.h"
#include "kernel/open_failure.h"
#include "kernel/rings.h"
#include "kernel/submit_port.h"
#include "kernel/submitter.h"
#include "order/delivery.h"
#include "user/lock_book.h"
#include "util/event_record.h"

namespace stackglue::kernel {

class Lockspace final : public order::EventSource, private user::LockBook::Carrier {
 public:
  // Who makes the calls into the kernel. lib/native.ts repeats the numbers.
  enum class Submission { kThread = 0, kLoop = 1, kKeeper = 2 };

  struct Options {
    std::string name;     // at most DLM_LOCKSPACE_LEN bytes
    std::string library;  // path of libdlm; empty: the usual names
    bool create = true;   // create the lockspace where this process may, else only open it
    uint32_t flags = 0;   // DLM_LSFL_*, when it is created
    mode_t mode = 0600;   // of the device, when it is created
    Submission submission = Submission::kThread;
  };

  enum class State { kOpening, kOpen, kFailed, kClosing, kClosed };

  // Starts to open the lockspace. Where not even that can be done, the state is kFailed. What
  // happens to it is told to `order`.
  Lockspace(const Options& options, order::EventOrder* order);
  Lockspace(const Lockspace&) = delete;
  Lockspace& operator=(const Lockspace&) = delete;
  ~Lockspace() override;

  State state() const { return state_; }
  // Why it is kFailed.
  const OpenResult& open_result() const { return open_result_; }
  // The end came before the locks were dropped: that is still to happen, somewhere else.
  bool drops_later() const { return drops_later_; }
  // Every lock is gone, and every request is refused: the lockspace was released by somebody else
  // on this node, or the keeper that made the calls has died.
  bool is_lost() const { return is_lost_; }

  // No request is served for the time being, as far as is known.
  bool is_stopped() const { return order_->is_stopped(); }

  // To be polled for input, with what is to be called then; -1 where there is nothing to poll.
  int keeper_fd() const { return keeper_.fd(); }                     // HandleKeeper()
  bool keeper_has_ended() const { return keeper_.has_ended(); }      // no longer to be polled
  int signal_fd() const { return port_ ? port_->signal_fd() : -1; }  // HandleSignal()
  int device_fd() const { return port_ ? port_->device_fd() : -1; }  // Collect(), in kOpen
  int watch_fd() const { return watch_.fd(); }                       // Collect(), in kOpen

  // Hear the keeper, and the submitter. Either may change the state. Once the lockspace is lost or
  // closing, the device must not be polled when HandleSignal() is called, which may close it.
  void HandleKeeper();
  void HandleSignal();
  // Has HandleSignal() called soon.
  void Signal() const { port_->Signal(); }

  // Looks after what nobody signals. To be called in HandleTimeInMs(); -1: not at all.
  void HandleTime();
  int HandleTimeInMs() const;
  // The kernel was too busy for a request: HandleTime() has become due, soon.
  bool is_submitter_busy() const { return submitter_is_busy_; }

  int this_node() const { return watch_.membership().this_node(); }
  // None when it is lost; from this node's own end on, those who were there when it began.
  const std::map<int, int64_t>& members() const;
  // The membership of nodes that the lockspace is in (kernel/rings.h), and whether this part of the
  // cluster has a quorum. Ring 0: not known, or it is lost.
  struct Ring {
    uint64_t number;
    bool is_quorate;
  };
  Ring ring() const;
  // The program is about to be told this.
  void HandleTold(const Notice& notice);
  // The node's name; empty when it has none.
  const std::string& NameOf(int node) const;
  const KeeperVersions& versions() const { return versions_; }
  // By which number the kernel knows the owner of the locks; 0 while that is not known.
  uint32_t owner_pid() const { return port_ ? port_->area()->owner_pid.load() : 0; }

  // Who takes requests about locks; null: nobody, now or any more.
  user::LockBook* OpenBook() { return Serves() ? &book_ : nullptr; }
  // Returns 0 once queued, or a negative errno with nothing changed. The completion is an event of
  // kind kCall with `ticket` as its index.
  int Purge(int32_t node, int32_t pid, uint32_t ticket);

  // As EventSource has them.
  size_t Collect(EventRecord* events) override;
  void Look() override;
  size_t CollectLost(EventRecord* events) override;
  void Release() override { book_.ReleaseEnded(); }
  // Requests that are made meanwhile are handed over together.
  void BeginTelling() override { in_batch_ = true; }
  void EndTelling() override;
  // Whether results are due that may well be there already, or will be in a moment. Looks for a few
  // microseconds where another processor makes the calls.
  bool IsWorthMore() override;

  // Begins the end: the requests before it are still made, locks that are left are dropped by the
  // kernel, and the state becomes kClosed. Idempotent.
  void Close();
  // The end, now: what is not done yet is left to the keeper and the kernel.
  void Abandon();

 private:
  bool Serves() const { return state_ == State::kOpen && !is_lost_; }
  void Fail(OpenFailure failure, int error, const std::string& detail);
  void AttachDevice(int device_fd, const KeeperVersions& versions);
  void HandleSeen();
  void AskWhyGone();
  void AskRing(int node, bool has_joined);
  void AskRingAgain();
  void Lose();
  void SetPaused(bool paused);
  void EndSubmission();
  void EndWithoutKeeper();
  bool IsWatching() const;
  void HandleQuorum(const KeeperReport& report);
  void HandleCause(int node, bool has_failed);
  void HandleKeeperEnd();

  void Put(const user::Order& order) override;
  SubmitRequest* Reserve(Operation operation, Cookie cookie);
  void Commit();
  void FillSlots();
  void Kick();
  bool HasRoom() const;

  size_t TakeAnswers(EventRecord* events);
  bool HandleAnswer(const user::Answer& answer, EventRecord* event);
  bool ReadResult(EventRecord* events, size_t* count);

  order::EventOrder* const order_;
  const Submission submission_;
  State state_ = State::kOpening;
  OpenResult open_result_;
  bool is_lost_ = false;
  bool keeper_gone_ = false;
  bool keeper_was_last_ = false;  // to have the device open
  bool drops_later_ = false;
  bool quorate_ = true;
  bool told_quorate_ = true;  // as the program knows it
  std::string name_;
  std::map<int, std::string> names_;
  KeeperVersions versions_{};

  KeeperClient keeper_;
  LockspaceWatch watch_{order_};
  Rings rings_;
  // Departures of an unknown cause that the keeper has still to be asked about, in order.
  std::vector<Membership::Departure> to_ask_;
  // By node: the departures that the keeper was asked about, in order. It answers in that order.
  std::map<int, std::deque<uint64_t>> asked_;
  bool is_paused_ = false;
  std::shared_ptr<SubmitPort> port_;
  // With Submission::kLoop.
  std::unique_ptr<Submitter> submitter_;
  bool submitter_is_busy_ = false;
  // The submitter was told to end and nobody has to wait until it has.
  bool submitter_is_over_ = false;
  bool submission_ended_ = false;

  // Requests that found no slot in the area, in order.
  std::deque<SubmitRequest> waiting_;
  bool in_batch_ = false;
  uint32_t unkicked_ = 0;

  user::LockBook book_{this, &order_->clock()};
  bool was_blocking_ = false;  // the last result that was read
  // How often IsWorthMore() was right lately; below 0 it does not look.
  int luck_ = 0;
  bool was_awaited_ = false;
  // A result that would have been its lock's second in a batch waits here for the next one.
  alignas(8) uint8_t held_bytes_[kResultMax];
  size_t held_size_ = 0;
};

}  // namespace stackglue::kernel

#endif  // STACKGLUE_NATIVE_KERNEL_LOCKSPACE_H_
