// Cancels of new locks, and unlocks by force of what waits: which probes reach fs/dlm for them,
// when they go themselves, and how many results are due then.
#include <doctest/doctest.h>
#include <linux/dlm.h>
#include <linux/dlmconstants.h>

#include <cerrno>
#include <cstdlib>
#include <map>
#include <new>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "book_kernel.h"

namespace stackglue::user::test {
namespace {

// `count` locks of one name that wait, from order 0 on.
std::vector<uint32_t> Waiters(Kernel* kernel, int count, std::string_view name = "name") {
  std::vector<uint32_t> indexes;
  for (int i = 0; i < count; ++i) {
    indexes.push_back(static_cast<uint32_t>(kernel->Lock(kEx, 0, name)));
  }
  kernel->Looked();
  return indexes;
}

void LookAfter(Kernel* kernel, int64_t after_ms) {
  kernel->clock.now_ms += after_ms;
  kernel->book.LookAfterProbes();
}

void CancelAll(Kernel* kernel, const std::vector<uint32_t>& indexes) {
  for (const uint32_t index : indexes)
    CHECK(kernel->book.Unlock(index, DLM_LKF_CANCEL, kNoBlock.data()) == 0);
}

}  // namespace

TEST_CASE("a thousand cancels of one name take one probe, which is given back behind them") {
  Kernel kernel;
  const auto waiters = Waiters(&kernel, 1000);
  CancelAll(&kernel, waiters);
  CHECK(kernel.Looked() == Texts{kProbe});
  CHECK(!kernel.Result(1000, 0));
  Texts wanted(1000, "cancel");
  wanted.push_back("unlock");
  CHECK(kernel.Looked() == wanted);
  for (size_t i = 0; i < 1000; ++i) {
    CHECK(kernel.Result(i, -DLM_ECANCEL));
    CHECK(kernel.event.index == static_cast<int32_t>(waiters[i]));
    CHECK(kernel.event.final == 1);
  }
  CHECK(!kernel.Result(2001, -DLM_EUNLOCK));
  CHECK(kernel.Looked() == Texts{});
  CHECK(kernel.book.results_due() == 0);
}

TEST_CASE("unlocks by force of what waits take one probe, too") {
  Kernel kernel;
  for (const uint32_t index : Waiters(&kernel, 3)) {
    CHECK(kernel.book.Unlock(index, DLM_LKF_FORCEUNLOCK, kNoBlock.data()) == 0);
  }
  CHECK(kernel.Looked() == Texts{kProbe});
  CHECK(!kernel.Result(3, 0));
  CHECK(kernel.Looked() == Texts{"unlock", "unlock", "unlock", "unlock"});
}

TEST_CASE("what was asked for after the probe takes the next one, when the first is done with") {
  Kernel kernel;
  const auto first = Waiters(&kernel, 1);
  CancelAll(&kernel, first);
  CHECK(kernel.Looked() == Texts{kProbe});
  const auto later = Waiters(&kernel, 2);  // orders 2 and 3
  CancelAll(&kernel, later);
  CHECK(kernel.Looked() == Texts{});
  CHECK(!kernel.Result(1, 0));
  CHECK(kernel.Looked() == Texts{"cancel", "unlock", kProbe});
  // It covers them, and nothing of the first is left over.
  CHECK(kernel.Result(0, -DLM_ECANCEL));
  CHECK(!kernel.Result(5, -DLM_EUNLOCK));
  CHECK(!kernel.Result(6, 0));
  CHECK(kernel.Looked() == Texts{"cancel", "cancel", "unlock"});
}

TEST_CASE("a cancel whose request was before the probe rides on it, whenever it is asked for") {
  Kernel kernel;
  const auto waiters = Waiters(&kernel, 2);
  CancelAll(&kernel, {waiters[0]});
  const auto later = Waiters(&kernel, 1);
  CancelAll(&kernel, {later[0], waiters[1]});
  CHECK(!kernel.Result(2, 0));
  CHECK(kernel.Looked() == Texts{"cancel", "cancel", "unlock", kProbe});
}

TEST_CASE("each resource has a probe of its own") {
  Kernel kernel;
  const auto ones = Waiters(&kernel, 2, "one");
  const auto others = Waiters(&kernel, 2, "other");
  CancelAll(&kernel, {ones[0], others[0], ones[1], others[1]});
  CHECK(kernel.Looked() == Texts{kProbe, kProbe});
  CHECK(kernel.name_of(4) == "one");
  CHECK(kernel.name_of(5) == "other");
  CHECK(!kernel.Result(5, 0));
  CHECK(kernel.Looked() == Texts{"cancel", "cancel", "unlock"});
  CHECK(!kernel.Result(4, 0));
  CHECK(kernel.Looked() == Texts{"cancel", "cancel", "unlock"});
}

TEST_CASE("what is granted meanwhile is not cancelled, and needs no next probe") {
  Kernel kernel;
  const auto first = Waiters(&kernel, 2);
  CancelAll(&kernel, first);
  const auto later = Waiters(&kernel, 1);  // order 3
  CancelAll(&kernel, later);
  kernel.Looked();
  CHECK(kernel.Result(0, 0));
  CHECK(kernel.Result(3, 0));
  CHECK(!kernel.Result(2, 0));
  CHECK(kernel.Looked() == Texts{"cancel", "unlock"});
  CHECK(kernel.Result(1, -DLM_ECANCEL));
  CHECK(!kernel.Result(5, -DLM_EUNLOCK));
  CHECK(kernel.book.results_due() == 0);
}

TEST_CASE("a place in the table that a later lock has got is not cancelled for the first one") {
  Kernel kernel;
  const auto waiters = Waiters(&kernel, 1);
  CancelAll(&kernel, waiters);
  CHECK(kernel.Result(0, 0));
  CHECK(kernel.book.Unlock(waiters[0], 0, kNoBlock.data()) == 0);
  CHECK(kernel.Result(2, -DLM_EUNLOCK));
  CHECK(Waiters(&kernel, 1) == waiters);
  CHECK(!kernel.Result(1, 0));
  CHECK(kernel.Looked() == Texts{"unlock"});
}

TEST_CASE("steps of NOQUEUE ride on the same probe, and go when it is being given back") {
  Kernel kernel;
  const auto waiters = Waiters(&kernel, 1);
  kernel.Lock(kPr, DLM_LKF_NOQUEUE);
  CancelAll(&kernel, waiters);
  CHECK(kernel.Looked() == Texts{"lock NL", kProbe});
  CHECK(!kernel.Result(2, 0));
  CHECK(kernel.Looked() == Texts{"cancel", "unlock", "cancel"});
}

TEST_CASE("a step that is granted does not wait for a probe that has not been put") {
  Kernel kernel;
  const auto waiters = Waiters(&kernel, 1);
  CancelAll(&kernel, waiters);
  kernel.Lock(kPr, DLM_LKF_NOQUEUE);  // order 2
  CHECK(kernel.Looked() == Texts{kProbe, "lock NL"});
  CHECK(!kernel.Result(2, 0));
  CHECK(kernel.Looked() == Texts{"convert PR NOQUEUE QUECVT"});
  CHECK(!kernel.Result(1, 0));
  CHECK(kernel.Looked() == Texts{"cancel", "unlock"});
}

TEST_CASE("a probe that is not granted for long is given up, and the cancels go without it") {
  Kernel kernel;
  const auto waiters = Waiters(&kernel, 2);
  CancelAll(&kernel, waiters);
  const auto later = Waiters(&kernel, 1);  // order 3
  CancelAll(&kernel, later);
  kernel.Looked();
  LookAfter(&kernel, LockBook::kProbeMs - 1);
  CHECK(kernel.Looked() == Texts{});
  LookAfter(&kernel, 1);
  // The last is the next one's: it would wait for ever for the end of what fs/dlm has forgotten.
  CHECK(kernel.Looked() == Texts{"cancel", "cancel", "cancel", kProbe});
  LookAfter(&kernel, LockBook::kProbeMs - 1);
  CHECK(kernel.Looked() == Texts{});
  LookAfter(&kernel, 1);
  CHECK(kernel.Looked() == Texts{"cancel", "cancel"});
  LookAfter(&kernel, 2 * LockBook::kProbeMs);
  CHECK(kernel.Looked() == Texts{});
  for (const size_t order : {0, 1, 3}) CHECK(kernel.Result(order, -DLM_ECANCEL));
  for (const size_t order : {2, 7}) CHECK(!kernel.Result(order, -DLM_ECANCEL));
  CHECK(kernel.book.results_due() == 0);
  // All is as in the beginning.
  CancelAll(&kernel, Waiters(&kernel, 1));
  CHECK(kernel.Looked() == Texts{kProbe});
}

TEST_CASE("how often a probe is looked after does not count, only how long it has waited") {
  Kernel kernel;
  CancelAll(&kernel, Waiters(&kernel, 1));
  kernel.Looked();
  for (int i = 0; i < 1000; ++i) kernel.book.LookAfterProbes();
  CHECK(kernel.Looked() == Texts{});
  LookAfter(&kernel, LockBook::kProbeMs);
  CHECK(kernel.Looked() == Texts{"cancel", "cancel"});
}

TEST_CASE("the time in which the lockspace is stopped does not count for a probe") {
  Kernel kernel;
  CancelAll(&kernel, Waiters(&kernel, 1));
  kernel.Looked();
  kernel.clock.now_ms += 10 * LockBook::kProbeMs;
  kernel.book.RestartProbes();
  LookAfter(&kernel, LockBook::kProbeMs - 1);
  CHECK(kernel.Looked() == Texts{});
  LookAfter(&kernel, 1);
  CHECK(kernel.Looked() == Texts{"cancel", "cancel"});
}

TEST_CASE("what is asked for behind a lost cancel is put at once, whatever the time is") {
  Kernel kernel;
  const auto indexes = Waiters(&kernel, 1);
  CHECK(kernel.Result(0, 0));
  CHECK(kernel.book.Convert(indexes[0], kEx, 0, 0, kNoBlock.data()) == 0);
  CHECK(kernel.book.Unlock(indexes[0], DLM_LKF_CANCEL, kNoBlock.data()) == 0);
  CHECK(kernel.Looked() == Texts{"convert EX", "cancel"});
  // The grant was faster, and nothing tells when the kernel is done with the cancel.
  CHECK(kernel.Result(1, 0));
  CHECK(kernel.book.Unlock(indexes[0], 0, kNoBlock.data()) == 0);
  CHECK(kernel.Looked() == Texts{"unlock after cancel"});
}

TEST_CASE("a probe that was given up and is granted all the same is given back") {
  Kernel kernel;
  CancelAll(&kernel, Waiters(&kernel, 1));
  LookAfter(&kernel, LockBook::kProbeMs);
  const auto later = Waiters(&kernel, 1);
  CancelAll(&kernel, later);
  kernel.Looked();
  CHECK(!kernel.Result(1, 0));
  // And tells nothing of those that came later, which have their own.
  CHECK(kernel.Looked() == Texts{"unlock after cancel"});
}

TEST_CASE("a probe that the kernel refuses keeps nobody from being cancelled") {
  Kernel kernel;
  CancelAll(&kernel, Waiters(&kernel, 2));
  const auto later = Waiters(&kernel, 1);
  CancelAll(&kernel, later);
  kernel.Looked();
  CHECK(!kernel.Refuse(2, -ENOMEM));
  CHECK(kernel.Looked() == Texts{"cancel", "cancel", kProbe});
}

TEST_CASE("a cancel for whose probe there is no memory has changed nothing") {
  Kernel kernel;
  const auto waiters = Waiters(&kernel, 1);
  kernel.fails_after = 0;
  CHECK_THROWS_AS(kernel.book.Unlock(waiters[0], DLM_LKF_CANCEL, kNoBlock.data()), std::bad_alloc);
  CHECK(kernel.book.results_due() == 1);
  CHECK(kernel.Looked() == Texts{});
  CancelAll(&kernel, waiters);
  CHECK(kernel.Looked() == Texts{kProbe});
}

TEST_CASE("an unlock by force of what waits leaves no result due") {
  Kernel kernel;
  const auto waiting = Waiters(&kernel, 1);
  CHECK(kernel.book.Unlock(waiting[0], DLM_LKF_FORCEUNLOCK, kNoBlock.data()) == 0);
  CHECK(!kernel.Result(1, 0));
  CHECK(!kernel.Result(3, -DLM_EUNLOCK));
  CHECK(kernel.Result(0, -DLM_EUNLOCK));  // of both its request and its unlock
  CHECK(kernel.book.results_due() == 0);

  const auto converting = Waiters(&kernel, 1);
  CHECK(kernel.Result(4, 0));
  CHECK(kernel.book.Convert(converting[0], kNl, 0, 0, kNoBlock.data()) == 0);
  CHECK(kernel.book.Unlock(converting[0], DLM_LKF_FORCEUNLOCK, kNoBlock.data()) == 0);
  CHECK(kernel.Result(6, -DLM_EUNLOCK));
  CHECK(kernel.book.results_due() == 0);
}

TEST_CASE("an unlock by force that crosses the grant has both results") {
  Kernel kernel;
  const auto waiting = Waiters(&kernel, 1);
  CHECK(kernel.book.Unlock(waiting[0], DLM_LKF_FORCEUNLOCK, kNoBlock.data()) == 0);
  CHECK(!kernel.Result(1, 0));
  CHECK(!kernel.Result(3, -DLM_EUNLOCK));
  CHECK(kernel.Result(0, 0));
  CHECK(kernel.event.final == 0);
  CHECK(kernel.book.results_due() == 1);
  CHECK(kernel.Result(2, -DLM_EUNLOCK));
  CHECK(kernel.event.final == 1);
  CHECK(kernel.book.results_due() == 0);
}

namespace {

// A kernel of chance, and what must hold of the orders that it gets.
class RandomKernel {
 public:
  explicit RandomKernel(uint64_t seed) : random_(seed) {}

  void Run(int steps) {
    for (int i = 0; i < steps; ++i) {
      switch (Below(4)) {
        case 0:
          Ask();
          break;
        case 1:
        case 2:
          if (!open_.empty()) GiveUp();
          break;
        default:
          Answer();
      }
      Check();
    }
    while (Answer()) Check();
    CHECK(kernel_.book.results_due() == 0);
    CHECK(probes_.empty());
  }

  int cancels() const { return cancels_; }
  int probes() const { return probe_count_; }

 private:
  struct Known {
    size_t order;
    bool is_probe = false;
    bool is_granted = false;
    bool ends = false;  // its unlock, or a cancel of it, has been put
    // A probe of its name that was put behind its request has been granted.
    bool is_probed = false;
  };
  using Key = uint64_t;
  static Key KeyOf(Cookie cookie) {
    return static_cast<Key>(cookie.generation) << 32 | cookie.index;
  }

  size_t Below(size_t limit) {
    return std::uniform_int_distribution<size_t>(0, limit - 1)(random_);
  }

  void Ask() {
    static constexpr const char* kNames[] = {"a", "b", "c"};
    const bool steps = Below(4) == 0;
    const int64_t index = kernel_.Lock(steps ? kPr : kEx, steps ? DLM_LKF_NOQUEUE : 0,
                                       kNames[Below(std::size(kNames))]);
    REQUIRE(index >= 0);
    if (!steps) open_.push_back(static_cast<uint32_t>(index));
  }

  void GiveUp() {
    const size_t which = Below(open_.size());
    const uint32_t index = open_[which];
    open_.erase(open_.begin() + static_cast<std::ptrdiff_t>(which));
    kernel_.book.Unlock(index, Below(3) == 0 ? DLM_LKF_FORCEUNLOCK : DLM_LKF_CANCEL,
                        kNoBlock.data());
  }

  // Looks at the orders that are new.
  void Check() {
    for (; seen_ < kernel_.orders().size(); ++seen_) {
      const Order& order = kernel_.orders()[seen_];
      const Key key = KeyOf(order.cookie);
      if (order.operation == Operation::kLock) {
        Known known{seen_};
        known.is_probe = order.mode == DLM_LOCK_NL && (order.flags & DLM_LKF_NODLCKWT) != 0;
        locks_[key] = known;
        if (!known.is_probe) continue;
        ++probe_count_;
        CHECK_MESSAGE(probes_.insert(kernel_.name_of(seen_)).second, "two probes of one name");
        continue;
      }
      Known& lock = locks_.at(key);
      CHECK_MESSAGE(!lock.ends, "something is asked for behind what ends the lock");
      if (order.operation == Operation::kConvert) {
        conversions_.push_back(seen_);
        continue;
      }
      const bool gives_up =
          order.operation == Operation::kCancel || (order.flags & DLM_LKF_FORCEUNLOCK) != 0;
      if (gives_up && !lock.is_granted) {
        ++cancels_;
        CHECK_MESSAGE(lock.is_probed, "a cancel without its probe");
      }
      lock.ends = true;
      if (lock.is_probe) probes_.erase(kernel_.name_of(lock.order));
    }
  }

  // One result of what has been asked for. False: nothing is to come.
  bool Answer() {
    if (!conversions_.empty()) {
      const size_t order = conversions_.back();
      conversions_.pop_back();
      kernel_.Result(order, Below(2) == 0 ? 0 : -EAGAIN);
      return true;
    }
    std::vector<Key> ready;
    for (const auto& [key, lock] : locks_) {
      if (lock.ends || !lock.is_granted) ready.push_back(key);
    }
    if (ready.empty()) return false;
    const Key key = ready[Below(ready.size())];
    Known& lock = locks_.at(key);
    const size_t order = lock.order;
    if (!lock.ends) {
      lock.is_granted = true;
      if (lock.is_probe) Probed(order);
      kernel_.Result(order, 0);
      return true;
    }
    const Cookie cookie = kernel_.orders()[order].cookie;
    bool has_unlock = false;
    for (const Order& other : kernel_.orders()) {
      if (KeyOf(other.cookie) == KeyOf(cookie) && other.operation == Operation::kUnlock) {
        has_unlock = true;
      }
    }
    // The grant may have been faster; a cancel comes to nothing then, and an unlock is still to
    // come.
    if (!lock.is_granted && Below(4) == 0) {
      lock.is_granted = true;
      lock.ends = has_unlock;
      kernel_.Result(order, 0);
      return true;
    }
    CHECK((has_unlock || !lock.is_granted));
    locks_.erase(key);
    kernel_.Result(order, has_unlock ? -DLM_EUNLOCK : -DLM_ECANCEL);
    return true;
  }

  void Probed(size_t probe) {
    for (auto& [key, lock] : locks_) {
      if (lock.order < probe && kernel_.name_of(lock.order) == kernel_.name_of(probe)) {
        lock.is_probed = true;
      }
    }
  }

  std::mt19937_64 random_;
  Kernel kernel_;
  std::map<Key, Known> locks_;
  std::set<std::string> probes_;
  std::vector<uint32_t> open_;
  std::vector<size_t> conversions_;
  size_t seen_ = 0;
  int cancels_ = 0;
  int probe_count_ = 0;
};

}  // namespace

TEST_CASE("at random: each cancel has a probe behind its request, and a name one at a time") {
  const char* given = std::getenv("STACKGLUE_SEED");
  const uint64_t first =
      given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  int cancels = 0;
  int probes = 0;
  for (uint64_t seed = first; seed < first + (given != nullptr ? 1 : 50); ++seed) {
    INFO("STACKGLUE_SEED=" << seed);
    RandomKernel kernel(seed);
    kernel.Run(400);
    cancels += kernel.cancels();
    probes += kernel.probes();
  }
  MESSAGE("STACKGLUE_SEED=" << first << ": " << cancels << " cancels, " << probes << " probes");
  CHECK(cancels > probes / 2);
}

}  // namespace stackglue::user::test
