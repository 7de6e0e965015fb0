#include "binding/arguments.h"

#include <algorithm>
#include <cstring>

namespace stackglue::binding {

bool LockName::Read(const Napi::Value& value) {
  // One byte of the buffer is the terminator's. What is cut, is cut between characters.
  size_t size = 0;
  if (napi_get_value_string_utf8(value.Env(), value, bytes_.data(), bytes_.size(), &size) ==
      napi_ok) {
    size_ = static_cast<uint8_t>(size);
    return true;
  }
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
    return false;
  }
  const auto array = value.As<Napi::Uint8Array>();
  size_ = static_cast<uint8_t>(std::min(array.ByteLength(), kMax + 1));
  if (size_ > 0) std::memcpy(bytes_.data(), array.Data(), size_);
  return true;
}

std::optional<SharedMemory> SharedMemory::Of(const Napi::Value& value) {
  SharedMemory memory{};
  napi_value buffer = nullptr;
  bool can_be_detached = true;
  if (napi_get_typedarray_info(value.Env(), value, &memory.type, &memory.length, &memory.data,
                               &buffer, nullptr) != napi_ok ||
      napi_is_arraybuffer(value.Env(), buffer, &can_be_detached) != napi_ok || can_be_detached) {
    return std::nullopt;
  }
  return memory;
}

Napi::Value ThrowBadArguments(Napi::Env env, const char* method) {
  Napi::TypeError::New(env, std::string("stackglue addon: bad arguments to ") + method)
      .ThrowAsJavaScriptException();
  return env.Undefined();
}

void ThrowOutOfMemory(napi_env env) {
  napi_throw_error(env, "ENOMEM", "stackglue addon: out of memory");
}

}  // namespace stackglue::binding
