// A copy of a domain's state. See inspect.h.
#include "inspect.h"

#include "cluster.h"

namespace stackglue::o2dlm {
namespace {

std::vector<LockView> Copy(const Resource& resource, Lock::Queue queue) {
  std::vector<LockView> locks;
  resource.ForEach(queue, [&locks](const Lock& lock) {
    LockView view;
    view.id = lock.id;
    view.node = lock.member->node();
    view.astarg = lock.astarg;
    view.mode = lock.mode;
    view.convert_mode = lock.convert_mode;
    view.highest_blocked = lock.highest_blocked;
    view.ast_pending = lock.ast_pending();
    view.bast_pending = lock.bast_pending();
    locks.push_back(view);
  });
  return locks;
}

}  // namespace

bool HasEvents(Member* member) {
  return static_cast<MemberImpl*>(member)->has_events();  // the only Member there is
}

std::optional<DomainView> InspectDomain(Cluster* cluster, std::string_view name) noexcept {
  if (cluster == nullptr) return std::nullopt;
  auto* inside = static_cast<ClusterImpl*>(cluster);  // the only Cluster there is
  try {
    const ClusterImpl::Section section(inside);
    const Domain* domain = inside->FindDomain(name);
    if (domain == nullptr) return std::nullopt;
    DomainView view;
    view.version = domain->version();
    for (const MemberImpl* member : domain->members()) view.members.push_back(member->node());
    domain->ForEachResource([&view](const Resource& resource) {
      ResourceView copy;
      copy.name = resource.name();
      copy.master = resource.master();
      resource.ReadBlock(copy.lvb.data());
      copy.granted = Copy(resource, Lock::Queue::kGranted);
      copy.converting = Copy(resource, Lock::Queue::kConverting);
      copy.blocked = Copy(resource, Lock::Queue::kBlocked);
      view.resources.push_back(std::move(copy));
    });
    return view;
  } catch (...) {
    return std::nullopt;
  }
}

}  // namespace stackglue::o2dlm
