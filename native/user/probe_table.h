// The probes of LockBook's invariant 3 that are under way, by the names of their resources, and the
// locks whose cancels wait for them. One probe of a resource is under way at a time: the kernel
// looks at all that waits for a resource each time a lock of it goes, so with a probe for each of
// many cancels it would look at all of them for each of all of them.
//
// Threads: the book's.
#ifndef STACKGLUE_NATIVE_USER_PROBE_TABLE_H_
#define STACKGLUE_NATIVE_USER_PROBE_TABLE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include "user/request.h"
#include "util/intrusive_hash.h"
#include "util/name_hash.h"

namespace stackglue::user {

// What is known of the probe of one resource.
struct Probe {
  static constexpr uint32_t kNoRecord = UINT32_MAX;

  std::string_view name() const { return {name_bytes.data(), name_size}; }

  Probe* hash_next = nullptr;
  // Of the lock that is the probe.
  uint32_t index = kNoRecord;
  // Since when it could have been granted, by the book's clock.
  int64_t since_ms = 0;
  // Which of the book's probes it is, from 1.
  uint64_t number = 0;
  // The locks that wait for it, and those for the next one, because they were asked for after it.
  // Some may have got what they wanted meanwhile, or may be no more.
  std::vector<Cookie> riders;
  std::vector<Cookie> later;
  uint8_t name_size = 0;
  std::array<char, kResourceNameMax> name_bytes;
};

class ProbeTable {
 public:
  ProbeTable() = default;
  ProbeTable(const ProbeTable&) = delete;
  ProbeTable& operator=(const ProbeTable&) = delete;
  ~ProbeTable() {
    probes_.ForEachSafe([](Probe* probe) { delete probe; });
  }

  // The probe of a resource, or null.
  Probe* Find(std::string_view name) const { return size() == 0 ? nullptr : probes_.Find(name); }

  // Adds one that nobody waits for, of a resource that has none and whose name has at most
  // kResourceNameMax bytes. May throw std::bad_alloc.
  Probe* Add(std::string_view name) {
    if (spare_.empty()) {
      spare_.reserve(kSpares);
      spare_.push_back(std::make_unique<Probe>());
    }
    Probe* probe = spare_.back().release();
    spare_.pop_back();
    probe->name_size = static_cast<uint8_t>(name.size());
    std::memcpy(probe->name_bytes.data(), name.data(), name.size());
    probes_.Insert(probe);
    return probe;
  }

  void Remove(Probe* probe) {
    probes_.Remove(probe);
    std::unique_ptr<Probe> removed(probe);
    if (spare_.size() == kSpares || probe->riders.capacity() + probe->later.capacity() > kRoom) {
      return;
    }
    probe->index = Probe::kNoRecord;
    probe->riders.clear();
    probe->later.clear();
    spare_.push_back(std::move(removed));
  }

  // Calls `visit(Probe*)` for each, which may remove that one and add none.
  template <class Visit>
  void ForEachSafe(Visit&& visit) const {
    if (size() > 0) probes_.ForEachSafe(visit);
  }

  size_t size() const { return probes_.size(); }

 private:
  // So many are kept for the next ones, with room for so many locks, so that a cancel now and then
  // asks for no memory.
  static constexpr size_t kSpares = 64;
  static constexpr size_t kRoom = 128;

  struct Traits {
    using Key = std::string_view;
    static uint64_t Hash(std::string_view name) { return NameHash::Of(name); }
    static std::string_view KeyOf(const Probe& probe) { return probe.name(); }
  };

  HashTable<Probe, Traits> probes_;
  std::vector<std::unique_ptr<Probe>> spare_;
};

}  // namespace stackglue::user

#endif  // STACKGLUE_NATIVE_USER_PROBE_TABLE_H_
