#include "binding/arguments.h"

#include <algorithm>
#include <cstring>

namespace stackglue::binding {

bool LockName::Read(const Napi::Value& value) {
  // One byte of the buffer is the terminator's. What is cut, is cut between characters.
  if (napi_get_value_string_utf8(value.Env(), value, bytes_.data(), bytes_.size(), &size_) ==
      napi_ok) {
    return true;
  }
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
    return false;
  }
  const auto array = value.As<Napi::Uint8Array>();
  size_ = std::min(array.ByteLength(), kMax + 1);
  if (size_ > 0) std::memcpy(bytes_.data(), array.Data(), size_);
  return true;
}

std::optional<StatusBlock> ReadStatusBlock(const Napi::Value& chunk, const Napi::Value& offset) {
  const auto start = ReadInteger<uint32_t>(offset);
  napi_typedarray_type type;
  size_t length = 0;
  void* bytes = nullptr;
  if (!start || napi_get_typedarray_info(chunk.Env(), chunk, &type, &length, &bytes, nullptr,
                                         nullptr) != napi_ok) {
    return std::nullopt;
  }
  if (type != napi_uint8_array || *start % alignof(uint32_t) != 0 || length < StatusBlock::kSize ||
      *start > length - StatusBlock::kSize) {
    return std::nullopt;
  }
  return StatusBlock(static_cast<uint8_t*>(bytes) + *start);
}

Napi::Value ThrowBadArguments(Napi::Env env, const char* method) {
  Napi::TypeError::New(env, std::string("stackglue addon: bad arguments to ") + method)
      .ThrowAsJavaScriptException();
  return env.Undefined();
}

}  // namespace stackglue::binding
