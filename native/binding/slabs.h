// The memory of status blocks, by number: JavaScript names a block by its slab's number and its
// place there, which is cheap to hand over and can be checked. Beside each block is kept the name
// that it was last locked with, so that a lock on the same name again needs no string.
//
// Threads: each environment has its own, for its own thread.
#ifndef STACKGLUE_NATIVE_BINDING_SLABS_H_
#define STACKGLUE_NATIVE_BINDING_SLABS_H_

#include <napi.h>

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "binding/arguments.h"
#include "util/status_block.h"

namespace stackglue::binding {

class Slabs {
 public:
  // Blocks in a slab. lib/native.ts repeats it.
  static constexpr uint32_t kBlocks = 64;

  // Gives the environment its own, and JavaScript registerSlab() and releaseSlab().
  static void Initialize(Napi::Env env, Napi::Object exports);
  static Slabs* Of(Napi::Env env) { return env.GetInstanceData<Slabs>(); }

  struct Block {
    StatusBlock status_block;
    LockName* name = nullptr;  // null: there is no such block

    explicit operator bool() const { return name != nullptr; }
  };

  // The block of this number (slab * kBlocks + place); none when its slab is not registered.
  Block Find(uint32_t block) const {
    const uint32_t number = block / kBlocks;
    if (number >= slabs_.size() || slabs_[number].memory == nullptr) return {};
    const Slab& slab = slabs_[number];
    const size_t place = block % kBlocks;
    return {StatusBlock(slab.memory + place * StatusBlock::kSize), &(*slab.names)[place]};
  }

 private:
  // registerSlab(bytes): the slab's number. JavaScript holds the memory until it calls
  // releaseSlab(number), and longer than any lock that has a block in it.
  static Napi::Value Register(const Napi::CallbackInfo& info);
  static void Release(const Napi::CallbackInfo& info);
  // Throws std::bad_alloc, and has changed nothing then.
  uint32_t Add(uint8_t* memory);

  struct Slab {
    uint8_t* memory = nullptr;
    std::unique_ptr<std::array<LockName, kBlocks>> names;
  };

  std::vector<Slab> slabs_;
  std::vector<uint32_t> free_;
};

}  // namespace stackglue::binding

#endif  // STACKGLUE_NATIVE_BINDING_SLABS_H_
