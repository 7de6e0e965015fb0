// The calls of every lock, on plain Node-API: the C++ wrapper's part of such a call takes longer
// than the call. They take no arguments: what they are about lies behind the batch.
//
// Threads: the environment's own.
#ifndef STACKGLUE_NATIVE_BINDING_FAST_CALL_H_
#define STACKGLUE_NATIVE_BINDING_FAST_CALL_H_

#include <napi.h>

namespace stackglue::binding {

// Gives the object under construction, `info.This()`, a method. `call` finds it by CalledObject().
template <class Class>
void DefineFastCall(const Napi::CallbackInfo& info, Class* self, const char* name,
                    napi_callback call) {
  const napi_env env = info.Env();
  napi_value function = nullptr;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, call, self, &function);
  // Who has the function has the object.
  napi_set_named_property(env, function, "connection", info.This());
  napi_set_named_property(env, info.This(), name, function);
}

// Whose method has been called.
template <class Class>
Class* CalledObject(napi_env env, napi_callback_info info) {
  void* self = nullptr;
  napi_get_cb_info(env, info, nullptr, nullptr, nullptr, &self);
  return static_cast<Class*>(self);
}

}  // namespace stackglue::binding

#endif  // STACKGLUE_NATIVE_BINDING_FAST_CALL_H_
