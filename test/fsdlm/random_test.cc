// Random command sequences against the rules of fs/dlm written down a second time, as plainly as
// possible: lists that are searched from end to end, and no counters.
//
// Every step is one call. Before it, a view of the resource is what the plain rules start from;
// after it, the engine's view and the events that it has for each member must be what they came
// to. STACKGLUE_SEED repeats a run, STACKGLUE_STEPS sets its length.
#include <algorithm>
#include <cstdlib>
#include <deque>
#include <list>
#include <random>
#include <set>

#include "peer.h"

namespace stackglue::fsdlm::test {
namespace {

bool Together(int a, int b) {
  static const char* rows[] = {"111111", "111110", "111000", "110100", "110000", "100000"};
  return a == kModeIv || b == kModeIv || rows[a][b] == '1';
}

uint64_t SeedFromEnvironment() {
  if (const char* text = std::getenv("STACKGLUE_SEED")) return std::strtoull(text, nullptr, 0);
  return std::random_device()();
}

int StepsFromEnvironment(int otherwise) {
  const char* text = std::getenv("STACKGLUE_STEPS");
  return text == nullptr ? otherwise : std::atoi(text);
}

struct Expected {
  LockId lock = 0;
  bool bast = false;
  int value = 0;  // a status, or the blocked mode
  int mode = kModeIv;
  uint8_t sb_flags = 0;
};

// The plain rules for one resource.
class Plain {
 public:
  explicit Plain(const ResourceView& view)
      : granted(view.granted.begin(), view.granted.end()),
        converting(view.converting.begin(), view.converting.end()),
        waiting(view.waiting.begin(), view.waiting.end()),
        lvb(view.lvb),
        valid(view.valid),
        master(view.master) {}

  void Request(LockView lock) {
    fresh_ = {lock};
    auto at = fresh_.begin();
    if (CanBeGranted(&*at, true, nullptr)) {
      Grant(&fresh_, at);
      Cast(granted, lock.id, 0);
    } else if ((lock.exflags & kLkfNoQueue) == 0) {
      Add(&waiting, &fresh_, at);
      SendBasts(granted, *Find(waiting, lock.id));
    } else {
      events.push_back({lock.id, false, -EAGAIN, kModeIv, at->sb_flags});
      if ((lock.exflags & kLkfNoQueueBast) != 0) {
        SendBasts(granted, *at);
        SendBasts(converting, *at);
      }
    }
  }

  // The lock is on granted, with its new flags and requested mode.
  void Convert(LockId id) {
    auto at = Find(granted, id);
    const int from = at->grmode;
    const int to = at->rqmode;
    bool deadlock = false;
    bool ok = CanBeGranted(&*at, true, &deadlock);
    if (!ok && deadlock && (at->exflags & kLkfNoDlckWt) == 0) {
      at->rqmode = kModeIv;
      Cast(granted, id, -EDEADLK);
      return;
    }
    if (!ok && (at->sb_flags & kSbfDemoted) != 0) {
      GrantConverting(nullptr);
      at = Find(granted, id);
      ok = MayGrant(*at, true);
    }
    if (ok) {
      Grant(&granted, at);
      at = Find(granted, id);
      const bool middle = (from == kPr && to == kCw) || (from == kCw && to == kPr);
      if (at->node != master && to < from && !middle) at->sb_flags = 0;
      Cast(granted, id, 0);
      GrantPending();
    } else if ((at->exflags & kLkfNoQueue) == 0) {
      Add(&converting, &granted, at);
      SendBasts(granted, *Find(converting, id));
    } else {
      Cast(granted, id, -EAGAIN);
      if ((at->exflags & kLkfNoQueueBast) != 0) {
        SendBasts(granted, *at);
        SendBasts(converting, *at);
      }
    }
  }

  void Unlock(LockId id) {
    std::list<LockView>* queue = QueueOf(id);
    auto at = Find(*queue, id);
    if (at->grmode >= kPw) {
      if ((at->exflags & kLkfIvValBlk) != 0) {
        valid = false;
      } else if ((at->exflags & kLkfValBlk) != 0 && (at->lvb || at->node != master)) {
        lvb = at->lvb.value_or(Block(0));
        valid = true;
      }
    }
    events.push_back({id, false, -kEUnlock, kModeIv, at->sb_flags});
    queue->erase(at);
    GrantPending();
  }

  void Cancel(LockId id) {
    std::list<LockView>* queue = QueueOf(id);
    auto at = Find(*queue, id);
    at->rqmode = kModeIv;
    at->lvb_at_master.reset();
    if (queue == &waiting) {
      events.push_back({id, false, -kECancel, kModeIv, at->sb_flags});
      waiting.erase(at);
    } else {
      AddGranted(queue, at);
      Cast(granted, id, -kECancel);
    }
    GrantPending();
  }

  std::list<LockView> granted;
  std::list<LockView> converting;
  std::list<LockView> waiting;
  std::optional<ValueBlock> lvb;
  bool valid;
  int master;
  std::vector<Expected> events;

 private:
  using At = std::list<LockView>::iterator;

  static At Find(std::list<LockView>& queue, LockId id) {
    return std::find_if(queue.begin(), queue.end(),
                        [id](const LockView& lock) { return lock.id == id; });
  }
  std::list<LockView>* QueueOf(LockId id) {
    for (std::list<LockView>* queue : {&granted, &converting, &waiting}) {
      if (Find(*queue, id) != queue->end()) return queue;
    }
    return nullptr;
  }
  void Cast(std::list<LockView>& queue, LockId id, int status) {
    const At at = Find(queue, id);
    events.push_back({id, false, status, at->grmode, at->sb_flags});
  }

  void Add(std::list<LockView>* to, std::list<LockView>* from, At at) {
    const bool first = (at->exflags & kLkfHeadQue) != 0;
    to->splice(first ? to->begin() : to->end(), *from, at);
  }
  void AddGranted(std::list<LockView>* from, At at) {
    std::list<LockView> moving;
    moving.splice(moving.end(), *from, at);
    const auto before = std::find_if(granted.begin(), granted.end(), [at](const LockView& lock) {
      return lock.rqmode < at->grmode;
    });
    granted.splice(before, moving, at);
  }

  bool MayGrant(const LockView& lock, bool now) const {
    if ((lock.exflags & kLkfExpedite) != 0) return true;
    for (const auto* queue : {&granted, &converting}) {
      for (const LockView& other : *queue) {
        if (other.id != lock.id && !Together(other.grmode, lock.rqmode)) return false;
      }
    }
    const bool conversion = lock.grmode != kModeIv;
    if (now && conversion) return (lock.exflags & kLkfQueCvt) == 0 || converting.empty();
    if ((lock.exflags & kLkfNoOrder) != 0) return true;
    if (conversion) return converting.front().id == lock.id;
    if (!converting.empty()) return false;
    return now ? waiting.empty() : waiting.front().id == lock.id;
  }

  bool Deadlock(const LockView& lock) const {
    bool ahead = false;
    for (const LockView& other : converting) {
      if (other.id == lock.id) {
        ahead = true;
      } else if (!Together(lock.grmode, other.rqmode) &&
                 (!ahead || !Together(other.grmode, lock.rqmode))) {
        return true;
      }
    }
    return false;
  }

  bool CanBeGranted(LockView* lock, bool now, bool* deadlock) {
    if (MayGrant(*lock, now)) return true;
    if (lock->grmode != kModeIv && (lock->exflags & kLkfNoQueue) == 0 && Deadlock(*lock)) {
      if ((lock->exflags & kLkfConvDeadlk) != 0) {
        lock->grmode = kNl;
        lock->sb_flags |= kSbfDemoted;
      } else if (deadlock != nullptr) {
        *deadlock = true;
      }
      return false;
    }
    int other = kModeIv;
    if (lock->rqmode != kPr && (lock->exflags & kLkfAltPr) != 0) {
      other = kPr;
    } else if (lock->rqmode != kCw && (lock->exflags & kLkfAltCw) != 0) {
      other = kCw;
    }
    if (other == kModeIv) return false;
    const int wanted = lock->rqmode;
    lock->rqmode = other;
    if (MayGrant(*lock, now)) {
      lock->sb_flags |= kSbfAltMode;
      return true;
    }
    lock->rqmode = wanted;
    return false;
  }

  void MoveBlock(LockView* lock) {
    static const char* table[] = {"rrrrrr", "rrrrrr", "-rrrrr", "--rrrr",
                                  "---rrr", "wwwwwr", "wwwwww"};
    const char operation = table[lock->grmode + 1][lock->rqmode];
    const bool asks = (lock->exflags & kLkfValBlk) != 0 && lock->lvb;
    if (operation == 'r') {
      if (!asks) return;
      if (!lvb && lock->lvb_at_master) lock->lvb = lock->lvb_at_master;
      if (!lvb) return;
      lock->lvb = lvb;
    } else if (operation == 'w') {
      if ((lock->exflags & kLkfIvValBlk) != 0) valid = false;
      if ((lock->exflags & kLkfIvValBlk) != 0 || !asks) return;
      lvb = lock->lvb;
      valid = true;
    }
    if (!valid) lock->sb_flags |= kSbfValNotValid;
  }

  void Grant(std::list<LockView>* from, At at) {
    MoveBlock(&*at);
    const bool stays = from == &granted && at->grmode == at->rqmode;
    at->grmode = at->rqmode;
    if (!stays) AddGranted(from, at);
    at->rqmode = kModeIv;
    at->highbast = 0;
    at->lvb_at_master.reset();
  }

  int GrantConverting(bool* cw) {
    bool followed = false;
    while (true) {
      bool granted_one = false;
      bool demoted_one = false;
      int high = kModeIv;
      for (auto at = converting.begin(); at != converting.end();) {
        auto lock = at++;
        const bool was_demoted = (lock->sb_flags & kSbfDemoted) != 0;
        bool deadlock = false;
        if (CanBeGranted(&*lock, false, &deadlock)) {
          const LockId id = lock->id;
          Grant(&converting, lock);
          Cast(granted, id, 0);
          granted_one = true;
        } else if (!was_demoted && (lock->sb_flags & kSbfDemoted) != 0) {
          demoted_one = true;
        } else if (deadlock) {
          if ((lock->exflags & kLkfNoDlckWt) != 0 && lock->highbast < lock->rqmode) {
            events.push_back({lock->id, true, lock->rqmode, kModeIv, 0});
            lock->highbast = lock->rqmode;
          }
        } else {
          high = std::max(high, lock->rqmode);
          if (cw != nullptr && lock->rqmode == kCw) *cw = true;
        }
      }
      if (granted_one) continue;
      if (demoted_one && !followed) {
        followed = true;
        continue;
      }
      return high;
    }
  }

  void GrantPending() {
    bool cw = false;
    int high = GrantConverting(&cw);
    for (auto at = waiting.begin(); at != waiting.end();) {
      auto lock = at++;
      if (CanBeGranted(&*lock, false, nullptr)) {
        const LockId id = lock->id;
        Grant(&waiting, lock);
        Cast(granted, id, 0);
      } else {
        high = std::max(high, lock->rqmode);
        if (lock->rqmode == kCw) cw = true;
      }
    }
    if (high == kModeIv) return;
    for (LockView& lock : granted) {
      if (lock.grmode == kPr && cw) {
        if (lock.highbast >= kEx) continue;
      } else if (lock.highbast >= high || Together(lock.grmode, high)) {
        continue;
      }
      const bool inverted = cw && high == kPr && lock.grmode == kPr;
      events.push_back({lock.id, true, inverted ? kCw : high, kModeIv, 0});
      lock.highbast = high;
    }
  }

  void SendBasts(std::list<LockView>& queue, const LockView& waiter) {
    for (LockView& lock : queue) {
      if (lock.id == waiter.id) continue;
      const int mode = waiter.rqmode;
      const bool middle =
          (lock.grmode == kPr && mode == kCw) || (lock.grmode == kCw && mode == kPr);
      if (lock.highbast >= (middle ? kEx : mode) || Together(lock.grmode, mode)) continue;
      events.push_back({lock.id, true, mode, kModeIv, 0});
      lock.highbast = mode;
    }
  }

  std::list<LockView> fresh_;
};

// What the caller of the engine knows about one of its locks.
struct Known {
  size_t slot = 0;
  uint64_t astarg = 0;
  std::string resource;
  int open = 0;        // requests that were accepted, without their completion
  bool ended = false;  // its last completion is on its way
  std::deque<Expected> pending;
  int last_cast = kModeIv;
  bool took_cast = false;
};

struct Slot {
  std::unique_ptr<Member> member;
  std::deque<LockId> with_events;
};

class Run {
 public:
  explicit Run(uint64_t seed) : random_(seed), cluster_(Cluster::Create(&clock_)), slots_(4) {}

  void Go(int steps) {
    for (size_t slot = 0; slot < slots_.size(); ++slot) Join(slot);
    for (int i = 0; i < steps && !failed_; ++i) {
      Step();
      for (const char* name : {"a", "b"}) CheckResource(name);
      if (failed_) MESSAGE("failed at step " << i << ", " << operation_);
    }
    Drain();
  }

  bool failed() const { return failed_; }
  int grants() const { return grants_; }

 private:
  int Pick(int count) { return static_cast<int>(random_() % static_cast<uint64_t>(count)); }
  bool OneIn(int count) { return Pick(count) == 0; }
  ValueBlock PickBlock() { return Block(static_cast<uint8_t>(Pick(256))); }

  void Expect(bool condition, const char* what) {
    if (condition || failed_) return;
    failed_ = true;
    FAIL_CHECK(doctest::String(what));
  }

  uint32_t PickFlags(bool conversion) {
    uint32_t flags = 0;
    if (OneIn(2)) flags |= kLkfValBlk;
    if (OneIn(8)) flags |= kLkfIvValBlk;
    if (OneIn(4)) flags |= kLkfNoQueue;
    if (OneIn(6)) flags |= kLkfNoQueueBast;
    if (special_ && OneIn(6)) flags |= kLkfHeadQue;
    if (special_ && OneIn(6)) flags |= kLkfNoOrder;
    if (OneIn(8)) flags |= kLkfAltPr;
    if (OneIn(8)) flags |= kLkfAltCw;
    if (conversion) {
      const bool no_queue = (flags & kLkfNoQueue) != 0;
      if (!no_queue && OneIn(4)) flags |= kLkfConvDeadlk;
      if (special_ && OneIn(6)) flags |= kLkfNoDlckWt;
      // Together with these the kernel can grant a lock for ever: README.md.
      const bool alternative = (flags & (kLkfAltPr | kLkfAltCw)) != 0;
      if (!alternative && OneIn(5)) flags |= kLkfQueCvt;
    }
    return flags;
  }

  ResourceView ViewOf(const std::string& name) {
    const auto view = View(cluster_, name);
    if (view) return *view;
    ResourceView empty;
    empty.name = name;
    return empty;
  }

  void Join(size_t slot) {
    REQUIRE(cluster_->Join("ls", static_cast<int>(slot) + 1, nullptr, &slots_[slot].member) == 0);
  }

  LockId PickLock() {
    std::vector<LockId> alive;
    for (const auto& [id, known] : locks_) {
      if (!known.ended) alive.push_back(id);
    }
    return alive.empty() ? 0 : alive[static_cast<size_t>(Pick(static_cast<int>(alive.size())))];
  }

  void Step() {
    const int dice = Pick(1000);
    if (dice < 200) {
      StepLock();
    } else if (dice < 500) {
      StepConvert();
    } else if (dice < 600) {
      StepUnlock();
    } else if (dice < 680) {
      StepCancel();
    } else if (dice < 985) {
      operation_ = "take";
      Take(static_cast<size_t>(Pick(4)), 1 + Pick(6));
    } else if (dice < 990) {
      special_ = !special_;
    } else {
      StepKillOrLeave();
    }
  }

  void StepLock() {
    operation_ = "lock";
    if (locks_.size() > 16 && !OneIn(6)) return;
    const auto slot = static_cast<size_t>(Pick(4));
    const std::string name(1, static_cast<char>('a' + Pick(2)));
    const int mode = Pick(6);
    uint32_t flags = PickFlags(false);
    if (mode == kNl && (flags & kLkfNoQueue) == 0 && OneIn(2)) flags |= kLkfExpedite;
    const ResourceView before = ViewOf(name);
    const uint64_t astarg = ++cookies_;
    LockId id = 0;
    const int status = slots_[slot].member->Lock(mode, flags, name, astarg, true, nullptr, &id);
    Expect(status == 0, "a new request is accepted");
    if (status != 0) return;
    Known& known = locks_[id];
    known.slot = slot;
    known.astarg = astarg;
    known.resource = name;
    known.open = 1;
    LockView lock;
    lock.id = id;
    lock.node = static_cast<int>(slot) + 1;
    lock.exflags = flags;
    lock.rqmode = mode;
    if ((flags & kLkfValBlk) != 0) lock.lvb = Block(0);
    Plain plain(before);
    if (plain.master == 0) plain.master = lock.node;
    plain.Request(lock);
    Compare(name, plain);
  }

  static LockView* FindIn(std::list<LockView>& queue, LockId id) {
    for (LockView& lock : queue) {
      if (lock.id == id) return &lock;
    }
    return nullptr;
  }

  void StepConvert() {
    operation_ = "convert";
    const LockId id = PickLock();
    if (id == 0) return;
    Known& known = locks_.at(id);
    const int mode = Pick(6);
    const uint32_t flags = PickFlags(true);
    const ValueBlock block = PickBlock();
    Plain plain(ViewOf(known.resource));
    LockView* lock = FindIn(plain.granted, id);
    LockView* any = lock != nullptr                           ? lock
                    : FindIn(plain.converting, id) != nullptr ? FindIn(plain.converting, id)
                                                              : FindIn(plain.waiting, id);
    if (any == nullptr) return;
    LockId asked = id;
    const int status = slots_[known.slot].member->Lock(mode, flags | kLkfConvert, {}, known.astarg,
                                                       true, block.data(), &asked);
    if ((flags & kLkfValBlk) != 0 && !any->lvb) any->lvb = Block(0);
    const bool sent = lock == nullptr && any->node != plain.master;
    if (sent && any->lvb && !any->lvb_at_master) any->lvb_at_master = any->lvb;
    if (any->lvb) any->lvb = block;
    int expected = 0;
    if (lock == nullptr) {
      expected = -EBUSY;
    } else if ((flags & kLkfQueCvt) != 0 && mode <= lock->grmode &&
               !(lock->grmode == kPr && mode == kCw)) {
      expected = -EINVAL;
    }
    Expect(status == expected, "a conversion is answered by the rules");
    if (status == 0 && lock != nullptr) {
      ++known.open;
      lock->exflags = flags | kLkfConvert;
      lock->sb_flags = 0;
      lock->rqmode = mode;
      plain.Convert(id);
    }
    Compare(known.resource, plain);
  }

  void StepUnlock() {
    operation_ = "unlock";
    const LockId id = PickLock();
    if (id == 0) return;
    Known& known = locks_.at(id);
    uint32_t flags = OneIn(2) ? kLkfValBlk : 0;
    if (OneIn(6)) flags |= kLkfIvValBlk;
    if (OneIn(4)) flags |= kLkfForceUnlock;
    const ValueBlock block = PickBlock();
    Plain plain(ViewOf(known.resource));
    Expect(slots_[known.slot].member->Unlock(id, flags, 0, block.data()) == 0, "unlock works");
    for (std::list<LockView>* queue : {&plain.granted, &plain.converting, &plain.waiting}) {
      LockView* lock = FindIn(*queue, id);
      if (lock == nullptr) continue;
      if (lock->lvb) lock->lvb = block;
      lock->exflags |= flags;
      lock->sb_flags = 0;
    }
    // The request that it ends has no completion of its own.
    if (FindIn(plain.granted, id) != nullptr) ++known.open;
    plain.Unlock(id);
    Compare(known.resource, plain);
  }

  void StepCancel() {
    operation_ = "cancel";
    const LockId id = PickLock();
    if (id == 0) return;
    Known& known = locks_.at(id);
    Plain plain(ViewOf(known.resource));
    LockView* lock = FindIn(plain.converting, id);
    if (lock == nullptr) lock = FindIn(plain.waiting, id);
    const LockView* any = lock != nullptr ? lock : FindIn(plain.granted, id);
    const bool again = any != nullptr && (any->exflags & kLkfCancel) != 0;
    Expect(slots_[known.slot].member->Unlock(id, kLkfCancel, 0, nullptr) == (again ? -EINVAL : 0),
           "a cancel is answered by the rules");
    if (lock != nullptr && !again) {
      lock->exflags |= kLkfCancel;
      lock->sb_flags = 0;
      plain.Cancel(id);
    }
    Compare(known.resource, plain);
  }

  static bool Same(const std::vector<LockView>& seen, const std::list<LockView>& expected) {
    return std::equal(seen.begin(), seen.end(), expected.begin(), expected.end(),
                      [](const LockView& a, const LockView& b) {
                        return a.id == b.id && a.grmode == b.grmode && a.rqmode == b.rqmode &&
                               a.exflags == b.exflags && a.highbast == b.highbast &&
                               a.lvb == b.lvb && a.lvb_at_master == b.lvb_at_master;
                      });
  }

  template <class Queue>
  static std::string Show(const Queue& queue) {
    std::string text;
    for (const LockView& lock : queue) {
      text += " " + std::to_string(lock.id & 0xffffffff) + ":" + ModeName(lock.grmode) + ">" +
              ModeName(lock.rqmode) + "/" + std::to_string(lock.exflags) + "/" +
              std::to_string(lock.highbast) +
              (lock.lvb ? "/" + std::to_string((*lock.lvb)[0]) : "");
    }
    return text;
  }

  void Compare(const std::string& name, const Plain& plain) {
    const ResourceView after = ViewOf(name);
    INFO("engine: ", Show(after.granted), " |", Show(after.converting), " |", Show(after.waiting));
    INFO("rules:  ", Show(plain.granted), " |", Show(plain.converting), " |", Show(plain.waiting));
    Expect(Same(after.granted, plain.granted), "granted is what the plain rules say");
    Expect(Same(after.converting, plain.converting), "converting is what the plain rules say");
    Expect(Same(after.waiting, plain.waiting), "waiting is what the plain rules say");
    Expect(after.lvb == plain.lvb, "the value block is the last one written by the rules");
    Expect(after.valid == plain.valid, "the block is valid when the rules say so");
    for (const Expected& event : plain.events) {
      Known& known = locks_.at(event.lock);
      if (event.bast && !known.pending.empty() && known.pending.back().bast) {
        const int last = known.pending.back().value;
        if (last == event.value || (last > event.value && last > kPr)) continue;
      }
      if (known.pending.empty()) slots_[known.slot].with_events.push_back(event.lock);
      known.pending.push_back(event);
      if (!event.bast &&
          (event.value == -kEUnlock || (event.value != 0 && event.mode == kModeIv))) {
        known.ended = true;
      }
    }
  }

  void Take(size_t slot, int max) {
    Slot& from = slots_[slot];
    for (int i = 0; i < max; ++i) {
      Event event;
      const size_t count = from.member->TakeEvents(&event, 1);
      const auto expected = NextExpected(&from);
      Expect((count == 1) == expected.has_value(), "there are as many events as the rules say");
      if (count == 0 || !expected || failed_) return;
      Known& known = locks_.at(expected->lock);
      Expect(event.lock == expected->lock && event.astarg == known.astarg, "of the right lock");
      Expect(event.kind == (expected->bast ? Event::Kind::kBast : Event::Kind::kCast),
             "of its kind");
      Expect(event.value == expected->value, "with its status or mode");
      Expect(event.sb_flags == (expected->bast ? 0 : expected->sb_flags), "with its flags");
      if (expected->bast) continue;
      if (event.value == 0) ++grants_;
      Expect(known.open-- > 0, "each request has one completion");
      Expect(event.final == (known.ended && known.pending.empty()), "the last event says so");
      if (event.final) locks_.erase(expected->lock);
    }
  }

  std::optional<Expected> NextExpected(Slot* from) {
    while (!from->with_events.empty()) {
      const LockId id = from->with_events.front();
      Known& known = locks_.at(id);
      const Expected event = known.pending.front();
      known.pending.pop_front();
      if (known.pending.empty()) from->with_events.pop_front();
      if (event.bast) {
        if (known.took_cast && Together(event.value, known.last_cast)) continue;
      } else {
        known.took_cast = true;
        known.last_cast = event.mode;
      }
      return event;
    }
    return std::nullopt;
  }

  // What a recovery does is checked by its results only: everything is taken, in any order, and
  // each request that no longer waits must have been completed.
  void StepKillOrLeave() {
    const auto slot = static_cast<size_t>(Pick(4));
    for (size_t i = 0; i < slots_.size(); ++i) Take(i, 1000);
    NoteBelievers(static_cast<int>(slot) + 1);
    const bool kill = OneIn(2);
    operation_ = kill ? "kill" : "leave";
    if (kill) {
      Expect(cluster_->KillNode(static_cast<int>(slot) + 1) == 0, "kill works");
      Expect(slots_[slot].member->dead(), "the node is dead");
    }
    slots_[slot].member.reset();
    for (auto at = locks_.begin(); at != locks_.end();) {
      at = at->second.slot == slot ? locks_.erase(at) : std::next(at);
    }
    for (size_t i = 0; i < slots_.size(); ++i) {
      if (i == slot) continue;
      bool first = true;
      Event event;
      while (slots_[i].member->TakeEvents(&event, 1) == 1) {
        const bool notice = event.kind == Event::Kind::kNodeDown;
        Expect(notice == (kill && first), "a death is told once, and first");
        first = false;
        if (event.kind != Event::Kind::kCast) continue;
        Known& known = locks_.at(event.lock);
        Expect(event.value == 0 && known.open == 1, "a recovery grants what waited");
        known.open = 0;
        known.took_cast = true;
        const ResourceView view = ViewOf(known.resource);
        for (const LockView& lock : view.granted) {
          if (lock.id == event.lock) known.last_cast = lock.grmode;
        }
      }
      Expect(!kill || !first, "a death is told");
    }
    Join(slot);
  }

  // Locks that a master has demoted without a word, or does so as its own locks go, hold again what
  // they held when it is gone, against whatever was granted since.
  void NoteBelievers(int master) {
    for (const auto& [id, known] : locks_) {
      const ResourceView view = ViewOf(known.resource);
      if (view.master != master) continue;
      for (const auto* queue : {&view.granted, &view.converting}) {
        for (const LockView& lock : *queue) {
          const bool may_be = (lock.exflags & kLkfConvDeadlk) != 0 && lock.rqmode != kModeIv;
          if (may_be || lock.believed_mode != kModeIv) believers_.insert(lock.id);
        }
      }
    }
  }

  void CheckResource(const std::string& name) {
    const ResourceView view = ViewOf(name);
    std::vector<LockView> held = view.granted;
    held.insert(held.end(), view.converting.begin(), view.converting.end());
    for (size_t i = 0; i < held.size(); ++i) {
      for (size_t j = 0; j < i; ++j) {
        const bool believes = believers_.contains(held[i].id) || believers_.contains(held[j].id);
        Expect(believes || Together(held[i].grmode, held[j].grmode), "granted modes go together");
      }
    }
    const auto free = [&held](const LockView& waiter) {
      return std::all_of(held.begin(), held.end(), [&waiter](const LockView& lock) {
        return lock.id == waiter.id || Together(lock.grmode, waiter.rqmode);
      });
    };
    // fs/dlm puts what has HEADQUE in front of others without looking whether it could be granted.
    const auto stuck = [&free](const LockView& head) {
      return (head.exflags & kLkfHeadQue) != 0 || !free(head);
    };
    if (!view.converting.empty()) {
      Expect(stuck(view.converting.front()), "the first conversion could not be granted");
    } else if (!view.waiting.empty()) {
      Expect(stuck(view.waiting.front()), "the first that waits could not be granted");
    }
    // When a conversion gives up its mode, only other conversions are looked at.
    const bool demoted = std::any_of(held.begin(), held.end(), [](const LockView& lock) {
      return (lock.sb_flags & kSbfDemoted) != 0;
    });
    for (const LockView& lock : view.waiting) {
      const bool passes = (lock.exflags & kLkfNoOrder) != 0 && !demoted;
      Expect(!passes || !free(lock), "NOORDER waits only for what is held");
      Expect(locks_.at(lock.id).open > 0, "a request that waits is open");
    }
    for (const LockView& lock : view.converting) {
      Expect(locks_.at(lock.id).open > 0, "a conversion that waits is open");
    }
  }

  // Every accepted request ends in one completion.
  void Drain() {
    if (failed_) return;
    for (size_t slot = 0; slot < slots_.size(); ++slot) Take(slot, 100'000);
    std::set<LockId> waiting;
    for (const char* name : {"a", "b"}) {
      const ResourceView view = ViewOf(name);
      for (const LockView& lock : view.converting) waiting.insert(lock.id);
      for (const LockView& lock : view.waiting) waiting.insert(lock.id);
    }
    for (const auto& [id, known] : locks_) {
      Expect(known.open == static_cast<int>(waiting.count(id)),
             "every request that does not wait was completed");
    }
  }

  std::mt19937_64 random_;
  ManualClock clock_;
  std::shared_ptr<Cluster> cluster_;
  std::vector<Slot> slots_;
  std::map<LockId, Known> locks_;
  std::set<LockId> believers_;
  uint64_t cookies_ = 0;
  bool special_ = false;  // the flags that change the order are used
  int grants_ = 0;
  bool failed_ = false;
  std::string operation_;
};

TEST_CASE("random: sequences of all operations do what the plain rules say") {
  const uint64_t first = SeedFromEnvironment();
  const int seeds = std::getenv("STACKGLUE_SEED") ? 1 : 8;
  for (int i = 0; i < seeds; ++i) {
    const uint64_t seed = first + static_cast<uint64_t>(i);
    INFO("STACKGLUE_SEED=", seed);
    const int steps = StepsFromEnvironment(3000);
    Run run(seed);
    run.Go(steps);
    CHECK(!run.failed());
    CHECK(run.grants() > steps / 20);
  }
}

}  // namespace
}  // namespace stackglue::fsdlm::test
