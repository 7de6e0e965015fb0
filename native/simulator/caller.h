// What a program's own node knows of a lock, and answers without asking the master: the rules of
// the caller's side. For fsdlm they are those of user/lock_book.h, for o2dlm those of
// fs/ocfs2/dlm/dlmlock.c and its neighbours, whose calls wait for the master's answer.
//
// Threads: none of its own; one thread drives a simulation.
//
// Invariant: a request is only sent if the master can do nothing but accept it or answer with an
// event; what it may refuse in the call is answered in the call.
#ifndef STACKGLUE_NATIVE_SIMULATOR_CALLER_H_
#define STACKGLUE_NATIVE_SIMULATOR_CALLER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "simulator/engine.h"
#include "user/lock_rules.h"

namespace stackglue::simulator {

// A lock as its own node sees it: after the last event that was delivered.
struct CallerLock {
  enum class Operation : uint8_t { kNone, kLock, kConvert };
  ConnectionId connection = 0;
  std::string resource;
  Operation operation = Operation::kNone;
  int granted = -1;        // the mode that it has; -1: none yet
  int requested = -1;      // the last one that was asked for
  uint32_t flags = 0;      // of that request
  bool in_flight = false;  // that request has not arrived
  int master = 0;          // whose the last event was
  uint64_t asked = 0;      // which of all requests it was that is under way
  bool unlocking = false;
  int cancelling = 0;              // cancels that have not ended
  bool breaking_deadlock = false;  // fsdlm: that cancel is to break a deadlock
  // fsdlm: an unlock that goes through NL, what the kernel would do with the value block at unlock,
  // and the same before a conversion that may be refused; see user/lock_book.h.
  bool unlock_follows = false;
  user::ValueBlockMemory memory, memory_before;
  std::vector<uint8_t> known_block;
};

// What becomes of a request.
struct Verdict {
  // kAnswer: with `status`, at once. kAsk: the master is asked, and its answer waited for. kSend:
  // it travels, and the call has returned 0. kNothing: nothing has to be done, the call returns 0.
  enum class Way : uint8_t { kAnswer, kAsk, kSend, kNothing };
  Way way = Way::kSend;
  int64_t status = 0;
};

// What becomes of a request, or of an event, that was lost with the resource's master.
enum class Fate : uint8_t {
  kRedo,  // the request is sent to the new master
  // It has happened, without the master: the node that asked, whose state the new master learns,
  // says so.
  kDone,
  kForget,
};

class Caller {
 public:
  static std::unique_ptr<Caller> Create(Profile profile);
  virtual ~Caller() = default;

  // A request that was on its way to the master. Never kForget.
  virtual Fate FateOf(const Request& request, const CallerLock& lock) const = 0;
  // An event that the master would have told of, and its lock before it. kRedo for a grant: the
  // lock waits again.
  Fate FateOf(const Event& event, const CallerLock& lock) const;
  // The request that a lock waits for, once more.
  Request Repeat(uint64_t number, const CallerLock& lock) const;

  // `lock` is null when there is none of that number. May change the request to what is to be sent.
  virtual Verdict Judge(Request* request, CallerLock* lock) const = 0;
  // A request has been accepted, or sent.
  virtual void Begin(const Request& request, CallerLock* lock) const = 0;
  // A request that was sent was refused: the event that tells of it.
  virtual Event Refused(const Request& request, int64_t status, CallerLock* lock) const = 0;
  // An event is delivered. False: the program does not hear of it. `next` is to be sent then.
  virtual bool Hear(Event* event, CallerLock* lock, std::optional<Request>* next) const = 0;
  // The lockspace is lost: the events, in order, in which what is under way for the lock ends, one
  // for each request; a cancel of fs/dlm has none, and ends with what it was to cancel.
  virtual std::vector<Event> EndsOf(const CallerLock& lock) const = 0;
  // Whether the program hears of a request that was sent and is refused.
  virtual bool TellsRefusal(const Request& request) const = 0;
  // What a request whose answer is waited for is answered with when it cannot leave its node; 0:
  // the master would only refuse it, for what is wrong with it.
  virtual int64_t UnreachableStatus(const Request& request) const = 0;
  // What the calls of a node that is down are answered with.
  virtual int64_t DeadStatus() const = 0;

 protected:
  // Whether a status is that of a request with NOQUEUE which was refused.
  virtual bool IsNotQueued(int64_t status) const = 0;
  // Whether a request has NOQUEUE.
  virtual bool MayNotWait(uint32_t flags) const = 0;
};

}  // namespace stackglue::simulator

#endif  // STACKGLUE_NATIVE_SIMULATOR_CALLER_H_
