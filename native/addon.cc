// The addon's one entry: what lib/native.ts declares.
#include <napi.h>

#include "binding/fsdlm_connection.h"
#include "binding/numbers.h"
#include "binding/o2dlm_connection.h"
#include "binding/object_memory.h"
#include "binding/simulation.h"
#include "binding/user_connection.h"

namespace stackglue::binding {
namespace {

Napi::Object Initialize(Napi::Env env, Napi::Object exports) {
  ObjectMemory::Initialize(env);
  exports.Set("numbers", Numbers(env));
  exports.Set("NativeUserConnection", UserConnection::Define(env));
  exports.Set("NativeO2dlmConnection", O2dlmConnection::Define(env));
  exports.Set("NativeSimulation", SimulationHandle::Define(env));
  exports.Set("o2dlmKillNode",
              Napi::Function::New<&O2dlmConnection::KillNode>(env, "o2dlmKillNode"));
  exports.Set("NativeFsdlmConnection", FsdlmConnection::Define(env));
  exports.Set("fsdlmKillNode",
              Napi::Function::New<&FsdlmConnection::KillNode>(env, "fsdlmKillNode"));
  exports.Set("fsdlmInspect", Napi::Function::New<&FsdlmConnection::Inspect>(env, "fsdlmInspect"));
  return exports;
}

}  // namespace

NODE_API_MODULE(stackglue, Initialize)

}  // namespace stackglue::binding
