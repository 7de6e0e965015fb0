// JavaScript's hold on one member of an o2dlm domain (lib/native.ts: NativeO2dlmConnection).
//
// Threads: the environment's own; the engine only wakes LoopTurns, from any thread.
#ifndef STACKGLUE_NATIVE_BINDING_O2DLM_CONNECTION_H_
#define STACKGLUE_NATIVE_BINDING_O2DLM_CONNECTION_H_

#include <napi.h>

#include <array>
#include <memory>
#include <string_view>

#include "binding/external_memory.h"
#include "binding/lock_calls.h"
#include "binding/loop_turns.h"
#include "binding/object_memory.h"
#include "binding/script_side.h"
#include "o2dlm/o2dlm.h"
#include "util/slot_table.h"

namespace stackglue::binding {

class O2dlmConnection final : public ObjectMemory,
                              public Napi::ObjectWrap<O2dlmConnection>,
                              private order::EventSource,
                              private order::EventListener {
 public:
  static Napi::Function Define(Napi::Env env);

  // o2dlmKillNode(cluster, node): 0 or a negative errno.
  static Napi::Value KillNode(const Napi::CallbackInfo& info);

  // new (options, batch, onEvents, onState): see lib/native.ts. Joins the domain.
  explicit O2dlmConnection(const Napi::CallbackInfo& info);
  ~O2dlmConnection() override;

  // The requests, as TakeRequest() has them made. They return what JavaScript is given: 0 (Lock:
  // the lock's index), or the negated status of o2dlm. It knows no transactions.
  int32_t Lock(int32_t mode, uint32_t flags, uint64_t xid, std::string_view name);
  int32_t Convert(uint32_t index, int32_t mode, uint32_t flags, uint64_t xid, const uint8_t* block);
  int32_t Unlock(uint32_t index, uint32_t flags, const uint8_t* block);

 private:
  struct LockRecord {
    o2dlm::LockId id = 0;
    uint64_t completed_in_batch = 0;
    int32_t place = 0;  // of the completion in that batch
    // What the lock manager has accepted, and not ended.
    int8_t requested_mode = EventRecord::kNoMode;
    int8_t granted_mode = EventRecord::kNoMode;
    bool is_requested = false;
    bool is_new = false;
    bool has_lost_request = false;  // its end was told with the loss
    uint32_t unlocks_due = 0;
    uint64_t asked = 0;  // which of all requests was the last of these
  };

  static napi_value Request(napi_env env, napi_callback_info info);
  static napi_value More(napi_env env, napi_callback_info info);
  void Begin(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);
  void Ref(const Napi::CallbackInfo& info);
  void Unref(const Napi::CallbackInfo& info);
  Napi::Value Members(const Napi::CallbackInfo& info);
  Napi::Value Membership(const Napi::CallbackInfo& info);
  Napi::Value JoinStatus(const Napi::CallbackInfo& info);
  Napi::Value Version(const Napi::CallbackInfo& info);

  // Whether the lock has a completion that JavaScript has not been told of.
  bool IsUntold(uint32_t index, const LockRecord& record) const;
  // After a request that JavaScript has made: puts what that has led to where the batch was whose
  // last event is being told, so that JavaScript need not ask.
  void CollectEarly();
  size_t Collect(EventRecord* events) override;
  void Look() override;
  void BeginTurn() override { member_->SetTold(false); }
  void EndTurn() override { member_->SetTold(true); }
  size_t CollectLost(EventRecord* events) override;
  void Release() override;
  void TellNotice(const Notice& notice) override;
  void TellResults(size_t count) override { script_.events()->Deliver(count); }
  uint64_t Ring();
  void BeginBatch();
  void HandleEvent(const o2dlm::Event& event, LockRecord* lock, size_t place);
  void BeginClose();
  void OnClosed();

  ExternalMemory memory_;
  std::shared_ptr<o2dlm::Cluster> cluster_;
  std::unique_ptr<o2dlm::Member> member_;
  o2dlm::ProtocolVersion version_;
  int join_status_ = 0;
  ScriptSide script_;
  LoopTurns turns_;
  bool closing_ = false;

  // The most events that are taken from the engine at once.
  static constexpr size_t kTakeMax = 16;

  SlotTable<LockRecord> locks_;
  uint64_t batch_number_ = 0;
  size_t batch_size_ = 0;
  uint64_t last_asked_ = 0;
  std::array<uint32_t, kBatchMax> ended_;  // to be released when the batch has been handled
  size_t ended_count_ = 0;
  // From taken_[next_] on: events that are on their way to a batch.
  std::array<o2dlm::Event, kTakeMax> taken_;
  size_t next_ = 0;
  size_t taken_count_ = 0;
  uint64_t ring_ = 0;  // of the membership that has been told of
};

}  // namespace stackglue::binding

#endif  // STACKGLUE_NATIVE_BINDING_O2DLM_CONNECTION_H_
