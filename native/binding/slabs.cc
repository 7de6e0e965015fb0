#include "binding/slabs.h"

#include <new>
#include <utility>

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
  try {
    return ResultNumber(env, Of(env)->Add(static_cast<uint8_t*>(memory->data)));
  } catch (const std::bad_alloc&) {
    ThrowOutOfMemory(env);
    return env.Undefined();
  }
}

uint32_t Slabs::Add(uint8_t* memory) {
  auto names = std::make_unique<std::array<LockName, kBlocks>>();
  if (free_.empty()) {
    // There is room for each slab that is released.
    free_.reserve(slabs_.size() + 1);
    slabs_.emplace_back();
    free_.push_back(static_cast<uint32_t>(slabs_.size()) - 1);
  }
  const uint32_t number = free_.back();
  free_.pop_back();
  slabs_[number] = {memory, std::move(names)};
  return number;
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
