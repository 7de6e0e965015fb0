// An open lockspace of the emulated fs/dlm (native/fsdlm) and the locks that one connection has in
// it: to its user what kernel::Lockspace is, with the same rules (user/lock_book.h). The engine
// answers every request in the call, so there is nobody else who would make the calls.
//
// Threads: its owner's; the engine calls the sink from any.
#ifndef STACKGLUE_NATIVE_EMULATION_LOCKSPACE_H_
#define STACKGLUE_NATIVE_EMULATION_LOCKSPACE_H_

#include <array>
#include <deque>
#include <memory>
#include <string_view>
#include <vector>

#include "fsdlm/fsdlm.h"
#include "order/delivery.h"
#include "user/lock_book.h"
#include "util/event_record.h"

namespace stackglue::emulation {

class Lockspace final : public order::EventSource, private user::LockBook::Carrier {
 public:
  // A process of `node` opens `name` in the process's cluster of that name. `sink` is told when
  // Collect() is worth a call, and `order` what happens to nodes. Returns 0, or what
  // Cluster::Join() refuses with, and then `*opened` is left alone.
  [[nodiscard]] static int Open(std::string_view cluster, std::string_view name, int node,
                                fsdlm::Company company, EventSink* sink, order::EventOrder* order,
                                std::unique_ptr<Lockspace>* opened);
  Lockspace(const Lockspace&) = delete;
  Lockspace& operator=(const Lockspace&) = delete;

  // The node was killed: every request is refused, and no event comes.
  bool is_dead() const { return member_->dead(); }
  int this_node() const { return member_->node(); }
  uint32_t owner_pid() const { return static_cast<uint32_t>(member_->pid()); }
  // The numbers of the lockspace's nodes, ascending. Throws std::bad_alloc.
  std::vector<int> Nodes() const;
  // The number of the membership of nodes that has been told of; 0: it is dead.
  uint64_t ring();

  // As those of kernel::Lockspace.
  user::LockBook* OpenBook() { return is_dead() ? nullptr : &book_; }
  int Purge(int32_t node, int32_t pid, uint32_t ticket);

  // As EventSource's.
  size_t Collect(EventRecord* events) override;
  void Look() override;
  void BeginTurn() override { member_->SetTold(false); }
  void EndTurn() override { member_->SetTold(true); }
  size_t CollectLost(EventRecord* events) override;
  void Release() override { book_.ReleaseEnded(); }

 private:
  // The most events that are taken from the engine at once.
  static constexpr size_t kTakeMax = 16;

  Lockspace(EventSink* sink, order::EventOrder* order) : sink_(sink), order_(order) {}

  void Put(const user::Order& order) override;
  int Make(const user::Order& order, fsdlm::LockId* id);
  void Answer(const user::Answer& answer);
  size_t TakeAnswers(EventRecord* events);
  // False: no more in this batch.
  bool HandleEvent(const fsdlm::Event& event, EventRecord* events, size_t* count);

  EventSink* const sink_;
  order::EventOrder* const order_;
  std::unique_ptr<fsdlm::Member> member_;
  user::LockBook book_{this, &order_->clock()};
  std::deque<user::Answer> answers_;
  // From taken_[next_] on: events that are on their way to a batch.
  std::array<fsdlm::Event, kTakeMax> taken_;
  size_t next_ = 0;
  size_t taken_count_ = 0;
  uint64_t ring_ = 0;
};

}  // namespace stackglue::emulation

#endif  // STACKGLUE_NATIVE_EMULATION_LOCKSPACE_H_
