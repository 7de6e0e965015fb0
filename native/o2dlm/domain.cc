// One domain: lock, convert, unlock, cancel, leave, recovery. See domain.h.
#include "domain.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <new>

#include "cluster.h"
#include "member.h"

namespace stackglue::o2dlm {

Domain::Domain(ClusterImpl* cluster, std::string_view name, ProtocolVersion version)
    : cluster_(cluster), name_(name), version_(version) {}

Domain::~Domain() { assert(members_.empty() && resources_.size() == 0); }

bool Domain::HasNode(int node) const {
  return std::any_of(members_.begin(), members_.end(),
                     [node](const MemberImpl* member) { return member->node() == node; });
}

bool Domain::Negotiate(ProtocolVersion* version) const {
  if (version->major != version_.major || version->minor < version_.minor) return false;
  version->minor = version_.minor;
  return true;
}

size_t Domain::Nodes(int* out, size_t max) const {
  std::array<bool, kMaxNodes> is_there{};
  for (const MemberImpl* member : members_) is_there[static_cast<size_t>(member->node())] = true;
  size_t count = 0;
  for (int node = 0; node < kMaxNodes; ++node) {
    if (!is_there[static_cast<size_t>(node)]) continue;
    if (count < max) out[count] = node;
    ++count;
  }
  return count;
}

void Domain::TellOfNode(Event::Kind kind, int node) {
  for (MemberImpl* member : members_) {
    auto* notice = member->watches_nodes() ? new (std::nothrow) OwnedEvent : nullptr;
    if (notice == nullptr) continue;
    notice->kind = kind;
    notice->value = node;
    member->PostEvent(notice);
  }
}

void Domain::AddMember(MemberImpl* member) {
  const bool is_new = !HasNode(member->node());
  members_.push_back(member);
  if (is_new) TellOfNode(Event::Kind::kNodeJoined, member->node());
}

void Domain::RemoveMember(MemberImpl* member) {
  members_.erase(std::remove(members_.begin(), members_.end(), member), members_.end());
  member->DropEvents();
  // Before what its locks leave to others.
  const bool was_last = !HasNode(member->node());
  if (was_last) TellOfNode(Event::Kind::kNodeLeft, member->node());

  LockTable* locks = member->locks();
  locks->ForEachSafe([](Lock* lock) {
    if (lock->queue == Lock::Queue::kNone) return;
    lock->resource->Drop(lock);
    lock->resource->set_dirty(true);
  });
  locks->ForEachSafe([this](Lock* lock) {
    Resource* resource = lock->resource;
    if (resource == nullptr || !resource->dirty()) return;
    resource->set_dirty(false);
    resource->Shuffle(this);
  });
  FlushBasts();
  locks->ForEachSafe([this](Lock* lock) { RemoveLock(lock); });

  if (was_last) {
    resources_.ForEachSafe([member](Resource* resource) {
      if (resource->master() == member->node()) resource->Migrate();
    });
  }
}

int Domain::MasterOf(std::string_view name) const {
  const Resource* resource = resources_.Find(name);
  return resource == nullptr ? -1 : resource->master();
}

size_t Domain::CountContended() const {
  size_t count = 0;
  ForEachResource([&count](const Resource& resource) {
    if (resource.has_waiters()) ++count;
  });
  return count;
}

void Domain::RecoverFrom(int dead_node, List<EventNode>* notices,
                         std::vector<Resource*>* contended) {
  int new_master = kMaxNodes;
  for (MemberImpl* member : members_) {
    if (member->node() == dead_node) {
      member->DropEvents();
      continue;
    }
    new_master = std::min(new_master, member->node());
    member->PostEvent(notices->front());
  }

  resources_.ForEachSafe([=](Resource* resource) {
    resource->RecoverBlock(dead_node, new_master);
    resource->DropLocksOf(dead_node);
    if (resource->master() == dead_node) resource->set_master(new_master);
  });
  for (MemberImpl* member : members_) {
    if (member->node() != dead_node) continue;
    member->locks()->ForEachSafe([this](Lock* lock) { RemoveLock(lock); });
    member->Die();
  }
  members_.erase(std::remove_if(members_.begin(), members_.end(),
                                [](const MemberImpl* member) { return member->dead(); }),
                 members_.end());

  // The kernel marks every resource dirty, not only those that the dead node used. In the order of
  // their names, so that the same calls always lead to the same events.
  contended->clear();
  resources_.ForEachSafe([contended](Resource* resource) {
    if (resource->has_waiters()) contended->push_back(resource);
  });
  std::sort(contended->begin(), contended->end(),
            [](const Resource* a, const Resource* b) { return a->name() < b->name(); });
  for (Resource* resource : *contended) {
    resource->set_awaits_thread(false);
    resource->Shuffle(this);
  }
  FlushBasts();
}

Status Domain::CreateLock(MemberImpl* member, int mode, uint32_t flags, std::string_view name,
                          uint64_t astarg, LockId* id) {
  const uint64_t hash = ResourceTraits::Hash(name);
  Resource* resource = resources_.Find(name, hash);
  const bool is_new = resource == nullptr;
  if (is_new) resource = resource_pool_.New(name, hash, member->node());
  if (resource == nullptr) return Status::kSysErr;
  Lock* lock = lock_pool_.New(member, cluster_->NextLockId(), astarg, mode);
  if (lock == nullptr) {
    if (is_new) resource_pool_.Delete(resource);
    return Status::kSysErr;
  }
  if (is_new) resources_.Insert(resource, hash);
  resource->Attach(lock);
  member->locks()->Insert(lock);
  lock->get_lvb = (flags & kLkmValBlk) != 0 && mode >= kModePr;

  Status status = Status::kNormal;
  if (resource->CanGrantNew(mode)) {
    resource->MoveTo(Lock::Queue::kGranted, lock);
    QueueAst(lock);
  } else if ((flags & kLkmNoQueue) != 0) {
    status = Status::kNotQueued;
  } else {
    resource->MoveTo(Lock::Queue::kBlocked, lock);
  }

  // Even a request that was not queued kicks the thread.
  RunThread(resource);
  if (status == Status::kNormal) {
    *id = lock->id;
  } else {
    RemoveLock(lock);
  }
  return status;
}

Status Domain::Convert(Lock* lock, int mode, uint32_t flags, const uint8_t* block) {
  if (lock->queue != Lock::Queue::kGranted) return Status::kDenied;
  // The kernel's master would queue a second AST on the same list node, which it calls a bug; a
  // node that is not the master answers that the lock is still converting.
  if (lock->ast_pending()) return Status::kDenied;
  Resource* resource = lock->resource;

  const bool in_place = mode <= lock->mode || resource->CanConvertUp(lock, mode);
  if (!in_place && (flags & kLkmNoQueue) != 0) return Status::kNotQueued;

  if ((flags & kLkmValBlk) != 0) {
    if (lock->mode == kModeEx) {
      if (!resource->ReserveBlock()) return Status::kSysErr;
      resource->WriteBlock(block);  // EX has no mode above it, so this is granted in place
      lock->has_block = true;
    } else if (mode > kModeNl) {
      lock->get_lvb = true;
    }
  }

  if (in_place) {
    if (mode == kModeNl) lock->has_block = false;
    resource->Grant(lock, mode);
    QueueAst(lock);
  } else {
    resource->StartConverting(lock, mode);
  }
  RunThread(resource);
  return Status::kNormal;
}

Status Domain::Unlock(Lock* lock, const uint8_t* block) {
  if (lock->ast_pending()) return Status::kBadParam;
  if (lock->queue != Lock::Queue::kGranted) return Status::kDenied;
  Resource* resource = lock->resource;
  if (block != nullptr) {
    if (!resource->ReserveBlock()) return Status::kSysErr;
    resource->WriteBlock(block);
  }
  EndLock(lock);
  RunThread(resource);
  DetachLock(lock);
  return Status::kNormal;
}

Status Domain::Cancel(Lock* lock) {
  if (lock->queue == Lock::Queue::kNone) return Status::kIvLockId;
  Resource* resource = lock->resource;
  if (lock->queue == Lock::Queue::kBlocked) {
    EndLock(lock);
    RunThread(resource);
    DetachLock(lock);
    return Status::kNormal;
  }

  auto* answer = new (std::nothrow) OwnedEvent;
  if (answer == nullptr) return Status::kSysErr;
  answer->kind = Event::Kind::kUnlockAst;
  answer->astarg = lock->astarg;
  if (lock->queue == Lock::Queue::kGranted) {
    answer->value = static_cast<int32_t>(Status::kCancelGrant);
  } else {
    answer->value = static_cast<int32_t>(Status::kNormal);
    lock->get_lvb = false;
    resource->StopConverting(lock);
  }
  lock->member->PostEvent(answer);
  RunThread(resource);
  return Status::kNormal;
}

void Domain::QueueAst(Lock* lock) {
  if (lock->bast_pending() && lock->mode != kModeEx &&
      (lock->mode == kModeNl || lock->highest_blocked != kModeEx)) {
    lock->bast()->Unlink();
    lock->highest_blocked = kModeInvalid;
  }
  AstLink* ast = lock->ast();
  ast->kind = Event::Kind::kLockAst;
  lock->member->PostEvent(ast);
  // ASTs are flushed before BASTs: what is still in the way after the grant must be heard after it.
  if (lock->bast_pending()) lock->member->PostEvent(lock->bast());
}

void Domain::QueueBast(Lock* lock, int mode) {
  if (lock->highest_blocked == kModeInvalid) pending_basts_.PushBack(lock->bast());
  if (lock->highest_blocked < mode) lock->highest_blocked = static_cast<int8_t>(mode);
}

void Domain::FlushBasts() {
  while (BastLink* bast = pending_basts_.front()) {
    bast->kind = Event::Kind::kBlockingAst;
    static_cast<Lock*>(bast)->member->PostEvent(bast);
  }
}

bool Domain::thread_is_due() const {
  bool due = false;
  ForEachResource([&due](const Resource& resource) { due = due || resource.awaits_thread(); });
  return due;
}

void Domain::RunHeldThread() {
  resources_.ForEachSafe([this](Resource* resource) {
    if (!resource->awaits_thread()) return;
    resource->set_awaits_thread(false);
    resource->Shuffle(this);
  });
  FlushBasts();
}

void Domain::RunThreadOverWaiters(Resource* resource) {
  if (cluster_->holds_thread()) {
    resource->set_awaits_thread(true);
    return;
  }
  resource->Shuffle(this);
  FlushBasts();
}

void Domain::EndLock(Lock* lock) {
  lock->resource->MoveTo(Lock::Queue::kNone, lock);
  AstLink* ast = lock->ast();
  ast->kind = Event::Kind::kUnlockAst;
  lock->member->PostEvent(ast);
}

void Domain::DetachLock(Lock* lock) {
  Resource* resource = lock->resource;
  if (resource == nullptr || !resource->Detach(lock)) return;
  resources_.Remove(resource);
  resource_pool_.Delete(resource);
}

void Domain::RemoveLock(Lock* lock) {
  lock->member->locks()->Remove(lock);
  DetachLock(lock);
  DeleteLock(lock);
}

}  // namespace stackglue::o2dlm
