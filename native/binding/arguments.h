// What comes from JavaScript, checked. lib/ has checked it before and says so with better words;
// these checks are what keeps a mistake in lib/ from becoming a mistake in memory.
#ifndef STACKGLUE_NATIVE_BINDING_ARGUMENTS_H_
#define STACKGLUE_NATIVE_BINDING_ARGUMENTS_H_

#include <napi.h>

#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace stackglue::binding {

// A lock's name: the UTF-8 bytes of a string, or the bytes of a Uint8Array.
class LockName {
 public:
  // False when `value` is neither. A name of more than kMax bytes is cut at kMax + 1 or a little
  // less, which every stack refuses for its length.
  bool Read(const Napi::Value& value);
  std::string_view view() const { return {bytes_.data(), size_}; }

 private:
  // DLM_RESNAME_MAXLEN, the longest of any stack.
  static constexpr size_t kMax = 64;
  std::array<char, kMax + 8> bytes_;
  uint8_t size_ = 0;
};

// What a typed array over shared memory shows. Other memory may be detached by JavaScript, so
// native code keeps no pointer to it.
struct SharedMemory {
  napi_typedarray_type type;
  size_t length;  // elements
  void* data;

  // None when `value` is something else.
  static std::optional<SharedMemory> Of(const Napi::Value& value);
};

// An integer in the range of T; none for anything else.
template <typename T>
std::optional<T> ReadInteger(const Napi::Value& value) {
  double number = 0;
  if (napi_get_value_double(value.Env(), value, &number) != napi_ok) return std::nullopt;
  if (!(number >= static_cast<double>(std::numeric_limits<T>::min()) &&
        number <= static_cast<double>(std::numeric_limits<T>::max()))) {
    return std::nullopt;
  }
  const T integer = static_cast<T>(number);
  return static_cast<double>(integer) == number ? std::optional<T>(integer) : std::nullopt;
}

// A result: an index, 0, or a negative errno.
inline Napi::Value ResultNumber(Napi::Env env, int64_t result) {
  napi_value number = nullptr;
  const auto small = static_cast<int32_t>(result);  // the cheaper kind of number
  if (small == result) {
    napi_create_int32(env, small, &number);
  } else {
    napi_create_int64(env, result, &number);
  }
  return {env, number};
}

// What `membership` returns (lib/native.ts). A ring has 64 bits, more than a number can tell apart.
inline Napi::Value MembershipArray(Napi::Env env, uint64_t ring, bool is_quorate) {
  auto known = Napi::Array::New(env, 2);
  known.Set(0U, Napi::BigInt::New(env, ring));
  known.Set(1U, Napi::Boolean::New(env, is_quorate));
  return known;
}

// Throws a TypeError into JavaScript; for callers that bypass lib/.
Napi::Value ThrowBadArguments(Napi::Env env, const char* method);

// Throws an Error whose code is ENOMEM into JavaScript.
void ThrowOutOfMemory(napi_env env);

}  // namespace stackglue::binding

#endif  // STACKGLUE_NATIVE_BINDING_ARGUMENTS_H_
