#include "binding/slabs.h"

#include "binding/arguments.h"

namespace stackglue::binding {

void Slabs::Initialize(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(new Slabs());
  exports.Set("registerSlab", Napi::Function::New<&Slabs::Register>(env, "registerSlab"));
  exports.Set("releaseSlab", Napi::Function::New<&Slabs::Release>(env, "releaseSlab"));
}

Napi::Value Slabs::Register(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto memory = SharedMemory::Of(info[0]);
  if (!memory || memory->type != napi_uint8_array ||
      memory->length < size_t{kBlocks} * StatusBlock::kSize ||
      reinterpret_cast<uintptr_t>(memory->data) % alignof(uint32_t) != 0) {
    return ThrowBadArguments(env, "registerSlab");
  }
  Slabs* slabs = Of(env);
  if (slabs->free_.empty()) {
    slabs->free_.push_back(static_cast<uint32_t>(slabs->slabs_.size()));
    slabs->slabs_.emplace_back();
    slabs->free_.reserve(slabs->slabs_.capacity());
  }
  const uint32_t number = slabs->free_.back();
  slabs->free_.pop_back();
  slabs->slabs_[number] = {static_cast<uint8_t*>(memory->data),
                           std::make_unique<std::array<LockName, kBlocks>>()};
  return ResultNumber(env, number);
}

void Slabs::Release(const Napi::CallbackInfo& info) {
  Slabs* slabs = Of(info.Env());
  const auto number = ReadInteger<uint32_t>(info[0]);
  if (!number || *number >= slabs->slabs_.size() || slabs->slabs_[*number].memory == nullptr) {
    ThrowBadArguments(info.Env(), "releaseSlab");
    return;
  }
  slabs->slabs_[*number] = {};
  slabs->free_.push_back(*number);
}

}  // namespace stackglue::binding
