// The way of events into JavaScript: a batch in memory that both sides see, and one call for each.
//
// Threads: the environment's own; Deliver() never inside a call from JavaScript, so no callback
// runs before the call that caused it has returned.
#ifndef STACKGLUE_NATIVE_BINDING_EVENT_CHANNEL_H_
#define STACKGLUE_NATIVE_BINDING_EVENT_CHANNEL_H_

#include <napi.h>

#include <cstddef>

#include "binding/batch_state.h"
#include "util/event_record.h"

namespace stackglue::binding {

class EventChannel {
 public:
  // `batch` is as Accepts() wants it; `on_events(count)` reads the records before it returns.
  EventChannel(Napi::Int32Array batch, Napi::Function on_events);

  // Whether these are (options, batch, onEvents, onOther) with a batch that has room for kBatchMax
  // records and a BatchState, in shared memory, which cannot be detached: what the constructors of
  // both connections take.
  static bool Accepts(const Napi::CallbackInfo& info);

  // The batch itself, kBatchMax records, for who fills it in place.
  EventRecord* batch() { return records_; }
  BatchState* state() { return state_; }

  // Calls JavaScript once with the first `count` records of the batch, as a task of its own
  // (microtasks run before this returns). What it throws becomes an uncaught exception.
  void Deliver(size_t count);

  // Copies up to kBatchMax records into the batch, for JavaScript that asks for them.
  void Copy(const EventRecord* events, size_t count);

  // Copies up to kBatchMax records into the batch and delivers them.
  void Deliver(const EventRecord* events, size_t count);

 private:
  Napi::Reference<Napi::Int32Array> batch_;
  EventRecord* const records_;
  BatchState* const state_;
  Napi::FunctionReference on_events_;
  Napi::AsyncContext context_;
};

// Calls `function` as a task of its own; what it throws becomes an uncaught exception.
void CallAsTask(const Napi::FunctionReference& function, const Napi::AsyncContext& context,
                std::initializer_list<napi_value> arguments);

}  // namespace stackglue::binding

#endif  // STACKGLUE_NATIVE_BINDING_EVENT_CHANNEL_H_
