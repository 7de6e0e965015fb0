// Domains, joining and the death of nodes. See cluster.h.
#include "cluster.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <new>
#include <utility>
#include <vector>

namespace stackglue::o2dlm {
namespace {

// O2NM_MAX_NAME_LEN of cluster/ocfs2_nodemanager.h: a domain's name is shorter.
constexpr size_t kDomainNameLimit = 64;

}  // namespace

std::shared_ptr<Cluster> Cluster::Named(std::string_view name) {
  return ClusterRegistry<ClusterImpl>::FindOrMake(
      name, [name] { return std::make_shared<ClusterImpl>(name); });
}

std::shared_ptr<Cluster> Cluster::Create() {
  try {
    return std::make_shared<ClusterImpl>(std::string_view());
  } catch (...) {
    return nullptr;
  }
}

ClusterImpl::~ClusterImpl() { ClusterRegistry<ClusterImpl>::Forget(name()); }

int ClusterImpl::Join(std::string_view domain, int node, ProtocolVersion* version, EventSink* sink,
                      std::unique_ptr<Member>* member) {
  if (version == nullptr || member == nullptr) return -EINVAL;
  if (node < 0 || node >= kMaxNodes) return -EINVAL;
  if (domain.size() >= kDomainNameLimit) return -ENAMETOOLONG;
  if (domain.find('\0') != std::string_view::npos) return -EINVAL;
  try {
    auto self = std::static_pointer_cast<ClusterImpl>(shared_from_this());
    // Made outside the section: if it fails, its destructor needs the mutex.
    auto joining = std::make_unique<MemberImpl>(std::move(self), node, sink);
    {
      const Section section(this);
      auto at = domains_.find(domain);
      if (at == domains_.end()) {
        auto fresh = std::make_unique<Domain>(this, domain, *version);
        fresh->AddMember(joining.get());
        try {
          at = domains_.emplace(std::string(domain), nullptr).first;
        } catch (...) {
          fresh->RemoveMember(joining.get());
          throw;
        }
        at->second = std::move(fresh);
      } else {
        ProtocolVersion negotiated = *version;
        if (!at->second->Negotiate(&negotiated)) return -EPROTO;
        at->second->AddMember(joining.get());
        *version = negotiated;
      }
      joining->set_domain(at->second.get());
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
  member->Unlink();
  Domain* domain = member->domain();
  if (domain == nullptr) return;
  domain->RemoveMember(member);
  if (domain->members().empty()) domains_.erase(domains_.find(domain->name()));
}

int ClusterImpl::KillNode(int node) {
  const Section section(this);
  // First everything that can fail.
  List<EventNode> notices;
  std::vector<Resource*> contended;
  bool found = false;
  bool failed = false;
  for (const auto& [name, domain] : domains_) {
    if (!domain->HasNode(node)) continue;
    found = true;
    try {
      contended.reserve(domain->CountContended());
    } catch (const std::bad_alloc&) {
      failed = true;
    }
    for (const MemberImpl* member : domain->members()) {
      if (member->node() == node) continue;
      auto* notice = new (std::nothrow) OwnedEvent;
      if (notice == nullptr) {
        failed = true;
        break;
      }
      notice->kind = Event::Kind::kEviction;
      notice->value = node;
      notices.PushBack(notice);
    }
  }
  if (failed) {
    while (EventNode* notice = notices.front()) delete static_cast<OwnedEvent*>(notice);
    return -ENOMEM;
  }

  for (auto at = domains_.begin(); at != domains_.end();) {
    Domain* domain = at->second.get();
    if (domain->HasNode(node)) domain->RecoverFrom(node, &notices, &contended);
    at = domain->members().empty() ? domains_.erase(at) : std::next(at);
  }
  if (found) ring()->SeeDeath(node);
  return found ? 0 : -ENOENT;
}

void ClusterImpl::HoldThread() {
  const Section section(this);
  holds_thread_ = true;
}

bool ClusterImpl::thread_is_due() {
  const Section section(this);
  return std::any_of(domains_.begin(), domains_.end(),
                     [](const auto& entry) { return entry.second->thread_is_due(); });
}

void ClusterImpl::RunThread() {
  const Section section(this);
  for (const auto& entry : domains_) entry.second->RunHeldThread();
}

const Domain* ClusterImpl::FindDomain(std::string_view name) const {
  const auto at = domains_.find(name);
  return at == domains_.end() ? nullptr : at->second.get();
}

}  // namespace stackglue::o2dlm
