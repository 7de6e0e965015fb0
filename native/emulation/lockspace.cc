#include "emulation/lockspace.h"

#include <algorithm>
#include <cerrno>
#include <new>

namespace stackglue::emulation {

using user::Answer;
using user::Cookie;
using user::LockBook;
using user::Operation;
using user::Order;
using user::Result;

namespace {

constexpr fsdlm::ValueBlock kNoBlock{};

// What comes back with a lock's events; never 0, because a generation never is.
uint64_t ToAstArg(Cookie cookie) {
  return (static_cast<uint64_t>(cookie.generation) << 32) | cookie.index;
}

Cookie ToCookie(uint64_t astarg) {
  return {static_cast<uint32_t>(astarg), static_cast<uint32_t>(astarg >> 32)};
}

Result ToResult(const fsdlm::Event& event) {
  Result result;
  result.cookie = ToCookie(event.astarg);
  result.blocking = event.kind == fsdlm::Event::Kind::kBast;
  (result.blocking ? result.blocked_mode : result.status) = event.value;
  result.lock_id = static_cast<uint32_t>(event.lock);
  result.sb_flags = event.sb_flags;
  if (event.has_lvb) result.lvb = event.lvb.data();
  return result;
}

}  // namespace

int Lockspace::Open(std::string_view cluster, std::string_view name, int node,
                    fsdlm::Company company, EventSink* sink, order::EventOrder* order,
                    std::unique_ptr<Lockspace>* opened) {
  const std::shared_ptr<fsdlm::Cluster> joined = fsdlm::Cluster::Named(cluster);
  if (joined == nullptr) return -ENOMEM;
  std::unique_ptr<Lockspace> lockspace;
  try {
    lockspace.reset(new Lockspace(sink, order));
  } catch (const std::bad_alloc&) {
    return -ENOMEM;
  }
  const int error = joined->Join(name, node, sink, &lockspace->member_, company);
  if (error != 0) return error;
  lockspace->member_->WatchNodes();
  lockspace->ring_ = lockspace->member_->Ring();
  *opened = std::move(lockspace);
  return 0;
}

std::vector<int> Lockspace::Nodes() const {
  std::vector<int> nodes(1);
  for (;;) {
    const size_t count = member_->Nodes(nodes.data(), nodes.size());
    const bool is_all = count <= nodes.size();
    nodes.resize(count);
    if (is_all) return nodes;
  }
}

uint64_t Lockspace::ring() {
  if (is_dead()) return 0;
  const bool is_due = order_->HasUntoldChange() ||
                      std::any_of(taken_.begin() + next_, taken_.begin() + taken_count_,
                                  [](const auto& each) { return each.TellsOfNode(each.kind); });
  const uint64_t now = is_due ? 0 : member_->Ring();
  if (now != 0) ring_ = now;
  return ring_;
}

// --- Requests -----------------------------------------------------------------------------------

int Lockspace::Purge(int32_t node, int32_t pid, uint32_t ticket) {
  if (is_dead()) return -ENOTCONN;
  const bool is_own = user::PurgesOwnLocks(member_->node(), member_->pid(), node, pid);
  user::Answer answer{};
  answer.operation = Operation::kPurge;
  answer.cookie = {ticket, 0};
  answer.status = is_own ? -EINVAL : member_->Purge(node, pid);
  Answer(answer);
  return 0;
}

// The engine's answer.
int Lockspace::Make(const Order& order, fsdlm::LockId* id) {
  const uint64_t astarg = ToAstArg(order.cookie);
  // As the device is given it: zeros where no value block is meant (kernel/device_protocol.h).
  const bool has_lvb = (order.flags & fsdlm::kLkfValBlk) != 0 && order.lvb != nullptr;
  const uint8_t* lvb = has_lvb ? order.lvb : kNoBlock.data();
  switch (order.operation) {
    case Operation::kLock:
    case Operation::kAdopt:
      return member_->Lock(order.mode, order.flags, order.name, astarg, true, nullptr, id);
    case Operation::kConvert:
      return member_->Lock(order.mode, order.flags, {}, astarg, true, lvb, id);
    default:
      return member_->Unlock(*id, order.flags, astarg, lvb);
  }
}

void Lockspace::Put(const Order& order) {
  user::Answer answer{};
  answer.cookie = order.cookie;
  answer.operation = order.operation;
  // In its place before the request, which cannot be taken back.
  answers_.push_back(answer);

  user::CarrierMemory& made = *order.memory;
  const bool is_new = order.operation == Operation::kLock || order.operation == Operation::kAdopt;
  const int status = Make(order, &made.id);
  const bool has_transaction = is_new || order.operation == Operation::kConvert;
  if (status == 0 && has_transaction && (order.xid != 0 || made.has_transaction)) {
    made.has_transaction = member_->SetTransaction(made.id, order.xid) == 0 && order.xid != 0;
  }
  const bool is_answered =
      order.operation == Operation::kAdopt || (status < 0 && order.operation != Operation::kCancel);
  if (!is_answered || is_dead()) {
    answers_.pop_back();
    return;
  }
  answers_.back().status = status;
  answers_.back().lock_id = static_cast<uint32_t>(made.id);
  sink_->OnEventsPending();
}

void Lockspace::Answer(const user::Answer& answer) {
  answers_.push_back(answer);
  sink_->OnEventsPending();
}

// --- What comes back ----------------------------------------------------------------------------

size_t Lockspace::TakeAnswers(EventRecord* events) {
  size_t count = 0;
  while (!answers_.empty() && count < kBatchMax) {
    const user::Answer answer = answers_.front();
    answers_.pop_front();
    if (answer.operation != Operation::kPurge) {
      if (book_.HandleAnswer(answer, &events[count])) ++count;
      continue;
    }
    events[count++] = {EventKind::kCall, static_cast<int32_t>(answer.cookie.index), answer.status};
  }
  return count;
}

bool Lockspace::HandleEvent(const fsdlm::Event& event, EventRecord* events, size_t* count) {
  switch (event.kind) {
    case fsdlm::Event::Kind::kNodeDown:
      order_->SeeDeparture(event.value, order::Cause::kFailed);
      return true;
    case fsdlm::Event::Kind::kNodeLeft:
      order_->SeeDeparture(event.value, order::Cause::kLeft);
      return true;
    case fsdlm::Event::Kind::kNodeJoined:
      order_->SeeJoin(event.value);
      return true;
    case fsdlm::Event::Kind::kCast:
    case fsdlm::Event::Kind::kBast:
      break;
  }
  const Result result = ToResult(event);
  if (book_.TurnOf(result) != LockBook::Turn::kNow) return false;
  if (book_.HandleResult(result, &events[*count])) ++*count;
  return true;
}

// The engine gives what it says of nodes before the results that came of it.
size_t Lockspace::Collect(EventRecord* events) {
  size_t count = 0;
  if (!is_dead()) {
    book_.BeginBatch();
    count = TakeAnswers(events);
  }
  while (count < kBatchMax) {
    if (next_ == taken_count_) {
      next_ = 0;
      taken_count_ = member_->TakeEvents(taken_.data(), kTakeMax);
      if (taken_count_ == 0) break;
    }
    if (!HandleEvent(taken_[next_], events, &count)) break;
    ++next_;
  }
  Look();
  return count;
}

void Lockspace::Look() {
  // What has happened to nodes comes with results, when it has been recovered from.
  order_->SeeRecovery();
  if (is_dead()) order_->SeeLoss(NoticeKind::kKilled);
}

size_t Lockspace::CollectLost(EventRecord* events) {
  book_.BeginBatch();
  return book_.EndLost(events, kBatchMax);
}

}  // namespace stackglue::emulation
