// The calls about locks, on plain Node-API: their arguments, and for stack `user` the calls
// themselves, whoever its lockspace belongs to. There a null `lockspace` is one that takes no
// requests (any more), and the calls return what they return or throw that the arguments are bad.
//
// Threads: the environment's own.
#ifndef STACKGLUE_NATIVE_BINDING_LOCK_CALLS_H_
#define STACKGLUE_NATIVE_BINDING_LOCK_CALLS_H_

#include <napi.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <new>
#include <string_view>

#include "binding/arguments.h"
#include "binding/slabs.h"

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

// lock(block, mode, flags, name, xid?), which remembers the name with the block, and
// relock(block, mode, flags), which means that one.
struct LockArguments {
  uint32_t number = 0;
  int32_t mode = 0;
  uint32_t flags = 0;
  uint64_t xid = 0;
  Slabs::Block block;

  [[nodiscard]] bool Read(napi_env env, size_t count, const napi_value* arguments,
                          const Slabs& slabs) {
    return count >= 4 && ReadAgain(env, count, arguments, slabs) &&
           block.name->Read({env, arguments[3]}) && ReadTransaction(env, count, arguments, 4, &xid);
  }
  [[nodiscard]] bool ReadAgain(napi_env env, size_t count, const napi_value* arguments,
                               const Slabs& slabs) {
    if (count < 3 || napi_get_value_uint32(env, arguments[0], &number) != napi_ok ||
        napi_get_value_int32(env, arguments[1], &mode) != napi_ok ||
        napi_get_value_uint32(env, arguments[2], &flags) != napi_ok) {
      return false;
    }
    block = slabs.Find(number);
    return static_cast<bool>(block);
  }
  std::string_view name() const { return block.name->view(); }
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

// Makes a request and returns what it returned, or why it was not made.
template <class Lockspace, typename Make>
napi_value Request(napi_env env, Lockspace* lockspace, Make make) {
  int64_t result = -ENOTCONN;
  if (lockspace != nullptr) {
    try {
      result = make();
    } catch (const std::bad_alloc&) {
      result = -ENOMEM;
    }
  }
  return ResultNumber(env, result);
}

template <class Lockspace>
napi_value RequestLock(napi_env env, const LockArguments& given, Lockspace* lockspace) {
  return Request(env, lockspace, [&] {
    return lockspace->Lock(given.mode, given.flags, given.xid, given.name(),
                           given.block.status_block);
  });
}

template <class Lockspace>
napi_value CallLock(napi_env env, size_t count, const napi_value* arguments, const Slabs& slabs,
                    Lockspace* lockspace) {
  LockArguments given;
  if (!given.Read(env, count, arguments, slabs)) return ThrowBadArguments(env, "lock");
  return RequestLock(env, given, lockspace);
}

template <class Lockspace>
napi_value CallRelock(napi_env env, size_t count, const napi_value* arguments, const Slabs& slabs,
                      Lockspace* lockspace) {
  LockArguments given;
  if (!given.ReadAgain(env, count, arguments, slabs)) return ThrowBadArguments(env, "relock");
  return RequestLock(env, given, lockspace);
}

template <class Lockspace>
napi_value CallConvert(napi_env env, size_t count, const napi_value* arguments,
                       Lockspace* lockspace) {
  ConvertArguments given;
  if (!given.Read(env, count, arguments)) return ThrowBadArguments(env, "convert");
  return Request(env, lockspace, [&] {
    return lockspace->Convert(given.index, given.mode, given.flags, given.xid);
  });
}

template <class Lockspace>
napi_value CallUnlock(napi_env env, size_t count, const napi_value* arguments,
                      Lockspace* lockspace) {
  UnlockArguments given;
  if (!given.Read(env, count, arguments)) return ThrowBadArguments(env, "unlock");
  return Request(env, lockspace, [&] { return lockspace->Unlock(given.index, given.flags); });
}

// deadlockCancel(index)
template <class Lockspace>
Napi::Value CallDeadlockCancel(const Napi::CallbackInfo& info, Lockspace* lockspace) {
  const Napi::Env env = info.Env();
  const auto index = ReadInteger<uint32_t>(info[0]);
  if (!index) return ThrowBadArguments(env, "deadlockCancel");
  return {env, Request(env, lockspace, [&] { return lockspace->DeadlockCancel(*index); })};
}

// purge(node, pid, ticket)
template <class Lockspace>
Napi::Value CallPurge(const Napi::CallbackInfo& info, Lockspace* lockspace) {
  const Napi::Env env = info.Env();
  const auto node = ReadInteger<int32_t>(info[0]);
  const auto pid = ReadInteger<int32_t>(info[1]);
  const auto ticket = ReadInteger<uint32_t>(info[2]);
  if (!node || !pid || !ticket) return ThrowBadArguments(env, "purge");
  return {env, Request(env, lockspace, [&] { return lockspace->Purge(*node, *pid, *ticket); })};
}

}  // namespace stackglue::binding

#endif  // STACKGLUE_NATIVE_BINDING_LOCK_CALLS_H_
