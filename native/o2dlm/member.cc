// One connection of a node to a domain. See member.h.
#include "member.h"

#include <utility>

#include "cluster.h"
#include "domain.h"

namespace stackglue::o2dlm {
namespace {

// LKM_VALID_FLAGS of dlm/dlmcommon.h without LKM_RECOVERY, which is the lock manager's own.
constexpr uint32_t kValidLockFlags = kLkmValBlk | kLkmConvert | kLkmUnlock | kLkmCancel |
                                     kLkmInvValBlk | kLkmForce | kLkmLocal | kLkmNoQueue;
constexpr uint32_t kValidUnlockFlags = kLkmCancel | kLkmValBlk | kLkmInvValBlk;

// DLM_RECOVERY_LOCK_NAME of dlm/dlmcommon.h.
constexpr std::string_view kRecoveryLockName = "$RECOVERY";

}  // namespace

MemberImpl::MemberImpl(std::shared_ptr<ClusterImpl> cluster, int node, EventSink* sink)
    : cluster_(std::move(cluster)),
      notifier_(std::make_shared<Notifier>(sink)),
      has_sink_(sink != nullptr),
      is_told_(has_sink_),
      node_(node) {}

MemberImpl::~MemberImpl() {
  cluster_->Leave(this);
  notifier_->Silence();
}

Status MemberImpl::Lock(int mode, uint32_t flags, std::string_view name, uint64_t astarg,
                        const uint8_t* lvb, LockId* id) {
  const ClusterImpl::Section section(cluster_.get());
  if (domain_ == nullptr) return Status::kRejected;
  if (id == nullptr) return Status::kBadArgs;
  if (mode != kModeEx && mode != kModePr && mode != kModeNl) return Status::kBadParam;
  if ((flags & ~kValidLockFlags) != 0) return Status::kBadParam;

  if ((flags & kLkmConvert) != 0) {
    if ((flags & kLkmLocal) != 0) return Status::kBadParam;
    if (*id == 0) return Status::kBadParam;
    o2dlm::Lock* lock = locks_.Find(*id);
    if (lock == nullptr) return Status::kIvLockId;
    if (lock->astarg != astarg) return Status::kBadArgs;
    const bool writes = (flags & kLkmValBlk) != 0 && lock->mode == kModeEx &&
                        lock->queue == o2dlm::Lock::Queue::kGranted;
    if (writes && lvb == nullptr) return Status::kBadArgs;
    return domain_->Convert(lock, mode, flags, lvb);
  }

  if (name.data() == nullptr) return Status::kBadArgs;
  if (name.empty() || name.size() > kLockNameMax) return Status::kIvBufLen;
  if (name == kRecoveryLockName) return Status::kBadParam;
  return domain_->CreateLock(this, mode, flags, name, astarg, id);
}

Status MemberImpl::Unlock(LockId id, uint32_t flags, const uint8_t* lvb) {
  const ClusterImpl::Section section(cluster_.get());
  if (domain_ == nullptr) return Status::kRejected;
  if ((flags & ~kValidUnlockFlags) != 0) return Status::kBadParam;
  if (id == 0) return Status::kBadParam;
  o2dlm::Lock* lock = locks_.Find(id);
  if (lock == nullptr) return Status::kIvLockId;
  if ((flags & kLkmCancel) != 0) return domain_->Cancel(lock);  // VALBLK is ignored with CANCEL

  const bool writes = (flags & kLkmValBlk) != 0 && lock->mode == kModeEx;
  if (!writes) return domain_->Unlock(lock, nullptr);
  const bool granted = lock->queue == o2dlm::Lock::Queue::kGranted;
  if (granted && lvb == nullptr) return Status::kBadArgs;
  return domain_->Unlock(lock, lvb);
}

int MemberImpl::MasterOf(std::string_view name) const {
  const ClusterImpl::Section section(cluster_.get());
  return domain_ == nullptr ? -1 : domain_->MasterOf(name);
}

Status MemberImpl::Recall(LockId id, int held, bool reads) {
  const ClusterImpl::Section section(cluster_.get());
  o2dlm::Lock* lock = locks_.Find(id);
  if (lock == nullptr) return Status::kIvLockId;
  if (lock->queue != o2dlm::Lock::Queue::kGranted || lock->ast_pending()) return Status::kDenied;
  lock->get_lvb = reads;
  lock->has_block = false;
  lock->resource->Recall(lock, held);
  return Status::kNormal;
}

void MemberImpl::WatchNodes() {
  const ClusterImpl::Section section(cluster_.get());
  watches_nodes_ = true;
}

size_t MemberImpl::Nodes(int* out, size_t max) const {
  const ClusterImpl::Section section(cluster_.get());
  return domain_ == nullptr ? 0 : domain_->Nodes(out, max);
}

uint64_t MemberImpl::Ring() const {
  const ClusterImpl::Section section(cluster_.get());
  return dead() || node_events_ > 0 ? 0 : cluster_->ring()->number();
}

size_t MemberImpl::TakeEvents(Event* out, size_t max) {
  if (out == nullptr) return 0;
  const ClusterImpl::Section section(cluster_.get());
  size_t taken = 0;
  while (taken < max && !events_.empty()) Deliver(events_.Front(), &out[taken++]);
  return taken;
}

void MemberImpl::SetTold(bool told) {
  const ClusterImpl::Section section(cluster_.get());
  is_told_ = told && has_sink_;
  if (is_told_ && !events_.empty()) cluster_->Wake(this);
}

bool MemberImpl::has_events() {
  const ClusterImpl::Section section(cluster_.get());
  return !events_.empty();
}

void MemberImpl::Deliver(EventNode* node, Event* out) {
  node->Unlink();
  if (Event::TellsOfNode(node->kind)) --node_events_;
  out->kind = node->kind;
  out->final = false;
  out->has_lvb = false;
  switch (node->source) {
    case EventNode::Source::kOwned: {
      auto* owned = static_cast<OwnedEvent*>(node);
      out->value = owned->value;
      out->astarg = owned->astarg;
      delete owned;
      return;
    }
    case EventNode::Source::kBast: {
      auto* lock = static_cast<o2dlm::Lock*>(static_cast<BastLink*>(node));
      out->value = lock->highest_blocked;
      out->astarg = lock->astarg;
      lock->highest_blocked = kModeInvalid;
      return;
    }
    case EventNode::Source::kAst:
      break;
  }

  auto* lock = static_cast<o2dlm::Lock*>(static_cast<AstLink*>(node));
  out->value = static_cast<int32_t>(Status::kNormal);
  out->astarg = lock->astarg;
  if (node->kind == Event::Kind::kUnlockAst) {
    out->final = true;
    locks_.Remove(lock);
    domain_->DeleteLock(lock);
    return;
  }
  // dlm/dlmast.c:dlm_update_lvb(): the block is read when the AST is delivered. Nobody can have
  // written it since the grant, which still stands.
  if (lock->get_lvb) {
    out->has_lvb = true;
    lock->resource->ReadBlock(out->lvb.data());
    lock->get_lvb = false;
    lock->has_block = true;
  }
}

void MemberImpl::PostEvent(EventNode* event) {
  const bool was_empty = events_.empty();
  if (Event::TellsOfNode(event->kind)) ++node_events_;
  events_.Append(event);
  if (was_empty && is_told_) cluster_->Wake(this);
}

void MemberImpl::DropEvents() {
  events_.Clear();
  node_events_ = 0;
  Unlink();
}

void MemberImpl::Die() {
  domain_ = nullptr;
  dead_.store(true, std::memory_order_release);
  if (has_sink_) cluster_->Wake(this);
}

}  // namespace stackglue::o2dlm
