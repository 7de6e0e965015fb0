// Takes a connection's events to the program, by turns of the event loop: gathers results in
// batches, has EventOrder say what comes first, and hands on the one after the other. All
// connections do so by this.
//
// Invariants:
// 1. Results are gathered first and what happened to members is looked at second, so that a change
//    is known before the results that it led to.
// 2. A batch that is gathered stays where it is until it may be told; none is gathered meanwhile.
// 3. Nothing is told inside a call from JavaScript.
//
// Threads: the loop's.
#ifndef STACKGLUE_NATIVE_ORDER_DELIVERY_H_
#define STACKGLUE_NATIVE_ORDER_DELIVERY_H_

#include <cstddef>

#include "order/event_order.h"
#include "util/event_record.h"

namespace stackglue::order {

// Where a connection's events come from. Each tells the EventOrder what it has seen.
class EventSource {
 public:
  virtual ~EventSource() = default;

  // Puts up to kBatchMax results that are ready, their status blocks written, and then looks at
  // what else there is, as Look() does. Returns how many; 0: none is ready.
  virtual size_t Collect(EventRecord* events) = 0;
  // Looks at all that is no result.
  virtual void Look() = 0;
  // After the loss: ends up to kBatchMax of the requests that are under way, in the order in which
  // they were made. Returns how many; 0: nothing is left.
  virtual size_t CollectLost(EventRecord* events) = 0;
  // The program has handled the batch.
  virtual void Release() = 0;
  // A turn begins, in which what happens is looked at without being asked to, and ends.
  virtual void BeginTurn() {}
  virtual void EndTurn() {}
  // The program is about to be called with a batch, and has returned.
  virtual void BeginTelling() {}
  virtual void EndTelling() {}
  // Asked when a batch has been handled: whether what the handlers asked for may be ready already.
  virtual bool IsWorthMore() { return true; }
};

// Who tells the program.
class EventListener {
 public:
  virtual ~EventListener() = default;
  virtual void TellNotice(const Notice& notice) = 0;
  // The first `count` records of the batch. JavaScript may call Delivery::More() meanwhile.
  virtual void TellResults(size_t count) = 0;
};

class Delivery {
 public:
  // What one turn of the loop does for a connection at most, before its other work has its turn.
  struct Limits {
    size_t events;
    int rounds;
    // Looks once more when the program's microtasks have run.
    bool looks_again;
  };

  // `batch` has room for kBatchMax records.
  Delivery(EventOrder* order, EventSource* source, EventListener* listener, EventRecord* batch,
           Limits limits)
      : order_(order), source_(source), listener_(listener), batch_(batch), limits_(limits) {}
  Delivery(const Delivery&) = delete;
  Delivery& operator=(const Delivery&) = delete;

  // A turn: gathers and tells. Returns whether more may be left that nobody will tell of.
  bool Turn();
  // Tells what can be told of what has been gathered and seen already.
  void Tell();
  // For a program that has handled a batch, in the call that brought it or in a microtask of that
  // call: gathers the next one and returns its size; 0: none, or something else comes first, or the
  // turn has done enough.
  size_t More();
  // Whether it could have one: the call that brought a batch has not returned, nor have its
  // microtasks run.
  bool MayBeMore() const { return is_in_task_ && !has_ended_ && collected_ == 0; }
  // Whether the batch has results that the program was not called with: all of them are untold.
  bool HoldsBatch() const { return collected_ > 0; }
  // The program is not told any more. Also from within a call to it; the source is not used again.
  void End() { has_ended_ = true; }

 private:
  bool IsTurnOver() const {
    return delivered_ >= limits_.events || (limits_.rounds > 0 && rounds_ >= limits_.rounds);
  }
  void Gather();
  void TellBatch();

  EventOrder* const order_;
  EventSource* const source_;
  EventListener* const listener_;
  EventRecord* const batch_;
  const Limits limits_;
  bool has_ended_ = false;
  bool is_in_task_ = false;
  // In the batch, and not told yet.
  size_t collected_ = 0;
  // Of this turn.
  size_t delivered_ = 0;
  int rounds_ = 0;
};

}  // namespace stackglue::order

#endif  // STACKGLUE_NATIVE_ORDER_DELIVERY_H_
