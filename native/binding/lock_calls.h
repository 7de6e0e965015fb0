// The calls about locks: the request that JavaScript leaves in the words behind a batch, and for
// stack `user` the calls that are about no such request. There a null `book` is one that takes no
// requests (any more), and the calls return what they return or throw that the arguments are bad.
//
// Threads: the environment's own.
#ifndef STACKGLUE_NATIVE_BINDING_LOCK_CALLS_H_
#define STACKGLUE_NATIVE_BINDING_LOCK_CALLS_H_

#include <napi.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <new>
#include <string_view>

#include "binding/arguments.h"
#include "binding/batch_state.h"
#include "user/lock_book.h"
#include "util/event_record.h"

namespace stackglue::binding {

// The transaction id in the words behind a batch.
inline uint64_t TransactionOf(const BatchState& words) {
  return static_cast<uint64_t>(static_cast<uint32_t>(words.transaction[1])) << 32 |
         static_cast<uint32_t>(words.transaction[0]);
}

// The name there. JavaScript says how long it is; all that is longer than any may be is the same.
inline std::string_view NameOf(const BatchState& words, int32_t size) {
  return {words.name.data(), std::min<size_t>(static_cast<uint32_t>(size), kNameRoom)};
}

// What a request is answered with that nobody makes: there is nobody (any more), or no memory.
struct Unmade {
  int32_t closed;
  int32_t no_memory;
};

// Has the request that JavaScript has left in `words`, which is null after the end, made by
// `locks`, which may be null: Lock(mode, flags, xid, name), Convert(index, mode, flags, xid, block)
// or Unlock(index, flags, block), where `block` is the program's value block, for a request with
// VALBLK. What that returns is left there, too. An index is an int32_t on its way to JavaScript in
// any case: EventRecord::index. Words that are no request throw into JavaScript.
template <class Locks>
void TakeRequest(napi_env env, BatchState* words, Locks* locks, Unmade unmade) {
  if (words == nullptr || !IsRequest(words->request)) {
    ThrowBadArguments(env, "request");
    return;
  }
  if (locks == nullptr) {
    words->result = unmade.closed;
    return;
  }
  const auto [first, second, third] = words->arguments;
  int64_t result = unmade.no_memory;
  try {
    switch (words->request) {
      case RequestKind::kLock:
        result = locks->Lock(first, static_cast<uint32_t>(second), TransactionOf(*words),
                             NameOf(*words, third));
        break;
      case RequestKind::kUnlock:
        result = locks->Unlock(static_cast<uint32_t>(first), static_cast<uint32_t>(second),
                               words->block.data());
        break;
      case RequestKind::kConvert:
        result = locks->Convert(static_cast<uint32_t>(first), second, static_cast<uint32_t>(third),
                                TransactionOf(*words), words->block.data());
        break;
    }
  } catch (const std::bad_alloc&) {
    // Nothing has been changed.
  }
  words->result = static_cast<int32_t>(result);
}

// Of stack `user`.
inline constexpr Unmade kUserUnmade{-ENOTCONN, -ENOMEM};

// deadlockCancel(index)
inline Napi::Value CallDeadlockCancel(const Napi::CallbackInfo& info, user::LockBook* book) {
  const Napi::Env env = info.Env();
  const auto index = ReadInteger<uint32_t>(info[0]);
  if (!index) return ThrowBadArguments(env, "deadlockCancel");
  if (book == nullptr) return ResultNumber(env, -ENOTCONN);
  try {
    return ResultNumber(env, book->DeadlockCancel(*index));
  } catch (const std::bad_alloc&) {
    return ResultNumber(env, -ENOMEM);
  }
}

// purge(node, pid, ticket). A null `lockspace` takes no requests.
template <class Lockspace>
Napi::Value CallPurge(const Napi::CallbackInfo& info, Lockspace* lockspace) {
  const Napi::Env env = info.Env();
  const auto node = ReadInteger<int32_t>(info[0]);
  const auto pid = ReadInteger<int32_t>(info[1]);
  const auto ticket = ReadInteger<uint32_t>(info[2]);
  if (!node || !pid || !ticket) return ThrowBadArguments(env, "purge");
  if (lockspace == nullptr) return ResultNumber(env, -ENOTCONN);
  try {
    return ResultNumber(env, lockspace->Purge(*node, *pid, *ticket));
  } catch (const std::bad_alloc&) {
    return ResultNumber(env, -ENOMEM);
  }
}

}  // namespace stackglue::binding

#endif  // STACKGLUE_NATIVE_BINDING_LOCK_CALLS_H_
