// The two engines as the simulator uses them. See engine.h.
#include "simulator/engine.h"

#include <algorithm>
#include <cerrno>
#include <map>
#include <string_view>
#include <utility>

#include "o2dlm/o2dlm.h"
#include "o2dlm/status.h"
#include "order/notice.h"

namespace stackglue::simulator {
namespace {

// Remembers that there were events. The calls are made by the one thread that takes them.
class PendingFlag final : public EventSink {
 public:
  void OnEventsPending() noexcept override { pending = true; }
  bool pending = false;
};

struct FlagName {
  uint32_t flag;
  const char* name;
};

// The names of those that are set; bits without a name as a number.
template <size_t kCount>
std::string NamesOf(uint32_t flags, const FlagName (&names)[kCount]) {
  std::string text;
  for (const auto& [flag, name] : names) {
    if ((flags & flag) != 0) text += std::string(" ") + name;
    flags &= ~flag;
  }
  if (flags != 0) text += " " + std::to_string(flags);
  return text;
}

constexpr FlagName kFsdlmFlags[] = {
    {fsdlm::kLkfNoQueue, "NOQUEUE"},
    {fsdlm::kLkfCancel, "CANCEL"},
    {fsdlm::kLkfConvert, "CONVERT"},
    {fsdlm::kLkfValBlk, "VALBLK"},
    {fsdlm::kLkfQueCvt, "QUECVT"},
    {fsdlm::kLkfIvValBlk, "IVVALBLK"},
    {fsdlm::kLkfConvDeadlk, "CONVDEADLK"},
    {fsdlm::kLkfPersistent, "PERSISTENT"},
    {fsdlm::kLkfNoDlckBlk, "NODLCKBLK"},
    {fsdlm::kLkfExpedite, "EXPEDITE"},
    {fsdlm::kLkfNoQueueBast, "NOQUEUEBAST"},
    {fsdlm::kLkfHeadQue, "HEADQUE"},
    {fsdlm::kLkfNoOrder, "NOORDER"},
    {fsdlm::kLkfOrphan, "ORPHAN"},
    {fsdlm::kLkfAltPr, "ALTPR"},
    {fsdlm::kLkfAltCw, "ALTCW"},
    {fsdlm::kLkfForceUnlock, "FORCEUNLOCK"},
};
constexpr FlagName kO2dlmFlags[] = {
    {o2dlm::kLkmNoQueue, "NOQUEUE"}, {o2dlm::kLkmCancel, "CANCEL"}, {o2dlm::kLkmConvert, "CONVERT"},
    {o2dlm::kLkmValBlk, "VALBLK"},   {o2dlm::kLkmLocal, "LOCAL"},
};

// A full block, zeros where the caller gave less.
template <size_t kSize>
std::array<uint8_t, kSize> Padded(const std::vector<uint8_t>& given) {
  std::array<uint8_t, kSize> block{};
  std::copy_n(given.begin(), std::min(given.size(), kSize), block.begin());
  return block;
}

// Of an engine's event, whose value is the node's number.
void MakeNotice(NoticeKind kind, Event* event) {
  event->kind = Event::Kind::kNotice;
  event->lock = static_cast<uint64_t>(kind);
}

template <class Member>
std::vector<int> NodesOf(const Member& member) {
  std::vector<int> nodes(member.Nodes(nullptr, 0));
  member.Nodes(nodes.data(), nodes.size());
  return nodes;
}

// What both adapters do alike, whatever the engine's words are.
template <class Cluster, class Member, class LockId, class Taken>
class EngineOn : public Engine {
 public:
  explicit EngineOn(std::shared_ptr<Cluster> cluster) : cluster_(std::move(cluster)) {}

  void Leave(ConnectionId connection) override { connected_.erase(connection); }
  int Kill(int node) override { return cluster_->KillNode(node); }

  int MasterOf(ConnectionId connection, std::string_view resource) const override {
    const auto at = connected_.find(connection);
    return at == connected_.end() ? 0 : std::max(at->second.member->MasterOf(resource), 0);
  }
  std::vector<int> Nodes(ConnectionId connection) const override {
    const auto at = connected_.find(connection);
    return at == connected_.end() ? std::vector<int>() : NodesOf(*at->second.member);
  }

  bool Pending(ConnectionId connection) const override {
    const auto at = connected_.find(connection);
    return at != connected_.end() && at->second.sink.pending;
  }

  bool Take(ConnectionId connection, Event* event) override {
    const auto at = connected_.find(connection);
    Taken taken;
    if (at == connected_.end()) return false;
    if (at->second.member->TakeEvents(&taken, 1) == 0) {
      at->second.sink.pending = false;
      return false;
    }
    *event = {};
    event->connection = connection;
    event->lock = taken.astarg;
    event->value = taken.value;
    event->final = taken.final;
    event->has_block = taken.has_lvb;
    if (taken.has_lvb) event->block.assign(taken.lvb.begin(), taken.lvb.end());
    Translate(taken, event);
    if (taken.final) at->second.locks.erase(taken.astarg);
    return true;
  }

 protected:
  struct Connected {
    PendingFlag sink;  // outlives the member
    std::unique_ptr<Member> member;
    std::map<uint64_t, LockId> locks;  // by the caller's names
  };

  // What is the engine's own in an event: its kind, and flags where it has any.
  virtual void Translate(const Taken& taken, Event* event) const = 0;

  // Has `join(sink, member)` make the connection's member; returns what that does.
  template <class Join>
  int Enter(ConnectionId connection, Join join) {
    Connected& joining = connected_[connection];
    const int status = join(&joining.sink, &joining.member);
    if (status != 0) {
      connected_.erase(connection);
    } else {
      joining.member->WatchNodes();
    }
    return status;
  }

  const std::shared_ptr<Cluster> cluster_;
  std::map<ConnectionId, Connected> connected_;
};

class FsdlmEngine final
    : public EngineOn<fsdlm::Cluster, fsdlm::Member, fsdlm::LockId, fsdlm::Event> {
 public:
  using EngineOn::EngineOn;

  int Join(ConnectionId connection, int node, std::string_view group, Version*) override {
    return Enter(connection, [&](PendingFlag* sink, std::unique_ptr<fsdlm::Member>* member) {
      return cluster_->Join(group, node, sink, member);
    });
  }

  int64_t Call(const Request& request) override {
    const auto at = connected_.find(request.connection);
    if (at == connected_.end()) return -EPERM;
    fsdlm::Member* member = at->second.member.get();
    const auto block = Padded<fsdlm::kLvbLen>(request.block);
    const uint8_t* lvb = request.block.empty() ? nullptr : block.data();
    auto& locks = at->second.locks;
    const auto known = locks.find(request.lock);
    fsdlm::LockId id = known == locks.end() ? 0 : known->second;
    if (request.kind == Request::Kind::kUnlock) {
      return member->Unlock(id, request.flags, 0, lvb);
    }
    const bool convert = request.kind == Request::Kind::kConvert;
    const uint32_t flags = request.flags | (convert ? fsdlm::kLkfConvert : 0);
    const int status =
        member->Lock(request.mode, flags, request.resource, request.lock, true, lvb, &id);
    if (status == 0) locks[request.lock] = id;
    return status;
  }

  bool Recall(const Event& grant, int held, int wanted,
              const std::vector<uint8_t>& block) override {
    const auto at = connected_.find(grant.connection);
    if (at == connected_.end()) return false;
    const auto known = at->second.locks.find(grant.lock);
    const auto padded = Padded<fsdlm::kLvbLen>(block);
    return known != at->second.locks.end() &&
           at->second.member->Recall(known->second, held, wanted, padded.data()) == 0;
  }
  void ForgetBlocking(const Event& blocking) override {
    const auto at = connected_.find(blocking.connection);
    if (at == connected_.end()) return;
    const auto known = at->second.locks.find(blocking.lock);
    if (known != at->second.locks.end()) at->second.member->ForgetBast(known->second);
  }
  int Purge(ConnectionId connection, int node, int pid) override {
    const auto at = connected_.find(connection);
    return at == connected_.end() ? -EPERM : at->second.member->Purge(node, pid);
  }
  int OwnerPid(ConnectionId connection) const override {
    const auto at = connected_.find(connection);
    return at == connected_.end() ? 0 : at->second.member->pid();
  }
  void Translate(const fsdlm::Event& taken, Event* event) const override {
    event->flags = taken.sb_flags;
    switch (taken.kind) {
      case fsdlm::Event::Kind::kCast:
        event->kind = Event::Kind::kCompletion;
        break;
      case fsdlm::Event::Kind::kBast:
        event->kind = Event::Kind::kBlocking;
        break;
      case fsdlm::Event::Kind::kNodeDown:
        event->kind = Event::Kind::kNodeDown;
        break;
      case fsdlm::Event::Kind::kNodeLeft:
        MakeNotice(NoticeKind::kNodeLeft, event);
        break;
      case fsdlm::Event::Kind::kNodeJoined:
        MakeNotice(NoticeKind::kNodeJoined, event);
        break;
    }
  }

  std::string StatusText(const Event& event) const override {
    if (event.kind == Event::Kind::kUnlock) return "not unlocked " + RefusalText(event.value);
    std::string text = event.value == 0                  ? "granted"
                       : event.value == -fsdlm::kEUnlock ? "unlocked"
                       : event.value == -fsdlm::kECancel ? "cancelled"
                                                         : RefusalText(event.value);
    if ((event.flags & fsdlm::kSbfDemoted) != 0) text += " demoted";
    if ((event.flags & fsdlm::kSbfValNotValid) != 0) text += " valnotvalid";
    if ((event.flags & fsdlm::kSbfAltMode) != 0) text += " altmode";
    return text;
  }
  std::string RefusalText(int64_t status) const override {
    switch (status) {
      case -EAGAIN:
        return "EAGAIN";
      case -EDEADLK:
        return "EDEADLK";
      case -EBUSY:
        return "EBUSY";
      case -EINVAL:
        return "EINVAL";
      case -ENOBUFS:
        return "ENOBUFS";
      case -ENOENT:
        return "ENOENT";
      case -ENOTCONN:
        return "ENOTCONN";
      case -EPERM:
        return "EPERM";
      default:
        return std::to_string(status);
    }
  }
  // Nearly every request has NODLCKWT; what one without it comes to is told.
  std::string FlagsText(uint32_t flags) const override {
    return NamesOf(flags & ~fsdlm::kLkfNoDlckWt, kFsdlmFlags);
  }
  bool SendsBlock(uint32_t flags) const override { return (flags & fsdlm::kLkfValBlk) != 0; }
  uint32_t convert_flag() const override { return fsdlm::kLkfConvert; }
};

class O2dlmEngine final
    : public EngineOn<o2dlm::Cluster, o2dlm::Member, o2dlm::LockId, o2dlm::Event> {
 public:
  using EngineOn::EngineOn;

  int Join(ConnectionId connection, int node, std::string_view group, Version* version) override {
    o2dlm::ProtocolVersion runs_at{version->major, version->minor};
    const int status =
        Enter(connection, [&](PendingFlag* sink, std::unique_ptr<o2dlm::Member>* member) {
          return cluster_->Join(group, node, &runs_at, sink, member);
        });
    *version = {runs_at.major, runs_at.minor};
    return status;
  }

  int64_t Call(const Request& request) override {
    const auto at = connected_.find(request.connection);
    if (at == connected_.end()) return static_cast<int64_t>(o2dlm::Status::kRejected);
    o2dlm::Member* member = at->second.member.get();
    const auto block = Padded<o2dlm::kLvbLen>(request.block);
    const uint8_t* lvb = request.block.empty() ? nullptr : block.data();
    auto& locks = at->second.locks;
    const auto known = locks.find(request.lock);
    o2dlm::LockId id = known == locks.end() ? 0 : known->second;
    if (request.kind == Request::Kind::kUnlock) {
      return static_cast<int64_t>(member->Unlock(id, request.flags, lvb));
    }
    const bool convert = request.kind == Request::Kind::kConvert;
    const uint32_t flags = request.flags | (convert ? o2dlm::kLkmConvert : 0);
    const o2dlm::Status status =
        member->Lock(request.mode, flags, request.resource, request.lock, lvb, &id);
    if (status == o2dlm::Status::kNormal) locks[request.lock] = id;
    return static_cast<int64_t>(status);
  }

  // A block is copied whenever a lock that asks for it is granted.
  bool Recall(const Event& grant, int held, int, const std::vector<uint8_t>&) override {
    const auto at = connected_.find(grant.connection);
    if (at == connected_.end()) return false;
    const auto known = at->second.locks.find(grant.lock);
    return known != at->second.locks.end() &&
           at->second.member->Recall(known->second, held, grant.has_block) ==
               o2dlm::Status::kNormal;
  }
  // A lock is told anew whenever its resource is looked at.
  void ForgetBlocking(const Event&) override {}
  // ocfs2's calls of its own lock manager have none of these.
  int Purge(ConnectionId, int, int) override { return -EOPNOTSUPP; }
  int OwnerPid(ConnectionId) const override { return 0; }
  void Translate(const o2dlm::Event& taken, Event* event) const override {
    switch (taken.kind) {
      case o2dlm::Event::Kind::kLockAst:
        event->kind = Event::Kind::kCompletion;
        break;
      case o2dlm::Event::Kind::kBlockingAst:
        event->kind = Event::Kind::kBlocking;
        break;
      case o2dlm::Event::Kind::kUnlockAst:
        event->kind = Event::Kind::kUnlock;
        break;
      case o2dlm::Event::Kind::kEviction:
        event->kind = Event::Kind::kNodeDown;
        break;
      case o2dlm::Event::Kind::kNodeLeft:
        MakeNotice(NoticeKind::kNodeLeft, event);
        break;
      case o2dlm::Event::Kind::kNodeJoined:
        MakeNotice(NoticeKind::kNodeJoined, event);
        break;
    }
  }

  std::string StatusText(const Event& event) const override {
    if (event.kind == Event::Kind::kCompletion) {
      return event.value == 0 ? "granted" : RefusalText(event.value);
    }
    if (event.value != 0) return RefusalText(event.value);
    return event.final ? "unlocked" : "cancelled";
  }
  std::string RefusalText(int64_t status) const override {
    return o2dlm::StatusName(static_cast<o2dlm::Status>(status));
  }
  std::string FlagsText(uint32_t flags) const override { return NamesOf(flags, kO2dlmFlags); }
  bool SendsBlock(uint32_t flags) const override { return (flags & o2dlm::kLkmValBlk) != 0; }
  uint32_t convert_flag() const override { return o2dlm::kLkmConvert; }
};

}  // namespace

std::unique_ptr<Engine> Engine::Create(Profile profile, fsdlm::Clock* clock) {
  if (profile == Profile::kFsdlm) {
    auto cluster = fsdlm::Cluster::Create(clock);
    if (cluster == nullptr) return nullptr;
    return std::make_unique<FsdlmEngine>(std::move(cluster));
  }
  auto cluster = o2dlm::Cluster::Create();
  if (cluster == nullptr) return nullptr;
  return std::make_unique<O2dlmEngine>(std::move(cluster));
}

}  // namespace stackglue::simulator
