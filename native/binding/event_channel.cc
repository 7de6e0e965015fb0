#include "binding/event_channel.h"

#include <cstring>

namespace stackglue::binding {

EventChannel::EventChannel(Napi::Int32Array batch, Napi::Function on_events)
    : batch_(Napi::Persistent(batch)),
      on_events_(Napi::Persistent(on_events)),
      context_(batch.Env(), "stackglue:events") {}

bool EventChannel::Fits(const Napi::Int32Array& batch) {
  return batch.ByteLength() >= kBatchMax * sizeof(EventRecord);
}

void EventChannel::Deliver(const EventRecord* events, size_t count) {
  const Napi::Env env = on_events_.Env();
  const Napi::HandleScope scope(env);
  Napi::Int32Array batch = batch_.Value();
  // Looked up every time: JavaScript may have detached the memory, which then has no bytes.
  if (!Fits(batch)) return;
  std::memcpy(batch.Data(), events, count * sizeof(EventRecord));
  CallAsTask(on_events_, context_, {Napi::Number::New(env, static_cast<double>(count))});
}

void CallAsTask(const Napi::FunctionReference& function, const Napi::AsyncContext& context,
                std::initializer_list<napi_value> arguments) {
  const Napi::Env env = function.Env();
  const Napi::HandleScope scope(env);
  function.MakeCallback(env.Global(), arguments, context);
  if (env.IsExceptionPending()) {
    const Napi::Error error = env.GetAndClearPendingException();
    napi_fatal_exception(env, error.Value());
  }
}

}  // namespace stackglue::binding
