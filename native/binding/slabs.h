// The memory of status blocks, by number: JavaScript names a block by its slab's number and its
// place there, which is cheap to hand over and can be checked.
//
// Threads: each environment has its own, for its own thread.
#ifndef STACKGLUE_NATIVE_BINDING_SLABS_H_
#define STACKGLUE_NATIVE_BINDING_SLABS_H_

#include <napi.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "util/status_block.h"

namespace stackglue::binding {

class Slabs {
 public:
  // Blocks in a slab. lib/native.ts repeats it.
  static constexpr uint32_t kBlocks = 64;

  // Gives the environment its own, and JavaScript registerSlab() and releaseSlab().
  static void Initialize(Napi::Env env, Napi::Object exports);
  static Slabs* Of(Napi::Env env) { return env.GetInstanceData<Slabs>(); }

  // The block of this number (slab * kBlocks + place); none when its slab is not registered.
  std::optional<StatusBlock> Find(uint32_t block) const {
    const uint32_t slab = block / kBlocks;
    if (slab >= slabs_.size() || slabs_[slab] == nullptr) return std::nullopt;
    return StatusBlock(slabs_[slab] + size_t{block % kBlocks} * StatusBlock::kSize);
  }

 private:
  // registerSlab(bytes): the slab's number. JavaScript holds the memory until it calls
  // releaseSlab(number), and longer than any lock that has a block in it.
  static Napi::Value Register(const Napi::CallbackInfo& info);
  static void Release(const Napi::CallbackInfo& info);

  std::vector<uint8_t*> slabs_;
  std::vector<uint32_t> free_;
};

}  // namespace stackglue::binding

#endif  // STACKGLUE_NATIVE_BINDING_SLABS_H_
