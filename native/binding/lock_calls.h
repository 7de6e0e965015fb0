// The calls about locks: their arguments, by plain Node-API or by the words behind a batch, and for
// stack `user` the calls themselves, whoever its lockspace belongs to. There a null `lockspace` is
// one that takes no requests (any more), and the calls return what they return or throw that the
// arguments are bad.
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
#include "binding/batch_state.h"
#include "binding/names.h"
#include "util/event_record.h"

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

// The transaction id in the words behind a batch.
inline uint64_t TransactionOf(const BatchState& words) {
  return static_cast<uint64_t>(static_cast<uint32_t>(words.transaction[1])) << 32 |
         static_cast<uint32_t>(words.transaction[0]);
}

// lock(place, mode, flags, name, xid?), which remembers the name at that place; and the words of
// kRelock, which mean that one.
struct LockArguments {
  int32_t mode = 0;
  uint32_t flags = 0;
  uint64_t xid = 0;
  const LockName* its_name = nullptr;

  [[nodiscard]] bool Read(napi_env env, size_t count, const napi_value* arguments, Names* names) {
    uint32_t place = 0;
    if (count < 4 || napi_get_value_uint32(env, arguments[0], &place) != napi_ok ||
        napi_get_value_int32(env, arguments[1], &mode) != napi_ok ||
        napi_get_value_uint32(env, arguments[2], &flags) != napi_ok) {
      return false;
    }
    LockName* name = names->At(place);
    its_name = name;
    return name != nullptr && name->Read({env, arguments[3]}) &&
           ReadTransaction(env, count, arguments, 4, &xid);
  }
  [[nodiscard]] bool Read(const BatchState& words, const Names& names) {
    its_name = names.Find(static_cast<uint32_t>(words.arguments[0]));
    mode = words.arguments[1];
    flags = static_cast<uint32_t>(words.arguments[2]);
    xid = TransactionOf(words);
    return its_name != nullptr;
  }
  std::string_view name() const { return its_name->view(); }
};

// Makes a request and returns what it returned, or why it was not made.
template <class Lockspace, typename Make>
int64_t Attempt(Lockspace* lockspace, Make make) {
  if (lockspace == nullptr) return -ENOTCONN;
  try {
    return make();
  } catch (const std::bad_alloc&) {
    return -ENOMEM;
  }
}

template <class Lockspace>
int64_t Lock(const LockArguments& given, Lockspace* lockspace) {
  return Attempt(lockspace,
                 [&] { return lockspace->Lock(given.mode, given.flags, given.xid, given.name()); });
}

template <class Lockspace>
napi_value CallLock(napi_env env, size_t count, const napi_value* arguments, Names* names,
                    Lockspace* lockspace) {
  LockArguments given;
  try {
    if (!given.Read(env, count, arguments, names)) return ThrowBadArguments(env, "lock");
  } catch (const std::bad_alloc&) {
    return ResultNumber(env, -ENOMEM);
  }
  return ResultNumber(env, Lock(given, lockspace));
}

// Reads the request that JavaScript has left in `words`, which is null after the end, and has it
// made: `lock(LockArguments)`, `unlock(index, flags, block)` or `convert(index, mode, flags, xid,
// block)`, where `block` is the program's value block, for a request with VALBLK. What that returns
// is left there, too. An index is an int32_t on its way to JavaScript in any case:
// EventRecord::index.
template <typename MakeLock, typename MakeUnlock, typename MakeConvert>
napi_value TakeRequest(napi_env env, BatchState* words, const Names& names, MakeLock lock,
                       MakeUnlock unlock, MakeConvert convert) {
  if (words == nullptr) return ThrowBadArguments(env, "request");
  const auto [first, second, third] = words->arguments;
  const auto index = static_cast<uint32_t>(first);
  int64_t result = 0;
  switch (words->request) {
    case RequestKind::kRelock: {
      LockArguments given;
      if (!given.Read(*words, names)) return ThrowBadArguments(env, "request");
      result = lock(given);
      break;
    }
    case RequestKind::kUnlock:
      result = unlock(index, static_cast<uint32_t>(second), words->block.data());
      break;
    case RequestKind::kConvert:
      result = convert(index, second, static_cast<uint32_t>(third), TransactionOf(*words),
                       words->block.data());
      break;
    default:
      return ThrowBadArguments(env, "request");
  }
  words->result = static_cast<int32_t>(result);
  return nullptr;
}

template <class Lockspace>
napi_value CallRequest(napi_env env, BatchState* words, const Names& names, Lockspace* lockspace) {
  return TakeRequest(
      env, words, names, [&](const LockArguments& given) { return Lock(given, lockspace); },
      [&](uint32_t index, uint32_t flags, const uint8_t* block) {
        return Attempt(lockspace, [&] { return lockspace->Unlock(index, flags, block); });
      },
      [&](uint32_t index, int32_t mode, uint32_t flags, uint64_t xid, const uint8_t* block) {
        return Attempt(lockspace,
                       [&] { return lockspace->Convert(index, mode, flags, xid, block); });
      });
}

// deadlockCancel(index)
template <class Lockspace>
Napi::Value CallDeadlockCancel(const Napi::CallbackInfo& info, Lockspace* lockspace) {
  const Napi::Env env = info.Env();
  const auto index = ReadInteger<uint32_t>(info[0]);
  if (!index) return ThrowBadArguments(env, "deadlockCancel");
  return ResultNumber(env, Attempt(lockspace, [&] { return lockspace->DeadlockCancel(*index); }));
}

// purge(node, pid, ticket)
template <class Lockspace>
Napi::Value CallPurge(const Napi::CallbackInfo& info, Lockspace* lockspace) {
  const Napi::Env env = info.Env();
  const auto node = ReadInteger<int32_t>(info[0]);
  const auto pid = ReadInteger<int32_t>(info[1]);
  const auto ticket = ReadInteger<uint32_t>(info[2]);
  if (!node || !pid || !ticket) return ThrowBadArguments(env, "purge");
  return ResultNumber(env,
                      Attempt(lockspace, [&] { return lockspace->Purge(*node, *pid, *ticket); }));
}

}  // namespace stackglue::binding

#endif  // STACKGLUE_NATIVE_BINDING_LOCK_CALLS_H_
