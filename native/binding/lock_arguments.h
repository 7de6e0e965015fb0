// The arguments of the calls of every lock on stack `user`, on plain Node-API.
//
// Threads: the environment's own.
#ifndef STACKGLUE_NATIVE_BINDING_LOCK_ARGUMENTS_H_
#define STACKGLUE_NATIVE_BINDING_LOCK_ARGUMENTS_H_

#include <napi.h>

#include <cstddef>
#include <cstdint>

#include "binding/arguments.h"

namespace stackglue::binding {

// A transaction id: absent, or a BigInt of 64 bits. False: it is something else.
inline bool ReadTransaction(napi_env env, size_t count, const napi_value* arguments, size_t at,
                            uint64_t* xid) {
  if (count <= at) return true;
  napi_valuetype type = napi_undefined;
  bool lossless = false;
  if (napi_typeof(env, arguments[at], &type) != napi_ok) return false;
  if (type == napi_undefined) return true;
  return napi_get_value_bigint_uint64(env, arguments[at], xid, &lossless) == napi_ok && lossless;
}

// lock(block, mode, flags, name, xid?)
struct LockArguments {
  uint32_t block = 0;
  int32_t mode = 0;
  uint32_t flags = 0;
  LockName name;
  uint64_t xid = 0;

  [[nodiscard]] bool Read(napi_env env, size_t count, const napi_value* arguments) {
    return count >= 4 && napi_get_value_uint32(env, arguments[0], &block) == napi_ok &&
           napi_get_value_int32(env, arguments[1], &mode) == napi_ok &&
           napi_get_value_uint32(env, arguments[2], &flags) == napi_ok &&
           name.Read({env, arguments[3]}) && ReadTransaction(env, count, arguments, 4, &xid);
  }
};

// convert(index, mode, flags, xid?)
struct ConvertArguments {
  uint32_t index = 0;
  int32_t mode = 0;
  uint32_t flags = 0;
  uint64_t xid = 0;

  [[nodiscard]] bool Read(napi_env env, size_t count, const napi_value* arguments) {
    return count >= 3 && napi_get_value_uint32(env, arguments[0], &index) == napi_ok &&
           napi_get_value_int32(env, arguments[1], &mode) == napi_ok &&
           napi_get_value_uint32(env, arguments[2], &flags) == napi_ok &&
           ReadTransaction(env, count, arguments, 3, &xid);
  }
};

// unlock(index, flags)
struct UnlockArguments {
  uint32_t index = 0;
  uint32_t flags = 0;

  [[nodiscard]] bool Read(napi_env env, size_t count, const napi_value* arguments) {
    return count >= 2 && napi_get_value_uint32(env, arguments[0], &index) == napi_ok &&
           napi_get_value_uint32(env, arguments[1], &flags) == napi_ok;
  }
};

}  // namespace stackglue::binding

#endif  // STACKGLUE_NATIVE_BINDING_LOCK_ARGUMENTS_H_
