#include "machine/kernel.h"

#include <linux/dlm.h>
#include <linux/dlmconstants.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace stackglue::fake_device {
namespace {

// Of the members' agreement on a version, which chance must not keep from coming about.
constexpr char kVersionLock[] = "version_lock";

bool Has(uint32_t flags, uint32_t flag) { return (flags & flag) != 0; }

bool IsZero(const char* bytes) {
  return std::all_of(bytes, bytes + DLM_USER_LVB_LEN, [](char byte) { return byte == 0; });
}

}  // namespace

int32_t Kernel::Fault(const std::string& what) {
  faults_.push_back(what);
  return -EINVAL;
}

int32_t Kernel::Request(int device, const char* bytes, size_t size) {
  dlm_write_request request;
  if (size < sizeof request) return Fault("a request that is too short");
  std::memcpy(&request, bytes, sizeof request);
  if (request.is64bit != 1) return Fault("a request of another size");
  if (request.cmd == DLM_USER_PURGE) return 0;
  const dlm_lock_params& given = request.i.lock;
  constexpr size_t kName = offsetof(dlm_write_request, i.lock) + offsetof(dlm_lock_params, name);
  if (kName + given.namelen > size) return Fault("a name that is longer than its request");
  // fs/dlm would take it for the lock's and send it to the master.
  if (!Has(given.flags, DLM_LKF_VALBLK) && !IsZero(given.lvb)) {
    return Fault("a value block in a request without VALBLK");
  }
  switch (request.cmd) {
    case DLM_USER_LOCK:
      if (given.castaddr == nullptr) return -EINVAL;
      if (Has(given.flags, DLM_LKF_CONVERT)) return Convert(device, given);
      return RequestLock(device, given, std::string(bytes + kName, given.namelen));
    case DLM_USER_UNLOCK:
      return Has(given.flags, DLM_LKF_CANCEL) ? Cancel(device, given, Ending::kCancel)
                                              : Unlock(device, given);
    case DLM_USER_DEADLOCK:
      return Cancel(device, given, Ending::kDeadlock);
    default:
      return Fault("a command that fs/dlm does not know");
  }
}

uint32_t Kernel::NewId() {
  if (free_ids_.empty()) return ++last_id_;
  const uint32_t id = free_ids_.back();
  free_ids_.pop_back();
  return id;
}

Rule Kernel::RuleOf(const Lock& lock) const {
  const auto found = rules_.find(lock.resource);
  return found == rules_.end() ? Rule::kGrant : found->second;
}

int32_t Kernel::RequestLock(int device, const dlm_lock_params& given, const std::string& name) {
  const bool adopts = Has(given.flags, DLM_LKF_ORPHAN);
  // Another mode, or no orphan.
  if (adopts && random_ && random_->OneIn(2)) return random_->OneIn(2) ? -EAGAIN : -ENOENT;
  const uint32_t id = NewId();
  Lock& lock = locks_[id];
  lock.device = device;
  lock.parameter = given.castparam;
  lock.resource = name;
  lock.wanted = given.mode;
  lock.flags = given.flags;
  if (adopts) {
    lock.granted = given.mode;
  } else {
    Decide(id);
  }
  return static_cast<int32_t>(id);
}

Kernel::Lock* Kernel::Find(int device, const dlm_lock_params& given, const char* what) {
  const auto found = locks_.find(given.lkid);
  if (found != locks_.end() && found->second.device == device &&
      found->second.parameter == given.castparam) {
    return &found->second;
  }
  Fault(std::string(what) + " of " + (found == locks_.end() ? "no lock" : "another's lock"));
  return nullptr;
}

int32_t Kernel::Convert(int device, const dlm_lock_params& given) {
  Lock* lock = Find(device, given, "a conversion");
  if (lock == nullptr) return -EINVAL;
  if (lock->is_waiting) return Fault("a conversion of a lock that waits");
  if (lock->busy_for > 0 && lock->busy_for-- > 0) return -EBUSY;
  lock->wanted = given.mode;
  lock->flags = given.flags;
  std::memcpy(lock->block.data(), given.lvb, lock->block.size());
  Decide(given.lkid);
  return 0;
}

int32_t Kernel::Unlock(int device, const dlm_lock_params& given) {
  Lock* lock = Find(device, given, "an unlock");
  if (lock == nullptr) return -EINVAL;
  if (lock->busy_for > 0 && lock->busy_for-- > 0) return -EBUSY;
  if (lock->ending == Ending::kUnlock) return Fault("a second unlock");
  if (lock->is_waiting && !Has(given.flags, DLM_LKF_FORCEUNLOCK)) {
    return Fault("an unlock of a lock that waits");
  }
  if (Has(given.flags, DLM_LKF_VALBLK) && lock->granted >= DLM_LOCK_PW) {
    std::memcpy(blocks_[lock->resource].data(), given.lvb, DLM_USER_LVB_LEN);
  }
  lock->ending = Ending::kUnlock;
  // The master is another node, and its answer takes its time.
  if (!random_ || random_->OneIn(2)) EndAsAsked(given.lkid);
  return 0;
}

int32_t Kernel::Cancel(int device, const dlm_lock_params& given, Ending how) {
  Lock* lock = Find(device, given, "a cancel");
  if (lock == nullptr) return -EINVAL;
  if (lock->busy_for > 0 && lock->busy_for-- > 0) return -EBUSY;
  // Too late: what it was for is granted or refused already, and the result on its way.
  if (!lock->is_waiting) return 0;
  if (lock->ending != Ending::kNone) return Fault("a cancel behind a cancel");
  lock->ending = how;
  if (!random_ || random_->OneIn(2)) EndAsAsked(given.lkid);
  return 0;
}

void Kernel::Decide(uint32_t id) {
  Lock& lock = locks_.at(id);
  lock.is_waiting = true;
  lock.ending = Ending::kNone;
  const bool is_calm = random_ && lock.resource == kVersionLock;
  const bool waits_for_nobody = is_calm || Has(lock.flags, DLM_LKF_EXPEDITE);
  if (random_ && !waits_for_nobody) {
    const uint32_t chance = random_->Below(10);
    if (chance < 5) {
      Grant(id);
    } else if (chance < 6) {
      Refuse(id);
    }
    return;
  }
  switch (waits_for_nobody ? Rule::kGrant : RuleOf(lock)) {
    case Rule::kGrant:
      Grant(id);
      break;
    case Rule::kRefuse:
      Refuse(id);
      break;
    case Rule::kWait:
    case Rule::kLose:
      break;
  }
}

void Kernel::Grant(uint32_t id) {
  Lock& lock = locks_.at(id);
  lock.is_waiting = false;
  const bool has_block = Has(lock.flags, DLM_LKF_VALBLK);
  const bool writes = lock.granted >= DLM_LOCK_PW && lock.wanted <= lock.granted;
  lock.granted = lock.wanted;
  auto& block = blocks_[lock.resource];
  if (has_block && writes) block = lock.block;
  Tell(id, 0, has_block ? block.data() : nullptr);
}

// Where fs/dlm would: a request that is not to wait, or a conversion, as if for a deadlock. What
// asks for no more than it has is always granted.
void Kernel::Refuse(uint32_t id) {
  Lock& lock = locks_.at(id);
  const bool is_new = lock.granted < 0;
  const bool may_wait = !Has(lock.flags, DLM_LKF_NOQUEUE);
  const bool asks_for_less = lock.wanted <= lock.granted;
  if (asks_for_less || (is_new && may_wait)) return;
  lock.is_waiting = false;
  Tell(id, may_wait ? -EDEADLK : -EAGAIN);
  if (is_new) Drop(id);
}

// What waits ends as was asked, or its grant is faster.
void Kernel::EndAsAsked(uint32_t id) {
  Lock& lock = locks_.at(id);
  const Ending ending = lock.ending;
  const bool is_lost =
      lock.is_waiting && (random_ ? random_->OneIn(3) : RuleOf(lock) == Rule::kLose);
  lock.ending = Ending::kNone;
  if (is_lost) {
    Grant(id);
    if (ending != Ending::kUnlock) {
      // One that comes before the master has answered the cancel is refused.
      lock.busy_for = random_ ? random_->Below(3) : 2;
      return;
    }
  }
  if (ending == Ending::kUnlock) {
    Tell(id, -DLM_EUNLOCK);
    Drop(id);
    return;
  }
  lock.is_waiting = false;
  const bool is_new = lock.granted < 0;
  Tell(id, ending == Ending::kDeadlock ? -EDEADLK : -DLM_ECANCEL);
  if (is_new) Drop(id);
}

void Kernel::Drop(uint32_t id) {
  locks_.erase(id);
  free_ids_.push_back(id);
}

void Kernel::Tell(uint32_t id, int status, const char* block) {
  if (journal_ != nullptr) {
    journal_->Write("result " + locks_.at(id).resource + " " + std::to_string(status));
  }
  Put(id, status, block);
}

void Kernel::Put(uint32_t id, int status, const char* block) {
  const Lock& lock = locks_.at(id);
  dlm_lock_result result;
  std::memset(&result, 0, sizeof result);
  result.version[0] = DLM_DEVICE_VERSION_MAJOR;
  result.length = sizeof result;
  result.user_astaddr = reinterpret_cast<void*>(1);
  result.user_astparam = lock.parameter;
  result.lksb.sb_status = status;
  result.lksb.sb_lkid = id;
  if (block != nullptr) {
    result.lvb_offset = sizeof result;
    result.length += DLM_USER_LVB_LEN;
  }
  std::string bytes(reinterpret_cast<const char*>(&result), sizeof result);
  if (block != nullptr) bytes.append(block, DLM_USER_LVB_LEN);
  results_[lock.device].push_back(std::move(bytes));
}

void Kernel::Block(const std::string& resource, int mode) {
  for (const auto& [id, lock] : locks_) {
    if (lock.resource != resource || lock.granted < 0) continue;
    if (journal_ != nullptr) journal_->Write("blocking " + resource + " " + std::to_string(mode));
    Put(id, 0, nullptr);
    // The same record, but for the address and the mode.
    std::string& bytes = results_[lock.device].back();
    dlm_lock_result result;
    std::memcpy(&result, bytes.data(), sizeof result);
    result.user_astaddr = reinterpret_cast<void*>(2);
    result.bast_mode = static_cast<uint8_t>(mode);
    std::memcpy(bytes.data(), &result, sizeof result);
  }
}

void Kernel::Settle(const std::string& resource, bool grants) {
  std::vector<uint32_t> waiting;
  for (const auto& [id, lock] : locks_) {
    if (lock.is_waiting && (resource.empty() || lock.resource == resource)) waiting.push_back(id);
  }
  for (const uint32_t id : waiting) grants ? Grant(id) : Refuse(id);
}

void Kernel::Tick() {
  if (!random_) return;
  std::vector<uint32_t> ids;
  std::string blocked;
  for (const auto& [id, lock] : locks_) {
    if ((lock.is_waiting || lock.ending != Ending::kNone) && random_->OneIn(4)) ids.push_back(id);
    if (lock.granted >= 0 && random_->OneIn(40)) blocked = lock.resource;
  }
  for (const uint32_t id : ids) {
    if (locks_.at(id).ending != Ending::kNone) {
      EndAsAsked(id);
    } else if (random_->OneIn(4)) {
      Refuse(id);
    } else {
      Grant(id);
    }
  }
  if (!blocked.empty()) Block(blocked, random_->OneIn(2) ? DLM_LOCK_EX : DLM_LOCK_PR);
}

void Kernel::Calm() {
  random_.reset();
  rules_.clear();
  std::vector<uint32_t> ending;
  for (const auto& [id, lock] : locks_) {
    if (lock.ending != Ending::kNone) ending.push_back(id);
  }
  for (const uint32_t id : ending) EndAsAsked(id);
  Settle({}, true);
}

size_t Kernel::waiting_count() const {
  return static_cast<size_t>(std::count_if(
      locks_.begin(), locks_.end(), [](const auto& entry) { return entry.second.is_waiting; }));
}

void Kernel::Close(int device) {
  std::erase_if(locks_, [this, device](const auto& entry) {
    if (entry.second.device != device) return false;
    free_ids_.push_back(entry.first);
    return true;
  });
  results_.erase(device);
}

}  // namespace stackglue::fake_device
