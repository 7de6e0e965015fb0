// libFuzzer target: the input is a program of calls on the fsdlm engine. After each call the state
// must keep the invariants of native/fsdlm/README.md; the sanitizers watch the rest.
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "fsdlm.h"
#include "inspect.h"
#include "modes.h"

namespace stackglue::fsdlm {
namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

class TickingClock : public Clock {
 public:
  uint64_t NowMs() noexcept override { return now_ms; }
  uint64_t now_ms = 0;
};

class Program {
 public:
  Program(const uint8_t* data, size_t size)
      : data_(data), size_(size), cluster_(Cluster::Create(&clock_)), members_(4) {}

  void Run() {
    while (size_ > 0) {
      Step();
      Check();
    }
    members_.clear();
    Require(!InspectLockspace(cluster_.get(), "ls").has_value());
  }

 private:
  uint8_t Byte() {
    if (size_ == 0) return 0;
    --size_;
    return *data_++;
  }
  uint32_t Flags() {
    const uint32_t low = Byte();
    const uint32_t middle = Byte();
    return low | middle << 8 | static_cast<uint32_t>(Byte() & 7) << 16;
  }
  LockId PickLock() { return ids_.empty() ? Byte() : ids_[Byte() % ids_.size()]; }

  void Step() {
    const uint8_t code = Byte();
    std::unique_ptr<Member>& member = members_[code >> 4 & 3];
    if (member == nullptr) {
      const int node = 1 + (code >> 6) % 3;
      Require(cluster_->Join("ls", node, nullptr, &member) == 0);
      return;
    }
    ValueBlock block;
    block.fill(code);
    const uint8_t* lvb = (code & 0x80) != 0 ? block.data() : nullptr;
    switch (code & 15) {
      case 0:
      case 1:
      case 2: {
        LockId id = 0;
        const int mode = Byte() % 7;
        const std::string name(1, static_cast<char>('a' + Byte() % 2));
        const uint32_t flags = Flags() & ~kLkfConvert;
        if (member->Lock(mode, flags, name, 1, lvb == nullptr, lvb, &id) != 0) return;
        Require(id != 0);
        if (ids_.size() < 64) ids_.push_back(id);
        break;
      }
      case 3:
      case 4:
      case 5: {
        LockId id = PickLock();
        const int mode = Byte() % 6;
        (void)member->Lock(mode, Flags() | kLkfConvert, {}, 1, lvb == nullptr, lvb, &id);
        break;
      }
      case 6:
      case 7:
        (void)member->Unlock(PickLock(), Flags(), code, lvb);
        break;
      case 8:
        (void)member->Unlock(PickLock(), kLkfCancel, 0, nullptr);
        break;
      case 9:
      case 10: {
        std::vector<Event> events(Byte() % 8);
        (void)member->TakeEvents(events.data(), events.size());
        break;
      }
      case 11:
        (void)cluster_->KillNode(1 + Byte() % 3);
        break;
      case 12:
        member.reset();
        break;
      case 13:
        (void)member->Purge(Byte() % 4, Byte() % 8);
        break;
      case 14:
        clock_.now_ms += Byte() * 100;
        break;
      default:
        (void)member->Unlock(PickLock(), 0, 0, lvb);
    }
  }

  void Check() {
    const auto view = InspectLockspace(cluster_.get(), "ls");
    if (!view) return;
    for (const ResourceView& resource : view->resources) {
      std::vector<LockView> held = resource.granted;
      held.insert(held.end(), resource.converting.begin(), resource.converting.end());
      for (size_t i = 0; i < held.size(); ++i) {
        for (size_t j = 0; j < i; ++j) Require(Compatible(held[i].grmode, held[j].grmode));
      }
      // Nobody waits for nothing.
      Require(!held.empty() || resource.waiting.empty());
      Require(resource.master != 0 || (held.empty() && resource.waiting.empty()));
    }
  }

  const uint8_t* data_;
  size_t size_;
  TickingClock clock_;
  std::shared_ptr<Cluster> cluster_;
  std::vector<std::unique_ptr<Member>> members_;
  std::vector<LockId> ids_;
};

}  // namespace
}  // namespace stackglue::fsdlm

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  stackglue::fsdlm::Program(data, size).Run();
  return 0;
}
