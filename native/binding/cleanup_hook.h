// Runs a callback when the environment (the process, or one worker thread) ends, and lets it finish
// asynchronously: the environment goes on turning its event loop until Done().
//
// Threads: the environment's own.
#ifndef STACKGLUE_NATIVE_BINDING_CLEANUP_HOOK_H_
#define STACKGLUE_NATIVE_BINDING_CLEANUP_HOOK_H_

#include <napi.h>

#include <functional>
#include <utility>

namespace stackglue::binding {

class CleanupHook {
 public:
  CleanupHook(napi_env env, std::function<void()> on_teardown)
      : on_teardown_(std::move(on_teardown)) {
    napi_add_async_cleanup_hook(env, &CleanupHook::Run, this, &handle_);
  }
  CleanupHook(const CleanupHook&) = delete;
  CleanupHook& operator=(const CleanupHook&) = delete;
  ~CleanupHook() { Done(); }

  // The environment no longer needs to wait for the owner. Idempotent.
  void Done() {
    if (handle_ == nullptr) return;
    napi_remove_async_cleanup_hook(std::exchange(handle_, nullptr));
  }

 private:
  static void Run(napi_async_cleanup_hook_handle, void* self) {
    static_cast<CleanupHook*>(self)->on_teardown_();
  }

  std::function<void()> on_teardown_;
  napi_async_cleanup_hook_handle handle_ = nullptr;
};

}  // namespace stackglue::binding

#endif  // STACKGLUE_NATIVE_BINDING_CLEANUP_HOOK_H_
