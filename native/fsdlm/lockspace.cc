// One lockspace: requests, the end of processes, recovery. See lockspace.h.
#include "lockspace.h"

#include <algorithm>
#include <cassert>
#include <cerrno>

#include "cluster.h"
#include "member.h"

namespace stackglue::fsdlm {
namespace {

// set_lock_args()
bool ValidLockArguments(int mode, uint32_t flags, std::string_view name) {
  const auto has = [flags](uint32_t flag) { return (flags & flag) != 0; };
  if (mode < kModeNl || mode > kModeEx) return false;
  if (!has(kLkfConvert) && name.size() > kResourceNameMax) return false;
  if (has(kLkfCancel)) return false;
  if ((has(kLkfQueCvt) || has(kLkfConvDeadlk)) && !has(kLkfConvert)) return false;
  if (has(kLkfConvDeadlk) && has(kLkfNoQueue)) return false;
  if (!has(kLkfExpedite)) return true;
  return mode == kModeNl && !has(kLkfConvert) && !has(kLkfQueCvt) && !has(kLkfNoQueue);
}

bool ReserveLockBlock(Lock* lock) {
  if (lock->block == nullptr) lock->block.reset(new (std::nothrow) LockBlock);
  return lock->block != nullptr;
}

// dlm_user_convert(), dlm_user_unlock(): into the node's own copy, before anything is refused.
void CopyBlockIn(Lock* lock, const uint8_t* lvb) {
  LockBlock* block = lock->block.get();
  if (lvb == nullptr || block == nullptr) return;
  const bool under_way =
      lock->queue == Lock::Queue::kConverting || lock->queue == Lock::Queue::kWaiting;
  if (under_way && block->at_master == nullptr && lock->resource->IsRemote(*lock)) {
    block->at_master.reset(new (std::nothrow) ValueBlock(block->bytes));
  }
  std::memcpy(block->bytes.data(), lvb, kLvbLen);
}

}  // namespace

Lockspace::Lockspace(ClusterImpl* cluster, std::string_view name)
    : cluster_(cluster), name_(name) {}

Lockspace::~Lockspace() {
  ClearTossed();
  assert(members_.empty() && resources_.size() == 0 && locks_.size() == 0);
}

// --- Members and nodes --------------------------------------------------------------------------

size_t Lockspace::Nodes(int* out, size_t max) const {
  size_t count = 0;
  for (const auto& [number, node] : nodes_) {
    if (count < max) out[count] = number;
    ++count;
  }
  return count;
}

void Lockspace::AddMember(MemberImpl* member) {
  const bool is_new = !HasNode(member->node());
  List<Notice> notices;
  try {
    members_.push_back(member);
    for (const MemberImpl* other : members_) {
      if (is_new && other->watches_nodes()) notices.PushBack(new Notice);
    }
    ++nodes_.try_emplace(member->node(), member->node()).first->second.members;
  } catch (...) {
    while (Notice* notice = notices.front()) delete notice;
    if (!members_.empty() && members_.back() == member) members_.pop_back();
    throw;
  }
  if (!is_new) return;
  ClearTossed();  // dlm_clear_toss(): a node that joins makes all recover
  for (MemberImpl* other : members_) {
    if (!other->watches_nodes()) continue;
    Notice* notice = notices.front();
    notice->kind = Event::Kind::kNodeJoined;
    notice->node = member->node();
    other->PostNotice(notice);
  }
}

void Lockspace::ForceUnlock(Lock* lock) {
  lock->exflags |= kLkfForceUnlock | kLkfIvValBlk;
  lock->silent = true;
  if (lock->queue != Lock::Queue::kNone) lock->resource->Unlock(lock, this);
  DeleteLock(lock);
}

void Lockspace::MakeOrphan(Lock* lock, int pid) {
  Node* node = &nodes_.at(lock->owner->node());
  lock->DropCallbacks();
  lock->owner = node;
  lock->astarg = static_cast<uint64_t>(pid);
  node->locks()->PushBack(lock->own_link());
  if (lock->queue == Lock::Queue::kNone || lock->queue == Lock::Queue::kGranted) return;
  lock->exflags |= kLkfCancel;
  lock->resource->Cancel(lock, this);
}

void Lockspace::RemoveMember(MemberImpl* member) {
  member->DropEvents();
  members_.erase(std::remove(members_.begin(), members_.end(), member), members_.end());
  while (OwnLink* link = member->locks()->front()) {
    Lock* lock = static_cast<Lock*>(link);
    // Locks that are at their end are on the list only for the last event that they owe.
    if ((lock->exflags & kLkfPersistent) != 0 && lock->queue != Lock::Queue::kNone) {
      MakeOrphan(lock, member->pid());
    } else {
      ForceUnlock(lock);
    }
  }
  const auto node = nodes_.find(member->node());
  if (--node->second.members > 0) return;
  for (MemberImpl* other : members_) {
    Notice* notice = other->watches_nodes() ? new (std::nothrow) Notice : nullptr;
    if (notice == nullptr) continue;
    notice->kind = Event::Kind::kNodeLeft;
    notice->node = member->node();
    other->PostNotice(notice);
  }
  std::vector<Resource*> touched;
  try {
    touched.reserve(resources_.size());
  } catch (...) {
    // Then the resources recover in no particular order.
  }
  Recover(member->node(), &touched);
}

void Lockspace::RemoveNode(int node, std::vector<Resource*>* touched) {
  for (MemberImpl* member : members_) {
    if (member->node() == node) member->DropEvents();
  }
  Recover(node, touched);
  for (MemberImpl* member : members_) {
    if (member->node() == node) member->Die();
  }
  members_.erase(std::remove_if(members_.begin(), members_.end(),
                                [](const MemberImpl* member) { return member->dead(); }),
                 members_.end());
}

void Lockspace::Recover(int gone_node, std::vector<Resource*>* touched) {
  ClearTossed();
  resources_.ForEachSafe([gone_node](Resource* resource) { resource->RecoverFrom(gone_node); });

  const auto forget = [this](Owner* owner) {
    while (OwnLink* link = owner->locks()->front()) {
      link->Unlink();
      DeleteLock(static_cast<Lock*>(link));
    }
  };
  for (MemberImpl* member : members_) {
    if (member->node() == gone_node) forget(member);
  }
  const auto node = nodes_.find(gone_node);
  forget(&node->second);
  nodes_.erase(node);

  // In the order of their names, so that the same calls always lead to the same events.
  touched->clear();
  const bool has_room = touched->capacity() >= resources_.size();
  resources_.ForEachSafe([=, this](Resource* resource) {
    if (!resource->needs_grant()) return;
    resource->set_needs_grant(false);
    if (!resource->has_waiters()) return;
    if (has_room) {
      touched->push_back(resource);
    } else {
      resource->GrantPending(true, this);
    }
  });
  std::sort(touched->begin(), touched->end(),
            [](const Resource* a, const Resource* b) { return a->name() < b->name(); });
  for (Resource* resource : *touched) resource->GrantPending(true, this);
}

// --- Resources ----------------------------------------------------------------------------------

void Lockspace::ForgetTossed(ResourceBlock* block) {
  Resource* resource = block->tossed;
  block->Unlink();
  resources_.Remove(resource);
  Resource::Destroy(resource);
}

void Lockspace::ClearTossed() {
  while (ResourceBlock* block = tossed_.front()) ForgetTossed(block);
}

void Lockspace::ExpireTossed() {
  if (tossed_.empty()) return;
  const uint64_t now = cluster_->NowMs();
  while (ResourceBlock* block = tossed_.front()) {
    if (now - block->tossed_at_ms < kTossMs) return;
    ForgetTossed(block);
  }
}

Resource* Lockspace::FindResource(std::string_view name) {
  ExpireTossed();
  Resource* resource = resources_.Find(name);
  if (resource != nullptr && resource->unused()) {
    resource->block()->Unlink();
    resource->block()->tossed = nullptr;
  }
  return resource;
}

void Lockspace::DetachLock(Lock* lock) {
  Resource* resource = lock->resource;
  if (!resource->Detach(lock)) return;
  if (resource->Toss()) {
    ResourceBlock* block = resource->block();
    block->tossed = resource;
    block->tossed_at_ms = cluster_->NowMs();
    tossed_.PushBack(block);
    return;
  }
  resources_.Remove(resource);
  Resource::Destroy(resource);
}

int Lockspace::SetTransaction(MemberImpl* member, LockId id, uint64_t xid) {
  const Lock* lock = locks_.Find(id);
  if (lock == nullptr || lock->owner != member) return -ENOENT;
  if (xid == 0) {
    transactions_.erase(id);
    return 0;
  }
  try {
    transactions_[id] = xid;
  } catch (const std::bad_alloc&) {
    return -ENOMEM;
  }
  return 0;
}

uint64_t Lockspace::TransactionOf(const Lock& lock) const {
  const auto at = transactions_.find(lock.id);
  return at == transactions_.end() ? 0 : at->second;
}

void Lockspace::DeleteLock(Lock* lock) {
  if (!transactions_.empty()) transactions_.erase(lock->id);
  locks_.Remove(lock);
  DetachLock(lock);
  lock_pool_.Delete(lock);
}

// --- Requests -----------------------------------------------------------------------------------

int Lockspace::CreateLock(MemberImpl* member, int mode, uint32_t flags, std::string_view name,
                          uint64_t astarg, bool wants_bast, LockId* id) {
  if (!ValidLockArguments(mode, flags, name)) return -EINVAL;
  Lock* lock = lock_pool_.New(member, astarg, flags, mode);
  if (lock == nullptr) return -ENOMEM;
  lock->wants_bast = wants_bast;
  Resource* resource = nullptr;
  bool ready = (flags & kLkfValBlk) == 0 || ReserveLockBlock(lock);
  if (ready) {
    resource = FindResource(name);
    if (resource == nullptr) {
      resource = Resource::Create(name, member->node());
      if (resource != nullptr) resources_.Insert(resource);
    }
    ready = resource != nullptr && locks_.Insert(lock);
    if (!ready && resource != nullptr) {
      // As if it had been used and left again.
      resource->Attach(lock);
      DetachLock(lock);
    }
  }
  if (!ready) {
    lock_pool_.Delete(lock);
    return -ENOMEM;
  }
  if (resource->master() == 0) resource->set_master(member->node());
  resource->Attach(lock);
  member->locks()->PushBack(lock->own_link());
  if (!resource->Request(lock, this)) {
    DeleteLock(lock);
    return -ENOMEM;
  }
  *id = lock->id;
  return 0;
}

int Lockspace::Convert(MemberImpl* member, LockId id, int mode, uint32_t flags, uint64_t astarg,
                       bool wants_bast, const uint8_t* lvb) {
  Lock* lock = locks_.Find(id);
  if (lock == nullptr || lock->owner != member) return -ENOENT;
  // dlm_user_convert() keeps these even if the conversion is then refused.
  if ((flags & kLkfValBlk) != 0 && !ReserveLockBlock(lock)) return -ENOMEM;
  CopyBlockIn(lock, lvb);
  lock->astarg = astarg;
  lock->wants_bast = wants_bast;

  if (!ValidLockArguments(mode, flags, {})) return -EINVAL;
  if (lock->queue != Lock::Queue::kGranted) return -EBUSY;
  if ((flags & kLkfQueCvt) != 0 && !MayQueueConversion(lock->grmode, mode)) return -EINVAL;
  if (!lock->ReserveCast()) return -ENOMEM;
  lock->exflags = flags;
  lock->sb_flags = 0;
  lock->rqmode = static_cast<int8_t>(mode);
  return lock->resource->Convert(lock, this) ? 0 : -ENOMEM;
}

int Lockspace::Adopt(MemberImpl* member, int mode, uint32_t flags, std::string_view name,
                     uint64_t astarg, bool wants_bast, LockId* id) {
  bool found_other_mode = false;
  Node* node = &nodes_.at(member->node());
  for (OwnLink& link : *node->locks()) {
    Lock& lock = static_cast<Lock&>(link);
    if (lock.resource->name() != name) continue;
    if (lock.grmode != mode) {
      found_other_mode = true;
      continue;
    }
    lock.owner = member;
    lock.exflags = flags;
    lock.astarg = astarg;
    lock.wants_bast = wants_bast;
    member->locks()->PushBack(lock.own_link());
    *id = lock.id;
    return 0;
  }
  return found_other_mode ? -EAGAIN : -ENOENT;
}

int Lockspace::Unlock(MemberImpl* member, LockId id, uint32_t flags, uint64_t astarg,
                      const uint8_t* lvb) {
  Lock* lock = locks_.Find(id);
  if (lock == nullptr || lock->owner != member) return -ENOENT;
  const bool cancel = (flags & kLkfCancel) != 0;
  if (!cancel) CopyBlockIn(lock, lvb);
  if (astarg != 0) lock->astarg = astarg;

  constexpr uint32_t kAllowed = kLkfCancel | kLkfValBlk | kLkfIvValBlk | kLkfForceUnlock;
  if ((flags & ~kAllowed) != 0) return -EINVAL;
  if (cancel && (flags & kLkfForceUnlock) != 0) return -EINVAL;
  if (lock->queue == Lock::Queue::kNone) return -ENOENT;
  // validate_unlock_args(): whatever it was that had the flag before.
  if ((lock->exflags & flags & (kLkfCancel | kLkfForceUnlock)) != 0) return -EINVAL;
  // There is nothing to cancel: no error, and no event.
  if (cancel && lock->queue == Lock::Queue::kGranted) return 0;
  if (!lock->ReserveCast()) return -ENOMEM;
  lock->exflags |= flags;
  lock->sb_flags = 0;
  if (cancel) {
    lock->resource->Cancel(lock, this);
  } else {
    lock->resource->Unlock(lock, this);
  }
  return 0;
}

int Lockspace::Purge(MemberImpl* member, int node, int pid) {
  const bool own_node = node == 0 || node == member->node();
  if (own_node && pid == member->pid()) {
    member->Mute();
    while (OwnLink* link = member->locks()->front()) ForceUnlock(static_cast<Lock*>(link));
    member->Unmute();
    return 0;
  }
  const auto at = nodes_.find(own_node ? member->node() : node);
  if (at == nodes_.end()) return -ENOBUFS;
  at->second.locks()->ForEachSafe([this, pid](OwnLink* link) {
    Lock* lock = static_cast<Lock*>(link);
    if (pid == 0 || lock->astarg == static_cast<uint64_t>(pid)) ForceUnlock(lock);
  });
  return 0;
}

int Lockspace::MasterOf(std::string_view name) const {
  const Resource* resource = resources_.Find(name);
  return resource == nullptr || resource->unused() ? 0 : resource->master();
}

int Lockspace::Recall(MemberImpl* member, LockId id, int held, int wanted, const uint8_t* lvb) {
  Lock* lock = locks_.Find(id);
  if (lock == nullptr || lock->owner != member) return -ENOENT;
  if (lock->queue != Lock::Queue::kGranted) return -EINVAL;
  if (!lock->ReserveCast() || !lock->resource->Recall(lock, held, wanted)) return -ENOMEM;
  // The block that the grant had for it was lost, too.
  if (LockBlock* block = lock->block.get(); block != nullptr) {
    std::memcpy(block->bytes.data(), lvb, kLvbLen);
    block->sequence = block->sequence_before;
  }
  return 0;
}

void Lockspace::ForgetBast(MemberImpl* member, LockId id) {
  Lock* lock = locks_.Find(id);
  if (lock != nullptr && lock->owner == member) lock->highbast = 0;
}

// --- Callbacks ----------------------------------------------------------------------------------

void Lockspace::QueueCast(Lock* lock, int status) {
  // Nobody hears of orphans, nor of what is done for a process that has ended.
  if (!lock->owner->is_process() || lock->silent) return;
  lock->AddCast(status);
  static_cast<MemberImpl*>(lock->owner)->Post(lock);
}

void Lockspace::QueueBast(Lock* lock, int mode) {
  if (!lock->owner->is_process() || !lock->wants_bast) return;
  if (lock->AddBast(mode)) static_cast<MemberImpl*>(lock->owner)->Post(lock);
}

}  // namespace stackglue::fsdlm
