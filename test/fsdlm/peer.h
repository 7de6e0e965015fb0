// A process as the tests drive it: locks are numbered 1, 2, ... in the order in which the peer
// asked for them, and events are shown as text.
#ifndef STACKGLUE_TEST_FSDLM_PEER_H_
#define STACKGLUE_TEST_FSDLM_PEER_H_

#include <doctest/doctest.h>

#include <array>
#include <cerrno>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engines/sinks.h"
#include "fsdlm.h"
#include "inspect.h"

namespace stackglue::fsdlm::test {

inline constexpr int kNl = kModeNl;
inline constexpr int kCr = kModeCr;
inline constexpr int kCw = kModeCw;
inline constexpr int kPr = kModePr;
inline constexpr int kPw = kModePw;
inline constexpr int kEx = kModeEx;

inline ValueBlock Block(uint8_t fill) {
  ValueBlock block;
  block.fill(fill);
  return block;
}

inline std::string ModeName(int mode) {
  const char* names[] = {"IV", "NL", "CR", "CW", "PR", "PW", "EX"};
  return mode < kModeIv || mode > kModeEx ? "?" : names[mode + 1];
}

using stackglue::test::CountingSink;

class ManualClock : public Clock {
 public:
  uint64_t NowMs() noexcept override { return now_ms; }
  uint64_t now_ms = 1'000;
};

// "granted 1", "granted 1 demoted alt invalid block 7", "busy 1 end", "deadlock 1", "cancelled 1",
// "unlocked 1 end", "blocks 1 EX", "died 3".
inline std::string Show(const Event& event, bool with_block) {
  const std::string lock = std::to_string(event.astarg);
  if (event.kind == Event::Kind::kNodeDown) return "died " + std::to_string(event.value);
  if (event.kind == Event::Kind::kNodeLeft) return "left " + std::to_string(event.value);
  if (event.kind == Event::Kind::kNodeJoined) return "joined " + std::to_string(event.value);
  if (event.kind == Event::Kind::kBast) return "blocks " + lock + " " + ModeName(event.value);
  std::string text = event.value == 0           ? "granted"
                     : event.value == -EAGAIN   ? "busy"
                     : event.value == -EDEADLK  ? "deadlock"
                     : event.value == -kECancel ? "cancelled"
                     : event.value == -kEUnlock ? "unlocked"
                                                : "strange";
  text += " " + lock;
  if ((event.sb_flags & kSbfDemoted) != 0) text += " demoted";
  if ((event.sb_flags & kSbfAltMode) != 0) text += " alt";
  if ((event.sb_flags & kSbfValNotValid) != 0) text += " invalid";
  if (with_block && event.has_lvb) text += " block " + std::to_string(event.lvb[kLvbLen - 1]);
  return text + (event.final ? " end" : "");
}

class Peer {
 public:
  Peer(const std::shared_ptr<Cluster>& cluster, int node, std::string_view lockspace = "ls") {
    REQUIRE(cluster->Join(lockspace, node, &sink, &member) == 0);
  }

  // Asks for a lock and expects the request to be accepted; returns the lock's number.
  uint64_t Lock(int mode, std::string_view name = "r", uint32_t flags = 0) {
    REQUIRE(TryLock(mode, name, flags) == 0);
    return locks_;
  }
  int TryLock(int mode, std::string_view name = "r", uint32_t flags = 0) {
    LockId id = 0;
    const int status = member->Lock(mode, flags, name, locks_ + 1, true, nullptr, &id);
    if (status == 0) ids_[++locks_] = id;
    CHECK((id != 0) == (status == 0));
    return status;
  }
  // A lock that is held, its grant taken.
  uint64_t Hold(int mode, std::string_view name = "r", uint32_t flags = 0) {
    const uint64_t lock = Lock(mode, name, flags);
    REQUIRE(Take().find("granted " + std::to_string(lock)) != std::string::npos);
    return lock;
  }
  int Convert(uint64_t lock, int mode, uint32_t flags = 0,
              std::optional<ValueBlock> block = std::nullopt) {
    LockId id = ids_.at(lock);
    return member->Lock(mode, flags | kLkfConvert, {}, lock, true, block ? block->data() : nullptr,
                        &id);
  }
  int Unlock(uint64_t lock, uint32_t flags = 0, std::optional<ValueBlock> block = std::nullopt) {
    return member->Unlock(ids_.at(lock), flags, 0, block ? block->data() : nullptr);
  }
  int Cancel(uint64_t lock) { return Unlock(lock, kLkfCancel); }

  // Takes all events. Value blocks are shown by TakeWithBlocks() only.
  std::string Take() { return TakeAll(false); }
  std::string TakeWithBlocks() { return TakeAll(true); }

  LockId id(uint64_t lock) const { return ids_.at(lock); }

  CountingSink sink;
  std::unique_ptr<Member> member;

 private:
  std::string TakeAll(bool with_blocks) {
    std::string shown;
    std::array<Event, 3> events;
    while (const size_t count = member->TakeEvents(events.data(), events.size())) {
      for (size_t i = 0; i < count; ++i) {
        if (!shown.empty()) shown += ", ";
        shown += Show(events[i], with_blocks);
      }
    }
    return shown;
  }

  uint64_t locks_ = 0;
  std::map<uint64_t, LockId> ids_;
};

inline std::optional<ResourceView> View(const std::shared_ptr<Cluster>& cluster,
                                        std::string_view resource,
                                        std::string_view lockspace = "ls") {
  const auto view = InspectLockspace(cluster.get(), lockspace);
  if (!view) return std::nullopt;
  for (const ResourceView& each : view->resources) {
    if (each.name == resource) return each;
  }
  return std::nullopt;
}

}  // namespace stackglue::fsdlm::test

#endif  // STACKGLUE_TEST_FSDLM_PEER_H_
