// Lockspaces, joining and the death of nodes. See cluster.h.
#include "cluster.h"

#include <array>
#include <cerrno>
#include <new>
#include <utility>
#include <vector>

namespace stackglue::fsdlm {

std::shared_ptr<Cluster> Cluster::Named(std::string_view name) {
  return ClusterRegistry<ClusterImpl>::FindOrMake(
      name, [name] { return std::make_shared<ClusterImpl>(name, nullptr); });
}

std::shared_ptr<Cluster> Cluster::Create(Clock* clock) {
  try {
    return std::make_shared<ClusterImpl>(std::string_view(), clock);
  } catch (...) {
    return nullptr;
  }
}

ClusterImpl::~ClusterImpl() { ClusterRegistry<ClusterImpl>::Forget(name()); }

int ClusterImpl::Join(std::string_view lockspace, int node, EventSink* sink,
                      std::unique_ptr<Member>* member, Company company) {
  if (member == nullptr || node <= 0 || lockspace.empty()) return -EINVAL;
  if (lockspace.size() > kLockspaceNameMax) return -ENAMETOOLONG;
  if (lockspace.find('\0') != std::string_view::npos) return -EINVAL;
  try {
    auto self = std::static_pointer_cast<ClusterImpl>(shared_from_this());
    int pid = 0;
    {
      const Section section(this);
      pid = ++last_pid_;
    }
    // Made outside the section: if it fails, its destructor needs the mutex.
    auto joining = std::make_unique<MemberImpl>(std::move(self), node, pid, sink);
    {
      const Section section(this);
      auto at = lockspaces_.find(lockspace);
      const bool is_new = at == lockspaces_.end();
      const bool has_node = !is_new && at->second->HasNode(node);
      if (company == Company::kNone && has_node) return -EEXIST;
      if (company == Company::kNeeded && !has_node) return -ENOENT;
      if (is_new) {
        at = lockspaces_.emplace(std::string(lockspace), std::unique_ptr<Lockspace>()).first;
      }
      try {
        if (is_new) at->second = std::make_unique<Lockspace>(this, lockspace);
        at->second->AddMember(joining.get());
      } catch (...) {
        if (is_new) lockspaces_.erase(at);
        throw;
      }
      joining->set_lockspace(at->second.get());
      // In the section: who is told of it has the new number.
      ring()->SeeNode(node);
    }
    *member = std::move(joining);
    return 0;
  } catch (...) {
    return -ENOMEM;
  }
}

void ClusterImpl::Leave(MemberImpl* member) {
  const Section section(this);
  member->ListNode::Unlink();
  Lockspace* lockspace = member->lockspace();
  if (lockspace == nullptr) return;
  lockspace->RemoveMember(member);
  if (lockspace->members().empty()) lockspaces_.erase(lockspaces_.find(lockspace->name()));
}

int ClusterImpl::KillNode(int node) {
  const Section section(this);
  // First everything that can fail.
  List<Notice> notices;
  std::vector<Resource*> touched;
  bool found = false;
  try {
    for (const auto& [name, lockspace] : lockspaces_) {
      if (!lockspace->HasNode(node)) continue;
      found = true;
      touched.reserve(lockspace->resource_count());
      for (const MemberImpl* member : lockspace->members()) {
        if (member->node() != node) notices.PushBack(new Notice);
      }
    }
  } catch (const std::bad_alloc&) {
    while (Notice* notice = notices.front()) delete notice;
    return -ENOMEM;
  }

  for (auto at = lockspaces_.begin(); at != lockspaces_.end();) {
    Lockspace* lockspace = at->second.get();
    if (lockspace->HasNode(node)) {
      for (MemberImpl* member : lockspace->members()) {
        if (member->node() == node) continue;
        Notice* notice = notices.front();
        notice->node = node;
        member->PostNotice(notice);
      }
      lockspace->RemoveNode(node, &touched);
    }
    at = lockspace->members().empty() ? lockspaces_.erase(at) : std::next(at);
  }
  if (found) ring()->SeeDeath(node);
  return found ? 0 : -ENOENT;
}

const Lockspace* ClusterImpl::FindLockspace(std::string_view name) const {
  const auto at = lockspaces_.find(name);
  return at == lockspaces_.end() ? nullptr : at->second.get();
}

}  // namespace stackglue::fsdlm
