// libFuzzer target: the input is a program of calls on the o2dlm engine. After each call the state
// must keep the invariants of native/o2dlm/README.md; the sanitizers watch the rest.
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "inspect.h"
#include "o2dlm.h"

namespace stackglue::o2dlm {
namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

bool Together(int a, int b) {
  return a == kModeNl || b == kModeNl || (a == kModePr && b == kModePr);
}

class Program {
 public:
  Program(const uint8_t* data, size_t size)
      : data_(data), size_(size), cluster_(Cluster::Create()), members_(4) {}

  void Run() {
    while (size_ > 0) {
      Step();
      Check();
    }
    members_.clear();
    Require(!InspectDomain(cluster_.get(), "d").has_value());
  }

 private:
  uint8_t Byte() {
    if (size_ == 0) return 0;
    --size_;
    return *data_++;
  }
  uint32_t Flags() {
    const uint32_t low = Byte();
    return low | static_cast<uint32_t>(Byte()) << 8;
  }
  LockId PickLock() { return ids_.empty() ? Byte() : ids_[Byte() % ids_.size()]; }

  void Step() {
    const uint8_t code = Byte();
    std::unique_ptr<Member>& member = members_[code >> 4 & 3];
    if (member == nullptr) {
      ProtocolVersion version{1, 0};
      Require(cluster_->Join("d", (code >> 6) % 3, &version, nullptr, &member) == 0);
      return;
    }
    ValueBlock block;
    block.fill(code);
    const uint8_t* lvb = (code & 0x80) != 0 ? block.data() : nullptr;
    constexpr int kModes[] = {kModeNl, kModePr, kModeEx, 1};
    switch (code & 15) {
      case 0:
      case 1:
      case 2: {
        LockId id = 0;
        const int mode = kModes[Byte() % 4];
        const std::string name(1, static_cast<char>('a' + Byte() % 2));
        const uint32_t flags = Flags() & ~kLkmConvert;
        if (member->Lock(mode, flags, name, 1, lvb, &id) != Status::kNormal) return;
        if (ids_.size() < 64) ids_.push_back(id);
        break;
      }
      case 3:
      case 4:
      case 5: {
        LockId id = PickLock();
        (void)member->Lock(kModes[Byte() % 4], Flags() | kLkmConvert, {}, 1, lvb, &id);
        break;
      }
      case 6:
      case 7:
        (void)member->Unlock(PickLock(), Flags(), lvb);
        break;
      case 8:
        (void)member->Unlock(PickLock(), kLkmCancel, nullptr);
        break;
      case 11:
        (void)cluster_->KillNode(Byte() % 3);
        break;
      case 12:
        member.reset();
        break;
      case 15:
        (void)member->Unlock(PickLock(), 0, lvb);
        break;
      default: {
        std::vector<Event> events(Byte() % 8);
        (void)member->TakeEvents(events.data(), events.size());
      }
    }
  }

  void Check() {
    const auto view = InspectDomain(cluster_.get(), "d");
    if (!view) return;
    for (const ResourceView& resource : view->resources) {
      std::vector<LockView> held = resource.granted;
      held.insert(held.end(), resource.converting.begin(), resource.converting.end());
      for (size_t i = 0; i < held.size(); ++i) {
        for (size_t j = 0; j < i; ++j) Require(Together(held[i].mode, held[j].mode));
      }
      const auto free = [&held](LockId id, int mode) {
        for (const LockView& lock : held) {
          if (lock.id != id && !Together(lock.mode, mode)) return false;
        }
        return true;
      };
      if (!resource.converting.empty()) {
        const LockView& head = resource.converting.front();
        Require(!free(head.id, head.convert_mode));
      } else if (!resource.blocked.empty()) {
        Require(!free(0, resource.blocked.front().mode));
      }
    }
  }

  const uint8_t* data_;
  size_t size_;
  std::shared_ptr<Cluster> cluster_;
  std::vector<std::unique_ptr<Member>> members_;
  std::vector<LockId> ids_;
};

}  // namespace
}  // namespace stackglue::o2dlm

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  stackglue::o2dlm::Program(data, size).Run();
  return 0;
}
