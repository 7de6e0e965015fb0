// What fs/dlm makes of the requests of one lockspace: which are accepted, and which results come of
// them.
//
// No two locks bar each other here. Whoever runs the machine decides what is granted, and when: by
// a resource's rule and Settle(), or by chance. So every order of events that fs/dlm could choose
// can be had, and many that it would hardly ever.
//
// What the addon must never ask for is a fault, and kept for the test to look at.
//
// Threads: one.
#ifndef STACKGLUE_TEST_FAKE_DEVICE_MACHINE_KERNEL_H_
#define STACKGLUE_TEST_FAKE_DEVICE_MACHINE_KERNEL_H_

#include <linux/dlm_device.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "machine/journal.h"
#include "machine/random.h"

namespace stackglue::fake_device {

// What becomes of a request, unless it is decided by chance.
enum class Rule {
  kGrant,
  kWait,    // until Settle()
  kRefuse,  // where fs/dlm could
  kLose,    // as kWait; its cancel is too late, and the kernel is busy with it for a moment
};

// The result records that read(2) will take from one device, in order.
using Results = std::deque<std::string>;

class Kernel {
 public:
  // One request of `device`: what write(2) returns, or a negative errno.
  int32_t Request(int device, const char* bytes, size_t size);

  // The device was closed for the last time: its locks are dropped.
  void Close(int device);

  Results& ResultsOf(int device) { return results_[device]; }

  void SetRule(const std::string& resource, Rule rule) { rules_[resource] = rule; }
  // Ends what waits for the resource, or for all if it is empty: granted, or refused.
  void Settle(const std::string& resource, bool grants);
  // A blocking AST to all who have a lock on the resource.
  void Block(const std::string& resource, int mode);

  // Where results are written down: "result RESOURCE STATUS" and "blocking RESOURCE MODE".
  void set_journal(Journal* journal) { journal_ = journal; }

  // From now on chance decides.
  void Randomize(uint64_t seed) { random_.emplace(seed); }
  // A round of it.
  void Tick();
  // No more of it: everything that waits is granted or ended, and all that comes.
  void Calm();

  size_t lock_count() const { return locks_.size(); }
  size_t waiting_count() const;
  const std::vector<std::string>& faults() const { return faults_; }

 private:
  // What has been asked for of a lock that has something under way.
  enum class Ending { kNone, kCancel, kDeadlock, kUnlock };

  struct Lock {
    int device = 0;
    void* parameter = nullptr;
    std::string resource;
    int granted = -1;
    int wanted = -1;
    uint32_t flags = 0;  // of the last request
    bool is_waiting = false;
    Ending ending = Ending::kNone;
    uint32_t busy_for = 0;  // so many requests, after a lost cancel
    std::array<char, DLM_USER_LVB_LEN> block{};
  };

  int32_t RequestLock(int device, const dlm_lock_params& given, const std::string& name);
  int32_t Convert(int device, const dlm_lock_params& given);
  int32_t Unlock(int device, const dlm_lock_params& given);
  int32_t Cancel(int device, const dlm_lock_params& given, Ending how);
  Lock* Find(int device, const dlm_lock_params& given, const char* what);
  void Decide(uint32_t id);
  void Grant(uint32_t id);
  void Refuse(uint32_t id);
  void EndAsAsked(uint32_t id);
  void Drop(uint32_t id);
  void Tell(uint32_t id, int status, const char* block = nullptr);
  void Put(uint32_t id, int status, const char* block);
  uint32_t NewId();
  Rule RuleOf(const Lock& lock) const;
  int32_t Fault(const std::string& what);

  std::map<uint32_t, Lock> locks_;
  // The last that was freed is used first: fs/dlm makes no promise that it is not.
  std::vector<uint32_t> free_ids_;
  uint32_t last_id_ = 0;
  std::map<int, Results> results_;
  std::map<std::string, Rule> rules_;
  std::map<std::string, std::array<char, DLM_USER_LVB_LEN>> blocks_;
  std::optional<Random> random_;
  Journal* journal_ = nullptr;
  std::vector<std::string> faults_;
};

}  // namespace stackglue::fake_device

#endif  // STACKGLUE_TEST_FAKE_DEVICE_MACHINE_KERNEL_H_
