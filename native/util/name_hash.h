// Hashes of names that may come from an adversary: seeded at random for each process.
//
// Threads: any.
#ifndef STACKGLUE_NATIVE_UTIL_NAME_HASH_H_
#define STACKGLUE_NATIVE_UTIL_NAME_HASH_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <string_view>

namespace stackglue {

class NameHash {
 public:
  static uint64_t Of(std::string_view name) {
    static const uint64_t seed = ProcessSeed();
    const char* at = name.data();
    size_t left = name.size();
    uint64_t hash = seed ^ (left * 0x9e3779b97f4a7c15u);
    for (; left > 8; at += 8, left -= 8) hash = Add(hash, Load<uint64_t>(at), seed);
    // The last one to eight bytes by loads of a fixed size, which may overlap.
    if (left >= 4) {
      const uint64_t high = Load<uint32_t>(at + left - 4);
      hash = Add(hash, Load<uint32_t>(at) | high << 32, seed);
    } else if (left > 0) {
      const uint64_t middle = Load<uint8_t>(at + left / 2);
      const uint64_t last = Load<uint8_t>(at + left - 1);
      hash = Add(hash, Load<uint8_t>(at) | middle << 8 | last << 16, seed);
    }
    return Mix(hash, 0x8ebc6af09c88c6e3u);
  }

 private:
  template <class T>
  static T Load(const char* at) {
    T value;
    std::memcpy(&value, at, sizeof value);
    return value;
  }

  static uint64_t Add(uint64_t hash, uint64_t word, uint64_t seed) {
    return Mix(hash ^ word ^ 0xa0761d6478bd642fu, seed ^ 0xe7037ed1a0b428dbu);
  }

  static uint64_t ProcessSeed() noexcept {
    try {
      std::random_device device;
      return (static_cast<uint64_t>(device()) << 32) ^ device();
    } catch (...) {
      static const char anchor = 0;
      return reinterpret_cast<uintptr_t>(&anchor);  // the loader's randomness, better than none
    }
  }

  // Multiplies and folds the product.
  static uint64_t Mix(uint64_t a, uint64_t b) {
    __extension__ using Wide = unsigned __int128;
    const Wide product = static_cast<Wide>(a) * b;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
  }
};

}  // namespace stackglue

#endif  // STACKGLUE_NATIVE_UTIL_NAME_HASH_H_
