// An addon with faults on purpose, one for each kind that the sanitizers are to find: what tells
// that their reports come through, when the addon itself has none.
#include <node_api.h>

#include <thread>

namespace {

int shared = 0;
int* volatile lost = nullptr;

napi_value UseAfterFree(napi_env, napi_callback_info) {
  volatile int* one = new int[1];
  volatile int* volatile gone = one;
  delete[] one;
  *gone = 1;
  return nullptr;
}

napi_value Race(napi_env, napi_callback_info) {
  std::thread other([] { ++shared; });
  ++shared;
  other.join();
  return nullptr;
}

// Many, because one that is still in a register or on the stack is not lost yet.
napi_value Leak(napi_env, napi_callback_info) {
  for (int i = 0; i < 100; ++i) lost = new int[3];
  lost = nullptr;
  return nullptr;
}

napi_value Initialize(napi_env env, napi_value exports) {
  const struct {
    const char* name;
    napi_callback call;
  } functions[] = {{"use after free", UseAfterFree}, {"race", Race}, {"leak", Leak}};
  for (const auto& [name, call] : functions) {
    napi_value function = nullptr;
    napi_create_function(env, name, NAPI_AUTO_LENGTH, call, nullptr, &function);
    napi_set_named_property(env, exports, name, function);
  }
  return exports;
}

}  // namespace

NAPI_MODULE(planted, Initialize)
