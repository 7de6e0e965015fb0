// A member of a domain as the tests drive it: locks are numbered 1, 2, ... in the order in which
// the peer asked for them, and events are shown as text.
#ifndef STACKGLUE_TEST_O2DLM_PEER_H_
#define STACKGLUE_TEST_O2DLM_PEER_H_

#include <doctest/doctest.h>

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engines/sinks.h"
#include "inspect.h"
#include "o2dlm.h"
#include "status.h"

namespace stackglue::o2dlm {

inline doctest::String toString(Status status) { return StatusName(status); }

}  // namespace stackglue::o2dlm

namespace stackglue::o2dlm::test {

inline constexpr int kNl = kModeNl;
inline constexpr int kPr = kModePr;
inline constexpr int kEx = kModeEx;

inline ValueBlock Block(uint8_t fill) {
  ValueBlock block;
  block.fill(fill);
  return block;
}

using stackglue::test::CountingSink;

// "granted 1", "granted 1 block 7", "blocks 1 PR", "ended 1", "cancelled 1", "too late 1", "died
// 3".
inline std::string Show(const Event& event) {
  const std::string lock = std::to_string(event.astarg);
  switch (event.kind) {
    case Event::Kind::kLockAst:
      if (event.value != 0 || event.final) return "strange lock AST";
      return "granted " + lock +
             (event.has_lvb ? " block " + std::to_string(event.lvb[kLvbLen - 1]) : "");
    case Event::Kind::kBlockingAst:
      return "blocks " + lock + (event.value == kEx ? " EX" : event.value == kPr ? " PR" : " ?");
    case Event::Kind::kUnlockAst:
      if (event.value == static_cast<int>(Status::kCancelGrant)) return "too late " + lock;
      return (event.final ? "ended " : "cancelled ") + lock;
    case Event::Kind::kEviction:
      return "died " + std::to_string(event.value);
    case Event::Kind::kNodeLeft:
      return "left " + std::to_string(event.value);
    case Event::Kind::kNodeJoined:
      return "joined " + std::to_string(event.value);
  }
  return "strange event";
}

class Peer {
 public:
  Peer(const std::shared_ptr<Cluster>& cluster, int node, std::string_view domain = "d") {
    ProtocolVersion version{1, 0};
    REQUIRE(cluster->Join(domain, node, &version, &sink, &member) == 0);
  }

  // Asks for a lock and expects the request to be accepted; returns the lock's number.
  uint64_t Lock(int mode, std::string_view name = "r", uint32_t flags = 0) {
    REQUIRE(TryLock(mode, name, flags) == Status::kNormal);
    return locks_;
  }
  Status TryLock(int mode, std::string_view name = "r", uint32_t flags = 0) {
    LockId id = 0;
    const Status status = member->Lock(mode, flags, name, locks_ + 1, nullptr, &id);
    if (status == Status::kNormal) ids_[++locks_] = id;
    CHECK((id != 0) == (status == Status::kNormal));
    return status;
  }
  // A lock that is held, its grant taken.
  uint64_t Hold(int mode, std::string_view name = "r", uint32_t flags = 0) {
    const uint64_t lock = Lock(mode, name, flags);
    const std::string taken = Take();
    REQUIRE(taken.find("granted " + std::to_string(lock)) != std::string::npos);
    return lock;
  }
  Status Convert(uint64_t lock, int mode, uint32_t flags = 0,
                 std::optional<ValueBlock> block = std::nullopt) {
    LockId id = ids_.at(lock);
    return member->Lock(mode, flags | kLkmConvert, {}, lock, block ? block->data() : nullptr, &id);
  }
  // Writes the value block with a conversion from EX to EX, and takes its AST.
  void Write(uint64_t lock, uint8_t fill) {
    REQUIRE(Convert(lock, kEx, kLkmValBlk, Block(fill)) == Status::kNormal);
    Take();
  }
  Status Unlock(uint64_t lock, uint32_t flags = 0, std::optional<ValueBlock> block = std::nullopt) {
    return member->Unlock(ids_.at(lock), flags, block ? block->data() : nullptr);
  }
  Status Cancel(uint64_t lock, uint32_t flags = 0) { return Unlock(lock, flags | kLkmCancel); }

  // Takes all events.
  std::string Take() {
    std::string shown;
    std::array<Event, 3> events;
    while (const size_t count = member->TakeEvents(events.data(), events.size())) {
      for (size_t i = 0; i < count; ++i) {
        if (!shown.empty()) shown += ", ";
        shown += Show(events[i]);
      }
    }
    return shown;
  }

  LockId id(uint64_t lock) const { return ids_.at(lock); }

  CountingSink sink;
  std::unique_ptr<Member> member;

 private:
  uint64_t locks_ = 0;
  std::map<uint64_t, LockId> ids_;
};

inline std::optional<ResourceView> View(const std::shared_ptr<Cluster>& cluster,
                                        std::string_view resource, std::string_view domain = "d") {
  const auto view = InspectDomain(cluster.get(), domain);
  if (!view) return std::nullopt;
  for (const ResourceView& each : view->resources) {
    if (each.name == resource) return each;
  }
  return std::nullopt;
}

}  // namespace stackglue::o2dlm::test

#endif  // STACKGLUE_TEST_O2DLM_PEER_H_
