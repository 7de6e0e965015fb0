// One process's open file of one lockspace. See member.h.
#include "member.h"

#include <cerrno>
#include <utility>

#include "cluster.h"
#include "lockspace.h"

namespace stackglue::fsdlm {

MemberImpl::MemberImpl(std::shared_ptr<ClusterImpl> cluster, int node, int pid, EventSink* sink)
    : Owner(node, true),
      cluster_(std::move(cluster)),
      notifier_(std::make_shared<Notifier>(sink)),
      has_sink_(sink != nullptr),
      is_told_(has_sink_),
      pid_(pid) {}

MemberImpl::~MemberImpl() {
  cluster_->Leave(this);
  notifier_->Silence();
}

int MemberImpl::Lock(int mode, uint32_t flags, std::string_view name, uint64_t astarg,
                     bool wants_bast, const uint8_t* lvb, LockId* id) {
  const ClusterImpl::Section section(cluster_.get());
  if (lockspace_ == nullptr) return -EPERM;
  if (id == nullptr) return -EINVAL;
  if ((flags & kLkfConvert) != 0) {
    return lockspace_->Convert(this, *id, mode, flags, astarg, wants_bast, lvb);
  }
  if ((flags & kLkfOrphan) != 0) {
    return lockspace_->Adopt(this, mode, flags, name, astarg, wants_bast, id);
  }
  return lockspace_->CreateLock(this, mode, flags, name, astarg, wants_bast, id);
}

int MemberImpl::Unlock(LockId id, uint32_t flags, uint64_t astarg, const uint8_t* lvb) {
  const ClusterImpl::Section section(cluster_.get());
  return lockspace_ == nullptr ? -EPERM : lockspace_->Unlock(this, id, flags, astarg, lvb);
}

int MemberImpl::Purge(int node, int pid) {
  const ClusterImpl::Section section(cluster_.get());
  return lockspace_ == nullptr ? -EPERM : lockspace_->Purge(this, node, pid);
}

int MemberImpl::SetTransaction(LockId id, uint64_t xid) {
  const ClusterImpl::Section section(cluster_.get());
  return lockspace_ == nullptr ? -ENOENT : lockspace_->SetTransaction(this, id, xid);
}

int MemberImpl::MasterOf(std::string_view name) const {
  const ClusterImpl::Section section(cluster_.get());
  return lockspace_ == nullptr ? 0 : lockspace_->MasterOf(name);
}

int MemberImpl::Recall(LockId id, int held, int wanted, const uint8_t* lvb) {
  const ClusterImpl::Section section(cluster_.get());
  return lockspace_ == nullptr ? -ENOENT : lockspace_->Recall(this, id, held, wanted, lvb);
}

void MemberImpl::ForgetBast(LockId id) {
  const ClusterImpl::Section section(cluster_.get());
  if (lockspace_ != nullptr) lockspace_->ForgetBast(this, id);
}

void MemberImpl::WatchNodes() {
  const ClusterImpl::Section section(cluster_.get());
  watches_nodes_ = true;
}

size_t MemberImpl::Nodes(int* out, size_t max) const {
  const ClusterImpl::Section section(cluster_.get());
  return lockspace_ == nullptr ? 0 : lockspace_->Nodes(out, max);
}

uint64_t MemberImpl::Ring() const {
  const ClusterImpl::Section section(cluster_.get());
  return dead() || !notices_.empty() ? 0 : cluster_->ring()->number();
}

size_t MemberImpl::TakeEvents(Event* out, size_t max) {
  if (out == nullptr) return 0;
  const ClusterImpl::Section section(cluster_.get());
  size_t taken = 0;
  while (taken < max && HasEvents()) {
    if (Deliver(&out[taken])) ++taken;
  }
  return taken;
}

void MemberImpl::SetTold(bool told) {
  const ClusterImpl::Section section(cluster_.get());
  is_told_ = told && has_sink_;
  if (is_told_ && HasEvents()) cluster_->Wake(this);
}

bool MemberImpl::Deliver(Event* out) {
  out->final = false;
  out->has_lvb = false;
  out->sb_flags = 0;
  if (Notice* notice = notices_.front()) {
    out->kind = notice->kind;
    out->value = notice->node;
    out->lock = 0;
    out->astarg = 0;
    delete notice;
    return true;
  }

  fsdlm::Lock* lock = first_with_events_;
  const Callback callback = lock->TakeCallback();
  if (!lock->has_callbacks()) {
    first_with_events_ = lock->next_with_events;
    if (first_with_events_ == nullptr) last_with_events_ = nullptr;
    lock->next_with_events = nullptr;
    lock->has_events = false;
  }
  out->lock = lock->id;
  out->astarg = lock->astarg;
  // fs/dlm/ast.c:dlm_rem_lkb_callback()
  if (callback.is_bast) {
    if (lock->took_cast && Compatible(callback.mode, lock->last_cast_mode)) return false;
    out->kind = Event::Kind::kBast;
    out->value = callback.mode;
    return true;
  }

  out->kind = Event::Kind::kCast;
  out->value = callback.status;
  out->sb_flags = callback.sb_flags;
  // fs/dlm/user.c:device_read()
  if (callback.status == 0 && lock->block != nullptr &&
      BlockOperationOf(lock->last_cast_mode, callback.mode) != BlockOperation::kWrite) {
    out->has_lvb = true;
    out->lvb = lock->block->bytes;
  }
  lock->took_cast = true;
  lock->last_cast_mode = callback.mode;
  if (fsdlm::Lock::IsEnd(callback)) {
    out->final = true;
    lockspace_->DeleteLock(lock);
  }
  return true;
}

void MemberImpl::Post(fsdlm::Lock* lock) {
  if (muted_ || lock->has_events) return;
  const bool was_empty = !HasEvents();
  lock->has_events = true;
  if (last_with_events_ == nullptr) {
    first_with_events_ = lock;
  } else {
    last_with_events_->next_with_events = lock;
  }
  last_with_events_ = lock;
  if (was_empty && is_told_) cluster_->Wake(this);
}

void MemberImpl::PostNotice(Notice* notice) {
  const bool was_empty = !HasEvents();
  notices_.PushBack(notice);
  if (was_empty && is_told_) cluster_->Wake(this);
}

void MemberImpl::Mute() {
  muted_ = true;
  while (fsdlm::Lock* lock = first_with_events_) {
    first_with_events_ = lock->next_with_events;
    lock->next_with_events = nullptr;
    lock->has_events = false;
    lock->DropCallbacks();
  }
  last_with_events_ = nullptr;
}

void MemberImpl::DropEvents() {
  Mute();
  ListNode::Unlink();
  while (Notice* notice = notices_.front()) delete notice;
}

void MemberImpl::Die() {
  lockspace_ = nullptr;
  dead_.store(true, std::memory_order_release);
  if (has_sink_) cluster_->Wake(this);
}

}  // namespace stackglue::fsdlm
