// An addon by which a program tells its preloaded operator new (failing_new.cc) what is to fail.
#include <dlfcn.h>
#include <node_api.h>

#include <cstdint>

namespace {

// failAt(count): the addon's `count`th allocation from now on fails, or with 0 none. Returns how
// many were still to come.
napi_value FailAt(napi_env env, napi_callback_info info) {
  using Fail = long (*)(long);
  static const auto fail = reinterpret_cast<Fail>(dlsym(RTLD_DEFAULT, "StackglueFailAllocation"));
  if (fail == nullptr) {
    napi_throw_error(env, nullptr, "failing_new.so is not preloaded");
    return nullptr;
  }
  size_t size = 1;
  napi_value given = nullptr;
  napi_get_cb_info(env, info, &size, &given, nullptr, nullptr);
  int64_t count = 0;
  napi_get_value_int64(env, given, &count);
  napi_value before = nullptr;
  napi_create_int64(env, fail(static_cast<long>(count)), &before);
  return before;
}

napi_value Initialize(napi_env env, napi_value exports) {
  napi_value function = nullptr;
  napi_create_function(env, "failAt", NAPI_AUTO_LENGTH, FailAt, nullptr, &function);
  napi_set_named_property(env, exports, "failAt", function);
  return exports;
}

}  // namespace

NAPI_MODULE(memory, Initialize)
