// How the event loop drives a connection to an engine in this process: the engine wakes it, from
// whichever thread, and each time the connection's Delivery has a turn.
//
// Threads: Wake() any; the rest the loop's.
#ifndef STACKGLUE_NATIVE_BINDING_LOOP_TURNS_H_
#define STACKGLUE_NATIVE_BINDING_LOOP_TURNS_H_

#include <uv.h>

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "binding/loop_wake.h"
#include "order/delivery.h"

namespace stackglue::binding {

class LoopTurns {
 public:
  LoopTurns() = default;
  LoopTurns(const LoopTurns&) = delete;
  LoopTurns& operator=(const LoopTurns&) = delete;

  order::EventOrder* order() { return &order_; }

  // As LoopWake::Open().
  [[nodiscard]] bool Open(uv_loop_t* loop, std::function<void()> on_wake) {
    return wake_.Open(loop, std::move(on_wake));
  }
  // There is an engine to be told of: `source` and `listener` live until Close(), `batch` has room
  // for kBatchMax records. Needs no memory.
  void Start(order::EventSource* source, order::EventListener* listener, EventRecord* batch) {
    delivery_.emplace(&order_, source, listener, batch, kLimits);
  }

  void Wake() { wake_.Wake(); }

  // A turn. `engine` is who wakes, and is told that it need not meanwhile; null: it has gone, which
  // a handler may do in the middle.
  template <class Engine>
  void Turn(const std::unique_ptr<Engine>& engine) {
    if (!engine) return;
    engine->SetTold(false);
    const bool may_be_more = delivery_->Turn();
    if (!engine) return;
    // What may be left takes its place behind the loop's other work.
    if (may_be_more) wake_.Wake();
    engine->SetTold(true);
  }

  // The program has its connection. It is told from the loop's next turn on, not inside of a call.
  void Begin() {
    order_.Begin();
    if (delivery_) wake_.Wake();
  }

  // Asked by JavaScript when it has handled a batch: puts the next batch where the last one was and
  // returns its size; 0: no more for now.
  size_t More() { return delivery_ ? delivery_->More() : 0; }
  bool is_telling() const { return delivery_ && delivery_->is_telling(); }

  // Whether it keeps the loop alive; it does from the start.
  void SetReferenced(bool referenced) { wake_.SetReferenced(referenced); }

  // Nothing is told any more. To be called before the engine is given up.
  void End() {
    if (delivery_) delivery_->End();
  }
  // As LoopWake::Close().
  void Close(std::function<void()> on_closed) { wake_.Close(std::move(on_closed)); }

 private:
  // Looks again, because what the program asks for is mostly granted already.
  static constexpr order::Delivery::Limits kLimits{4 * kBatchMax, 0, true};

  order::EventOrder order_{order::Clock::Steady()};
  std::optional<order::Delivery> delivery_;
  LoopWake wake_;
};

}  // namespace stackglue::binding

#endif  // STACKGLUE_NATIVE_BINDING_LOOP_TURNS_H_
