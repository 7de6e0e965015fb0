// A copy of a lockspace's state. See inspect.h.
#include "inspect.h"

#include <algorithm>

#include "cluster.h"

namespace stackglue::fsdlm {
namespace {

std::vector<LockView> Copy(const Lockspace& lockspace, const Resource& resource,
                           Lock::Queue queue) {
  std::vector<LockView> locks;
  resource.ForEach(queue, [&](const Lock& lock) {
    LockView view;
    view.id = lock.id;
    view.node = lock.owner->node();
    view.is_orphan = !lock.owner->is_process();
    view.pid = view.is_orphan ? static_cast<int>(lock.astarg)
                              : static_cast<const MemberImpl*>(lock.owner)->pid();
    view.transaction = lockspace.TransactionOf(lock);
    view.exflags = lock.exflags;
    view.grmode = lock.grmode;
    view.rqmode = lock.rqmode;
    view.believed_mode = lock.believed_mode;
    view.highbast = lock.highbast;
    view.sb_flags = lock.sb_flags;
    if (lock.block != nullptr) {
      view.lvb = lock.block->bytes;
      if (lock.block->at_master != nullptr) view.lvb_at_master = *lock.block->at_master;
    }
    locks.push_back(view);
  });
  return locks;
}

}  // namespace

std::optional<LockspaceView> InspectLockspace(Cluster* cluster, std::string_view name) noexcept {
  if (cluster == nullptr) return std::nullopt;
  auto* inside = static_cast<ClusterImpl*>(cluster);  // the only Cluster there is
  try {
    const ClusterImpl::Section section(inside);
    const Lockspace* lockspace = inside->FindLockspace(name);
    if (lockspace == nullptr) return std::nullopt;
    LockspaceView view;
    for (const MemberImpl* member : lockspace->members()) view.members.push_back(member->node());
    lockspace->ForEachResource([&view, lockspace](const Resource& resource) {
      ResourceView copy;
      copy.name = resource.name();
      copy.master = resource.master();
      copy.valid = resource.block_valid();
      const ResourceBlock* block = resource.block();
      if (block != nullptr && block->exists) copy.lvb = block->bytes;
      copy.granted = Copy(*lockspace, resource, Lock::Queue::kGranted);
      copy.converting = Copy(*lockspace, resource, Lock::Queue::kConverting);
      copy.waiting = Copy(*lockspace, resource, Lock::Queue::kWaiting);
      view.resources.push_back(std::move(copy));
    });
    std::sort(view.resources.begin(), view.resources.end(),
              [](const ResourceView& a, const ResourceView& b) { return a.name < b.name; });
    return view;
  } catch (...) {
    return std::nullopt;
  }
}

}  // namespace stackglue::fsdlm
