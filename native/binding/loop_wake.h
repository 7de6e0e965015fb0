// Has an event loop call back soon, whoever asks: from another thread by an async handle, which
// also is what keeps the loop alive, from the loop's own thread by an idle handle, which is
// cheaper.
//
// Threads: Wake() any; the rest the loop's.
#ifndef STACKGLUE_NATIVE_BINDING_LOOP_WAKE_H_
#define STACKGLUE_NATIVE_BINDING_LOOP_WAKE_H_

#include <uv.h>

#include <functional>
#include <thread>
#include <utility>

namespace stackglue::binding {

class LoopWake {
 public:
  LoopWake() = default;
  LoopWake(const LoopWake&) = delete;
  LoopWake& operator=(const LoopWake&) = delete;

  // To be called once, on the loop's thread. False: no memory. Once it was true the object must
  // live until the callback of Close().
  [[nodiscard]] bool Open(uv_loop_t* loop, std::function<void()> on_wake) {
    if (uv_async_init(loop, &async_, [](uv_async_t* handle) {
          static_cast<LoopWake*>(handle->data)->Run();
        }) != 0) {
      return false;
    }
    on_wake_ = std::move(on_wake);
    async_.data = this;
    uv_idle_init(loop, &idle_);
    idle_.data = this;
    uv_unref(reinterpret_cast<uv_handle_t*>(&idle_));
    return true;
  }

  bool IsOnLoopThread() const { return std::this_thread::get_id() == thread_; }

  // `on_wake` will be called by the loop, once for any number of calls until then.
  void Wake() {
    if (!IsOnLoopThread()) {
      uv_async_send(&async_);
    } else if (!is_closing_) {
      uv_idle_start(&idle_, [](uv_idle_t* handle) { static_cast<LoopWake*>(handle->data)->Run(); });
    }
  }

  // Whether it keeps the loop alive; it does from the start.
  void SetReferenced(bool referenced) {
    if (is_closing_) return;
    auto* handle = reinterpret_cast<uv_handle_t*>(&async_);
    referenced ? uv_ref(handle) : uv_unref(handle);
  }

  // No other thread may call Wake() any more. `on_closed` is the last that is called.
  void Close(std::function<void()> on_closed) {
    is_closing_ = true;
    on_closed_ = std::move(on_closed);
    uv_ref(reinterpret_cast<uv_handle_t*>(&async_));
    for (auto* handle :
         {reinterpret_cast<uv_handle_t*>(&async_), reinterpret_cast<uv_handle_t*>(&idle_)}) {
      uv_close(handle, [](uv_handle_t* closed) {
        auto* self = static_cast<LoopWake*>(closed->data);
        if (--self->open_handles_ == 0) self->on_closed_();
      });
    }
  }

 private:
  void Run() {
    if (is_closing_) return;
    uv_idle_stop(&idle_);
    on_wake_();
  }

  const std::thread::id thread_ = std::this_thread::get_id();
  std::function<void()> on_wake_;
  std::function<void()> on_closed_;
  uv_async_t async_{};
  uv_idle_t idle_{};
  int open_handles_ = 2;
  bool is_closing_ = false;
};

}  // namespace stackglue::binding

#endif  // STACKGLUE_NATIVE_BINDING_LOOP_WAKE_H_
