#include "binding/arguments.h"

#include <algorithm>
#include <cstring>

namespace stackglue::binding {

bool LockName::Read(const Napi::Value& value) {
  if (value.IsString()) {
    // One byte of the buffer is the terminator's. What is cut, is cut between characters.
    return napi_get_value_string_utf8(value.Env(), value, bytes_.data(), bytes_.size(), &size_) ==
           napi_ok;
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
  if (!start || !chunk.IsTypedArray() ||
      chunk.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
    return std::nullopt;
  }
  auto array = chunk.As<Napi::Uint8Array>();
  if (*start % alignof(uint32_t) != 0 || array.ByteLength() < StatusBlock::kSize ||
      *start > array.ByteLength() - StatusBlock::kSize) {
    return std::nullopt;
  }
  return StatusBlock(array.Data() + *start);
}

Napi::Value ThrowBadArguments(Napi::Env env, const char* method) {
  Napi::TypeError::New(env, std::string("stackglue addon: bad arguments to ") + method)
      .ThrowAsJavaScriptException();
  return env.Undefined();
}

}  // namespace stackglue::binding
