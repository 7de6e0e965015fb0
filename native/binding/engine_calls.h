// What the connections to the two engines answer alike.
//
// Threads: the environment's own.
#ifndef STACKGLUE_NATIVE_BINDING_ENGINE_CALLS_H_
#define STACKGLUE_NATIVE_BINDING_ENGINE_CALLS_H_

#include <napi.h>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "binding/arguments.h"

namespace stackglue::binding {

// `method`(cluster, node): has a node of an engine's cluster die. 0 or a negative errno.
template <class Cluster>
Napi::Value CallKillNode(const Napi::CallbackInfo& info, const char* method) {
  const auto node = ReadInteger<int32_t>(info[1]);
  if (!info[0].IsString() || !node) return ThrowBadArguments(info.Env(), method);
  const std::string name = info[0].As<Napi::String>();
  const std::shared_ptr<Cluster> cluster = Cluster::Named(name);
  return Napi::Number::New(info.Env(), cluster == nullptr ? -ENOMEM : cluster->KillNode(*node));
}

// What `members` returns (lib/native.ts): emulated nodes have neither names nor addresses.
inline Napi::Array MembersArray(Napi::Env env, std::span<const int> nodes) {
  auto members = Napi::Array::New(env);
  uint32_t count = 0;
  for (const int node : nodes) {
    auto member = Napi::Array::New(env, 3);
    member.Set(0U, Napi::Number::New(env, node));
    member.Set(1U, Napi::String::New(env, ""));
    member.Set(2U, Napi::Array::New(env));
    members.Set(count++, member);
  }
  return members;
}

}  // namespace stackglue::binding

#endif  // STACKGLUE_NATIVE_BINDING_ENGINE_CALLS_H_
