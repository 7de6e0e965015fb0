// The calls of every lock, on plain Node-API: the C++ wrapper's part of such a call takes longer
// than the call.
//
// Threads: the environment's own.
#ifndef STACKGLUE_NATIVE_BINDING_FAST_CALL_H_
#define STACKGLUE_NATIVE_BINDING_FAST_CALL_H_

#include <napi.h>

#include <cstddef>

namespace stackglue::binding {

// The most arguments that such a call is given; further ones are not looked at.
inline constexpr size_t kFastArgumentsMax = 5;

template <class Class, napi_value (Class::*Method)(napi_env, size_t, const napi_value*)>
napi_value FastCall(napi_env env, napi_callback_info info) {
  napi_value arguments[kFastArgumentsMax];
  size_t count = kFastArgumentsMax;
  void* self = nullptr;
  napi_get_cb_info(env, info, &count, arguments, nullptr, &self);
  return (static_cast<Class*>(self)->*Method)(env, count, arguments);
}

// The same without arguments.
template <class Class, napi_value (Class::*Method)(napi_env)>
napi_value BareCall(napi_env env, napi_callback_info info) {
  void* self = nullptr;
  napi_get_cb_info(env, info, nullptr, nullptr, nullptr, &self);
  return (static_cast<Class*>(self)->*Method)(env);
}

// Gives the object under construction, `info.This()`, a method, which is called with `self`.
inline void DefineCall(const Napi::CallbackInfo& info, napi_callback call, void* self,
                       const char* name) {
  const napi_env env = info.Env();
  napi_value function = nullptr;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, call, self, &function);
  // Who has the function has the object.
  napi_set_named_property(env, function, "connection", info.This());
  napi_set_named_property(env, info.This(), name, function);
}

template <class Class, napi_value (Class::*Method)(napi_env, size_t, const napi_value*)>
void DefineFastCall(const Napi::CallbackInfo& info, Class* self, const char* name) {
  DefineCall(info, &FastCall<Class, Method>, self, name);
}

template <class Class, napi_value (Class::*Method)(napi_env)>
void DefineBareCall(const Napi::CallbackInfo& info, Class* self, const char* name) {
  DefineCall(info, &BareCall<Class, Method>, self, name);
}

}  // namespace stackglue::binding

#endif  // STACKGLUE_NATIVE_BINDING_FAST_CALL_H_
