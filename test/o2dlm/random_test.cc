// Random command sequences against rules written down a second time, as plainly as possible.
//
// Every step is one call. Before it, a view of the domain predicts the answer; after it, the view
// is checked for the invariants of native/o2dlm/README.md. STACKGLUE_SEED repeats a run,
// STACKGLUE_STEPS sets its length.
#include <algorithm>
#include <cstdlib>
#include <deque>
#include <random>
#include <set>

#include "peer.h"

namespace stackglue::o2dlm::test {
namespace {

bool Together(int a, int b) { return a == kNl || b == kNl || (a == kPr && b == kPr); }

uint64_t SeedFromEnvironment() {
  if (const char* text = std::getenv("STACKGLUE_SEED")) return std::strtoull(text, nullptr, 0);
  return std::random_device()();
}

int StepsFromEnvironment(int otherwise) {
  const char* text = std::getenv("STACKGLUE_STEPS");
  return text == nullptr ? otherwise : std::atoi(text);
}

// What the caller of the engine knows about one of its locks.
struct Known {
  size_t slot = 0;
  LockId id = 0;
  uint64_t astarg = 0;
  std::string resource;
  bool request_open = false;  // a lock or conversion without its completion
  bool wants_block = false;   // its lock AST must bring the value block
  int unlocks_open = 0;       // unlocks and cancels without their unlock AST
  bool ending = false;        // the final event is on its way
  int told = kModeInvalid;    // highest blocking AST taken since the last conversion or grant
  bool has_block = false;     // its status block holds the value block
};

struct Slot {
  std::unique_ptr<Member> member;
  int node = 0;
  bool dead = false;
  std::deque<int> evictions;  // that it must still hear of
};

class Run {
 public:
  explicit Run(uint64_t seed) : random_(seed), cluster_(Cluster::Create()), slots_(5) {}

  void Go(int steps) {
    for (int i = 0; i < steps && !failed_; ++i) {
      before_ = Snapshot();
      Step();
      Check();
      if (failed_) MESSAGE("failed at step " << i << ", " << operation_);
    }
    Drain();
  }

  bool failed() const { return failed_; }
  int grants() const { return grants_; }

 private:
  using Views = std::map<std::string, ResourceView>;

  int Pick(int count) { return static_cast<int>(random_() % static_cast<uint64_t>(count)); }
  int PickMode() {
    const int modes[] = {kNl, kNl, kPr, kPr, kEx};
    return modes[Pick(5)];
  }
  ValueBlock PickBlock() { return Block(static_cast<uint8_t>(Pick(256))); }

  void Expect(bool condition, const char* what) {
    if (condition || failed_) return;
    failed_ = true;
    FAIL_CHECK(doctest::String(what));
  }

  Views Snapshot() {
    Views views;
    members_.clear();
    if (const auto domain = InspectDomain(cluster_.get(), "d")) {
      for (const ResourceView& each : domain->resources) views[each.name] = each;
      members_ = domain->members;
    }
    return views;
  }

  Known* PickLock() {
    if (locks_.empty()) return nullptr;
    auto at = locks_.begin();
    std::advance(at, Pick(static_cast<int>(locks_.size())));
    return &at->second;
  }

  static const LockView* Find(const std::vector<LockView>& queue, LockId id) {
    for (const LockView& lock : queue) {
      if (lock.id == id) return &lock;
    }
    return nullptr;
  }
  static std::vector<LockView> Holders(const ResourceView& resource) {
    std::vector<LockView> all = resource.granted;
    all.insert(all.end(), resource.converting.begin(), resource.converting.end());
    return all;
  }

  // Whether `mode` could be had at once, by a new lock (id 0) or by lock `id` going up.
  bool Free(const std::string& name, LockId id, int mode) {
    const auto at = before_.find(name);
    if (at == before_.end()) return true;
    for (const LockView& lock : Holders(at->second)) {
      if (lock.id == id) continue;
      if (!Together(lock.mode, mode)) return false;
      if (lock.convert_mode != kModeInvalid && !Together(lock.convert_mode, mode)) return false;
    }
    return true;
  }

  void Step() {
    const int dice = Pick(1000);
    if (dice < 150) {
      StepLock();
    } else if (dice < 420) {
      StepConvert();
    } else if (dice < 530) {
      StepUnlock();
    } else if (dice < 600) {
      StepCancel();
    } else if (dice < 940) {
      StepTake(static_cast<size_t>(Pick(5)), static_cast<size_t>(1 + Pick(8)));
    } else if (dice < 965) {
      StepGarbage();
    } else if (dice < 972) {
      StepKill();
    } else if (dice < 980) {
      StepLeave();
    } else {
      StepJoin();
    }
  }

  void StepJoin() {
    operation_ = "join";
    const size_t slot = static_cast<size_t>(Pick(5));
    if (slots_[slot].member != nullptr) return;
    ProtocolVersion version{1, 0};
    slots_[slot].node = Pick(4);
    slots_[slot].dead = false;
    slots_[slot].evictions.clear();
    Expect(cluster_->Join("d", slots_[slot].node, &version, nullptr, &slots_[slot].member) == 0,
           "join works");
  }

  void StepLock() {
    operation_ = "lock";
    const size_t slot = static_cast<size_t>(Pick(5));
    if (slots_[slot].member == nullptr) return;
    if (locks_.size() > 24 && Pick(4) != 0) return;
    const int mode = PickMode();
    const uint32_t flags = (Pick(2) ? kLkmValBlk : 0) | (Pick(4) == 0 ? kLkmNoQueue : 0);
    const std::string name(1, static_cast<char>('a' + Pick(3)));
    const uint64_t astarg = ++cookies_;
    LockId id = 0;
    const Status status = slots_[slot].member->Lock(mode, flags, name, astarg, nullptr, &id);
    Status expected = Status::kNormal;
    if (slots_[slot].dead) {
      expected = Status::kRejected;
    } else if ((flags & kLkmNoQueue) != 0 && !Free(name, 0, mode)) {
      expected = Status::kNotQueued;
    }
    Expect(status == expected, "lock answers by the rules");
    if (status != Status::kNormal) return;
    Known known;
    known.slot = slot;
    known.id = id;
    known.astarg = astarg;
    known.resource = name;
    known.request_open = true;
    known.wants_block = (flags & kLkmValBlk) != 0 && mode != kNl;
    Expect(locks_.emplace(id, known).second, "ids are new");
  }

  void StepConvert() {
    operation_ = "convert";
    Known* lock = PickLock();
    if (lock == nullptr) return;
    const int mode = PickMode();
    const uint32_t flags = (Pick(2) ? kLkmValBlk : 0) | (Pick(4) == 0 ? kLkmNoQueue : 0);
    const ValueBlock block = PickBlock();
    LockId id = lock->id;
    const Status status = slots_[lock->slot].member->Lock(mode, flags | kLkmConvert, {},
                                                          lock->astarg, block.data(), &id);
    const auto at = before_.find(lock->resource);
    const LockView* held = at == before_.end() ? nullptr : Find(at->second.granted, lock->id);
    Status expected = Status::kNormal;
    if (slots_[lock->slot].dead) {
      expected = Status::kRejected;
    } else if (held == nullptr || held->ast_pending) {
      expected = Status::kDenied;
    } else if (mode > held->mode && !Free(lock->resource, lock->id, mode) &&
               (flags & kLkmNoQueue) != 0) {
      expected = Status::kNotQueued;
    }
    Expect(status == expected, "convert answers by the rules");
    if (status != Status::kNormal) return;
    lock->request_open = true;
    lock->told = kModeInvalid;
    lock->wants_block = (flags & kLkmValBlk) != 0 && held->mode != kEx && mode != kNl;
    if ((flags & kLkmValBlk) != 0 && held->mode == kEx) {
      blocks_[lock->resource] = block;
      lock->has_block = true;
    }
    if (mode == kNl) lock->has_block = false;
  }

  void StepUnlock() {
    operation_ = "unlock";
    Known* lock = PickLock();
    if (lock == nullptr) return;
    const uint32_t flags = Pick(2) ? kLkmValBlk : 0;
    const ValueBlock block = PickBlock();
    const Status status = slots_[lock->slot].member->Unlock(lock->id, flags, block.data());
    const auto at = before_.find(lock->resource);
    const LockView* held = at == before_.end() ? nullptr : Find(at->second.granted, lock->id);
    Status expected = Status::kNormal;
    if (slots_[lock->slot].dead) {
      expected = Status::kRejected;
    } else if (held == nullptr) {
      expected = Status::kDenied;
    } else if (held->ast_pending) {
      expected = Status::kBadParam;
    }
    Expect(status == expected, "unlock answers by the rules");
    if (status != Status::kNormal) return;
    if (flags != 0 && held->mode == kEx) blocks_[lock->resource] = block;
    ++lock->unlocks_open;
    lock->ending = true;
  }

  void StepCancel() {
    operation_ = "cancel";
    Known* lock = PickLock();
    if (lock == nullptr) return;
    const uint32_t flags = kLkmCancel | (Pick(2) ? kLkmValBlk : 0);
    const Status status = slots_[lock->slot].member->Unlock(lock->id, flags, nullptr);
    Status expected = Status::kNormal;
    if (slots_[lock->slot].dead) {
      expected = Status::kRejected;
    } else if (lock->ending) {
      expected = Status::kIvLockId;
    }
    Expect(status == expected, "cancel answers by the rules");
    if (status != Status::kNormal) return;
    ++lock->unlocks_open;
    const ResourceView& resource = before_.at(lock->resource);
    if (Find(resource.blocked, lock->id)) lock->ending = true;
    if (Find(resource.blocked, lock->id) || Find(resource.converting, lock->id)) {
      Expect(lock->request_open, "a waiting request is open");
      lock->request_open = false;
      lock->wants_block = false;
    }
  }

  void StepTake(size_t slot, size_t max) {
    operation_ = "take";
    if (slots_[slot].member == nullptr) return;
    std::vector<Event> events(max);
    events.resize(slots_[slot].member->TakeEvents(events.data(), max));
    Expect(events.empty() || !slots_[slot].dead, "the dead hear nothing");
    for (const Event& event : events) TakeOne(slot, event);
  }

  void TakeOne(size_t slot, const Event& event) {
    if (event.kind == Event::Kind::kEviction) {
      auto& waiting = slots_[slot].evictions;
      Expect(!waiting.empty() && waiting.front() == event.value, "evictions come in order");
      if (!waiting.empty()) waiting.pop_front();
      return;
    }
    Known* lock = nullptr;
    for (auto& [id, known] : locks_) {
      if (known.slot == slot && known.astarg == event.astarg) lock = &known;
    }
    Expect(lock != nullptr, "events name a lock of their member");
    if (lock == nullptr) return;
    switch (event.kind) {
      case Event::Kind::kLockAst:
        Expect(lock->request_open, "a lock AST completes an open request");
        Expect(event.has_lvb == lock->wants_block, "the block comes when it was asked for");
        if (event.has_lvb) {
          Expect(event.lvb == blocks_[lock->resource], "the block is the one last written");
          lock->has_block = true;
        }
        lock->request_open = false;
        lock->wants_block = false;
        lock->told = kModeInvalid;  // what is still in the way is told after the grant
        ++grants_;
        break;
      case Event::Kind::kBlockingAst:
        Expect(event.value == kPr || event.value == kEx, "a blocking AST has a level");
        lock->told = std::max(lock->told, event.value);
        break;
      case Event::Kind::kUnlockAst:
        Expect(lock->unlocks_open > 0, "an unlock AST completes an unlock or a cancel");
        --lock->unlocks_open;
        if (event.final) {
          Expect(lock->ending && lock->unlocks_open == 0 && !lock->request_open,
                 "the final event is the last");
          locks_.erase(lock->id);
        }
        break;
      case Event::Kind::kNodeLeft:
      case Event::Kind::kNodeJoined:
      case Event::Kind::kEviction:
        break;
    }
  }

  void StepGarbage() {
    operation_ = "garbage";
    const size_t slot = static_cast<size_t>(Pick(5));
    if (slots_[slot].member == nullptr) return;
    LockId id = Pick(2) ? random_() : static_cast<LockId>(Pick(2000));
    const auto at = locks_.find(id);
    if (at != locks_.end() && at->second.slot == slot) return;
    Status expected = id == 0 ? Status::kBadParam : Status::kIvLockId;
    if (slots_[slot].dead) expected = Status::kRejected;
    Member& member = *slots_[slot].member;
    Expect(member.Unlock(id, Pick(2) ? kLkmCancel : 0, nullptr) == expected, "garbage unlock");
    Expect(member.Lock(kEx, kLkmConvert, {}, 0, nullptr, &id) == expected, "garbage convert");
  }

  void StepKill() {
    operation_ = "kill";
    const int node = Pick(4);
    const bool there = std::find(members_.begin(), members_.end(), node) != members_.end();
    std::set<int> survivors(members_.begin(), members_.end());
    survivors.erase(node);
    Expect((cluster_->KillNode(node) == 0) == there, "only a node that is there can die");
    if (!there) return;
    for (size_t i = 0; i < slots_.size(); ++i) {
      if (slots_[i].member == nullptr || slots_[i].dead) continue;
      if (slots_[i].node == node) {
        slots_[i].dead = true;
        ForgetLocksOf(i);
      } else {
        slots_[i].evictions.push_back(node);
      }
    }
    for (const auto& [name, resource] : before_) {
      bool lost;
      if (resource.master != node) {
        lost = false;
        for (const LockView& lock : Holders(resource)) {
          if (lock.node == node && lock.mode == kEx) lost = true;
        }
      } else {
        lost = true;
        for (const LockView& lock : Holders(resource)) {
          if (lock.node == node || lock.node == *survivors.begin() || lock.mode == kNl) continue;
          if (locks_.at(lock.id).has_block) lost = false;
        }
      }
      if (lost) LoseBlock(name);
    }
  }

  void StepLeave() {
    operation_ = "leave";
    const size_t slot = static_cast<size_t>(Pick(5));
    if (slots_[slot].member == nullptr) return;
    slots_[slot].member.reset();
    if (slots_[slot].dead) return;
    LoseWhatWasInExOf(slot);
    ForgetLocksOf(slot);
    for (const Slot& other : slots_) {
      if (other.member != nullptr && !other.dead && other.node == slots_[slot].node) return;
    }
    for (const auto& [name, resource] : Snapshot()) {
      const auto at = before_.find(name);
      if (at == before_.end() || at->second.master != slots_[slot].node) continue;
      std::vector<LockView> all = Holders(resource);
      const std::vector<LockView> holders = all;
      all.insert(all.end(), resource.blocked.begin(), resource.blocked.end());
      const int target = all.front().node;
      Expect(resource.master == target, "the first lock's node becomes master");
      bool sent = false;
      bool taken = false;
      for (const LockView& lock : holders) {
        if (lock.mode == kNl) continue;
        sent = sent || locks_.at(lock.id).has_block;
        taken = taken || lock.node != target;
      }
      if (!sent || !taken) LoseBlock(name);
    }
  }

  // What they had to write is lost.
  void LoseWhatWasInExOf(size_t slot) {
    for (const auto& [name, resource] : before_) {
      for (const LockView& lock : resource.granted) {
        const auto at = locks_.find(lock.id);
        if (at == locks_.end() || at->second.slot != slot || lock.mode != kEx) continue;
        LoseBlock(name);
      }
    }
  }

  void ForgetLocksOf(size_t slot) {
    for (auto at = locks_.begin(); at != locks_.end();) {
      at = at->second.slot == slot ? locks_.erase(at) : std::next(at);
    }
  }

  void LoseBlock(const std::string& name) {
    blocks_[name] = Block(0);
    for (auto& [id, known] : locks_) {
      if (known.resource == name) known.has_block = false;
    }
  }

  void Check() {
    const Views after = Snapshot();
    for (auto at = blocks_.begin(); at != blocks_.end();) {
      at = after.count(at->first) == 0 ? blocks_.erase(at) : std::next(at);
    }
    size_t queued = 0;
    for (const auto& [name, resource] : after) {
      CheckResource(resource);
      queued += resource.granted.size() + resource.converting.size() + resource.blocked.size();
      const auto block = blocks_.find(name);
      Expect(resource.lvb == (block == blocks_.end() ? Block(0) : block->second),
             "the value block is the one last written");
      const auto at = before_.find(name);
      if (at != before_.end()) {
        Expect(InOrder(at->second.blocked, resource.blocked), "the blocked queue keeps its order");
        Expect(InOrder(at->second.converting, resource.converting),
               "the converting queue keeps its order");
      }
    }
    size_t alive = 0;
    for (const auto& [id, known] : locks_) {
      if (!known.ending) ++alive;
    }
    Expect(queued == alive, "every lock that lives is on one queue");
  }

  // What stayed keeps its order, what is new is at the end.
  static bool InOrder(const std::vector<LockView>& before, const std::vector<LockView>& after) {
    std::vector<LockId> expected;
    for (const LockView& lock : before) {
      if (Find(after, lock.id)) expected.push_back(lock.id);
    }
    for (size_t i = 0; i < expected.size(); ++i) {
      if (after.size() <= i || after[i].id != expected[i]) return false;
    }
    return after.size() <= expected.size() + 1;
  }

  void CheckResource(const ResourceView& resource) {
    const std::vector<LockView> holders = Holders(resource);
    Expect(!holders.empty(), "nobody waits for nothing");
    Expect(std::find(members_.begin(), members_.end(), resource.master) != members_.end(),
           "the master is a member");
    for (size_t i = 0; i < holders.size(); ++i) {
      for (size_t j = 0; j < i; ++j) {
        Expect(Together(holders[i].mode, holders[j].mode), "granted modes go together");
      }
    }
    bool head_waits = false;
    if (!resource.converting.empty()) {
      head_waits = true;
      CheckHead(resource.converting.front().id, resource.converting.front().convert_mode, holders);
    }
    if (!resource.blocked.empty()) {
      const LockView& head = resource.blocked.front();
      bool free = !head_waits;
      for (const LockView& lock : holders) free = free && Together(lock.mode, head.mode);
      Expect(!free, "the head of the blocked queue could not be granted");
      CheckTold(head.id, head.mode, holders);
    }
    for (const LockView& lock : holders) CheckLock(lock, Find(resource.converting, lock.id));
    for (const LockView& lock : resource.blocked) {
      CheckLock(lock, &lock);
      Expect(lock.convert_mode == kModeInvalid, "a blocked lock does not convert");
      Expect(!lock.bast_pending, "a blocked lock is in nobody's way");
    }
    for (const LockView& lock : resource.granted) {
      Expect(lock.convert_mode == kModeInvalid, "a granted lock does not convert");
    }
    for (const LockView& lock : resource.converting) {
      Expect(lock.convert_mode > lock.mode, "a converting lock goes up");
    }
  }

  void CheckHead(LockId id, int mode, const std::vector<LockView>& holders) {
    bool free = true;
    for (const LockView& lock : holders)
      free = free && (lock.id == id || Together(lock.mode, mode));
    Expect(!free, "the head of the converting queue could not be granted");
    CheckTold(id, mode, holders);
  }

  void CheckTold(LockId head, int mode, const std::vector<LockView>& holders) {
    for (const LockView& lock : holders) {
      if (lock.id == head || Together(lock.mode, mode)) continue;
      const bool told = locks_.at(lock.id).told >= mode || lock.highest_blocked >= mode;
      Expect(told, "a lock in the way is told");
    }
  }

  void CheckLock(const LockView& lock, const LockView* waiting) {
    const auto at = locks_.find(lock.id);
    Expect(at != locks_.end(), "only known locks are queued");
    if (at == locks_.end()) return;
    const Known& known = at->second;
    Expect(known.astarg == lock.astarg && known.id == lock.id, "a lock keeps its cookie");
    Expect(lock.bast_pending == (lock.highest_blocked != kModeInvalid),
           "a level is a pending BAST");
    Expect(!(waiting && lock.ast_pending), "a waiting lock has no AST");
    Expect(known.request_open == (waiting != nullptr || lock.ast_pending),
           "an open request waits or is about to be completed");
  }

  // Every accepted request ends in one completion.
  void Drain() {
    for (size_t slot = 0; slot < slots_.size(); ++slot) {
      for (int i = 0; i < 200; ++i) StepTake(slot, 16);
      Expect(slots_[slot].member == nullptr || slots_[slot].dead || slots_[slot].evictions.empty(),
             "every eviction was told");
    }
    const Views views = Snapshot();
    for (const auto& [id, known] : locks_) {
      Expect(known.unlocks_open == 0 && !known.ending, "every unlock and cancel was completed");
      if (!known.request_open) continue;
      const ResourceView& resource = views.at(known.resource);
      Expect(Find(resource.blocked, id) || Find(resource.converting, id),
             "every request that does not wait was completed");
    }
  }

  std::mt19937_64 random_;
  std::shared_ptr<Cluster> cluster_;
  std::vector<Slot> slots_;
  std::map<LockId, Known> locks_;
  std::map<std::string, ValueBlock> blocks_;
  std::vector<int> members_;
  Views before_;
  uint64_t cookies_ = 0;
  int grants_ = 0;
  bool failed_ = false;
  const char* operation_ = "";
};

TEST_CASE("random: sequences of all operations keep every invariant") {
  const uint64_t first = SeedFromEnvironment();
  const int seeds = std::getenv("STACKGLUE_SEED") ? 1 : 6;
  for (int i = 0; i < seeds; ++i) {
    const uint64_t seed = first + static_cast<uint64_t>(i);
    INFO("STACKGLUE_SEED=", seed);
    const int steps = StepsFromEnvironment(2000);
    Run run(seed);
    run.Go(steps);
    CHECK(!run.failed());
    CHECK(run.grants() > steps / 100);
  }
}

}  // namespace
}  // namespace stackglue::o2dlm::test
