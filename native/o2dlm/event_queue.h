// The events that wait for one member: the emulation of dlm_ctxt.pending_asts and pending_basts
// between the moment when the lock manager queues an AST and the moment when the callback runs.
//
// An event is *pending* while it is here; taking it is what running the callback is in the kernel.
//
// Threads: guarded by the cluster's mutex.
//
// Invariants: first in, first out; appending an event that is here already moves it to the end.
// Nodes that are part of a Lock are owned by it; OwnedEvents are owned by the queue.
#ifndef STACKGLUE_NATIVE_O2DLM_EVENT_QUEUE_H_
#define STACKGLUE_NATIVE_O2DLM_EVENT_QUEUE_H_

#include "o2dlm.h"
#include "util/intrusive_list.h"

namespace stackglue::o2dlm {

// One pending event. Where the rest of it is found depends on `source`.
struct EventNode : ListNode {
  enum class Source : uint8_t {
    kAst,    // the AstLink of a Lock
    kBast,   // the BastLink of a Lock
    kOwned,  // an OwnedEvent
  };
  explicit EventNode(Source from) : source(from) {}

  const Source source;
  Event::Kind kind = Event::Kind::kLockAst;
};

// struct dlm_lock.ast_list: the lock AST, or the last unlock AST, that a lock owes. Never both: an
// unlock is refused while a lock AST is pending (dlm/dlmunlock.c:dlmunlock_common()). The status is
// kNormal in both.
struct AstLink : EventNode {
  AstLink() : EventNode(Source::kAst) {}
};

// struct dlm_lock.bast_list. The level is the lock's highest_blocked at the time of delivery.
struct BastLink : EventNode {
  BastLink() : EventNode(Source::kBast) {}
};

// An event that no lock has room for: an eviction, or the unlock AST of a cancel after which the
// lock lives on (there may be any number of those).
struct OwnedEvent : EventNode {
  OwnedEvent() : EventNode(Source::kOwned) {}

  uint64_t astarg = 0;
  int32_t value = 0;
};

class EventQueue {
 public:
  EventQueue() = default;
  ~EventQueue() { Clear(); }
  EventQueue(const EventQueue&) = delete;
  EventQueue& operator=(const EventQueue&) = delete;

  bool empty() const { return nodes_.empty(); }
  void Append(EventNode* node) { nodes_.PushBack(node); }
  // The oldest event, or null; it stays where it is.
  EventNode* Front() { return nodes_.front(); }
  // Forgets everything.
  void Clear();

 private:
  List<EventNode> nodes_;
};

}  // namespace stackglue::o2dlm

#endif  // STACKGLUE_NATIVE_O2DLM_EVENT_QUEUE_H_
