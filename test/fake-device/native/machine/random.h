// A small seeded generator (Sebastiano Vigna's SplitMix64).
#ifndef STACKGLUE_TEST_FAKE_DEVICE_MACHINE_RANDOM_H_
#define STACKGLUE_TEST_FAKE_DEVICE_MACHINE_RANDOM_H_

#include <cstdint>

namespace stackglue::fake_device {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  // 0 to `limit` - 1.
  uint32_t Below(uint32_t limit) {
    state_ += 0x9e3779b97f4a7c15ULL;
    uint64_t mixed = state_;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9ULL;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebULL;
    return static_cast<uint32_t>((mixed ^ (mixed >> 31)) % limit);
  }
  // True once in so many times.
  bool OneIn(uint32_t times) { return Below(times) == 0; }

 private:
  uint64_t state_;
};

}  // namespace stackglue::fake_device

#endif  // STACKGLUE_TEST_FAKE_DEVICE_MACHINE_RANDOM_H_
