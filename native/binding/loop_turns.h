// How the event loop drives a connection to an engine in this process: the engine wakes it, from
// whichever thread, and each time the connection's Delivery has a turn. From another thread it is
// woken by an async handle, which also is what keeps the loop alive, from the loop's own thread by
// an idle handle, which is cheaper.
//
// Threads: Wake() and OnEventsPending() any; the rest the loop's.
#ifndef STACKGLUE_NATIVE_BINDING_LOOP_TURNS_H_
#define STACKGLUE_NATIVE_BINDING_LOOP_TURNS_H_

#include <uv.h>

#include <functional>
#include <optional>
#include <thread>
#include <utility>

#include "order/delivery.h"
#include "util/event_sink.h"

namespace stackglue::binding {

class LoopTurns final : public EventSink {
 public:
  LoopTurns() = default;
  LoopTurns(const LoopTurns&) = delete;
  LoopTurns& operator=(const LoopTurns&) = delete;

  order::EventOrder* order() { return &order_; }

  // To be called once, on the loop's thread. False: no memory. Once it was true the object must
  // live until the callback of Close(). `on_first`, if it is not empty, is called before the first
  // turn, and may close.
  [[nodiscard]] bool Open(uv_loop_t* loop, std::function<void()> on_first) {
    if (uv_async_init(loop, &async_, [](uv_async_t* handle) {
          static_cast<LoopTurns*>(handle->data)->Run();
        }) != 0) {
      return false;
    }
    on_first_ = std::move(on_first);
    async_.data = this;
    uv_idle_init(loop, &idle_);
    idle_.data = this;
    uv_unref(reinterpret_cast<uv_handle_t*>(&idle_));
    return true;
  }
  // There is an engine to be told of: `source` and `listener` live until End(), `batch` has room
  // for kBatchMax records. Needs no memory.
  void Start(order::EventSource* source, order::EventListener* listener, EventRecord* batch) {
    delivery_.emplace(&order_, source, listener, batch, kLimits);
  }

  // There will be a turn, one for any number of calls until then.
  void Wake() {
    if (std::this_thread::get_id() != thread_) {
      uv_async_send(&async_);
    } else if (!is_closing_) {
      uv_idle_start(&idle_,
                    [](uv_idle_t* handle) { static_cast<LoopTurns*>(handle->data)->Run(); });
    }
  }
  void OnEventsPending() noexcept override { Wake(); }

  // The program has its connection. It is told from the loop's next turn on, not inside of a call.
  void Begin() {
    order_.Begin();
    if (delivery_) Wake();
  }

  // Asked by JavaScript when it has handled a batch: puts the next batch where the last one was and
  // returns its size; 0: no more for now.
  size_t More() { return delivery_ ? delivery_->More() : 0; }
  // As Delivery::HoldsBatch().
  bool HoldsBatch() const { return delivery_ && delivery_->HoldsBatch(); }
  // Whether that could be more than 0.
  bool MayBeMore() const { return delivery_ && delivery_->MayBeMore(); }

  // Whether it keeps the loop alive; it does from the start.
  void SetReferenced(bool referenced) {
    if (is_closing_) return;
    auto* handle = reinterpret_cast<uv_handle_t*>(&async_);
    referenced ? uv_ref(handle) : uv_unref(handle);
  }

  // Nothing is told any more. To be called before the engine is given up.
  void End() {
    if (delivery_) delivery_->End();
  }
  // No other thread may call Wake() any more. `on_closed` is the last that is called.
  void Close(std::function<void()> on_closed) {
    is_closing_ = true;
    on_closed_ = std::move(on_closed);
    uv_ref(reinterpret_cast<uv_handle_t*>(&async_));
    for (auto* handle :
         {reinterpret_cast<uv_handle_t*>(&async_), reinterpret_cast<uv_handle_t*>(&idle_)}) {
      uv_close(handle, [](uv_handle_t* closed) {
        auto* self = static_cast<LoopTurns*>(closed->data);
        if (--self->open_handles_ == 0) self->on_closed_();
      });
    }
  }

 private:
  // Looks again, because what the program asks for is mostly granted already.
  static constexpr order::Delivery::Limits kLimits{4 * kBatchMax, 0, true};

  void Run() {
    if (is_closing_) return;
    uv_idle_stop(&idle_);
    if (on_first_) std::exchange(on_first_, nullptr)();
    // What may be left takes its place behind the loop's other work.
    if (delivery_ && delivery_->Turn()) Wake();
  }

  const std::thread::id thread_ = std::this_thread::get_id();
  order::EventOrder order_{order::Clock::Steady()};
  std::optional<order::Delivery> delivery_;
  std::function<void()> on_first_;
  std::function<void()> on_closed_;
  uv_async_t async_{};
  uv_idle_t idle_{};
  int open_handles_ = 2;
  bool is_closing_ = false;
};

}  // namespace stackglue::binding

#endif  // STACKGLUE_NATIVE_BINDING_LOOP_TURNS_H_
