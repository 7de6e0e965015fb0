#include "binding/event_channel.h"

#include <cstring>

#include "binding/arguments.h"

namespace stackglue::binding {

EventChannel::EventChannel(Napi::Int32Array batch, Napi::Function on_events)
    : batch_(Napi::Persistent(batch)),
      records_(reinterpret_cast<EventRecord*>(batch.Data())),
      state_(reinterpret_cast<BatchState*>(records_ + kBatchMax)),
      on_events_(Napi::Persistent(on_events)),
      context_(batch.Env(), "stackglue:events") {}

bool EventChannel::Accepts(const Napi::CallbackInfo& info) {
  if (info.Length() < 4 || !info[0].IsObject() || !info[2].IsFunction() || !info[3].IsFunction()) {
    return false;
  }
  const auto memory = SharedMemory::Of(info[1]);
  return memory && memory->type == napi_int32_array &&
         memory->length * sizeof(int32_t) >= kBatchMax * sizeof(EventRecord) + sizeof(BatchState);
}

void EventChannel::Copy(const EventRecord* events, size_t count) {
  std::memcpy(records_, events, count * sizeof(EventRecord));
}

void EventChannel::Deliver(const EventRecord* events, size_t count) {
  Copy(events, count);
  Deliver(count);
}

void EventChannel::Deliver(size_t count) {
  const Napi::Env env = on_events_.Env();
  const Napi::HandleScope scope(env);
  CallAsTask(on_events_, context_, {Napi::Number::New(env, static_cast<double>(count))});
}

void CallAsTask(const Napi::FunctionReference& function, const Napi::AsyncContext& context,
                std::initializer_list<napi_value> arguments) {
  // Plain Node-API: while a worker is being terminated every call into JavaScript fails, and the
  // C++ wrapper would end the process over an error that it cannot make an object of.
  const napi_env env = function.Env();
  const Napi::HandleScope scope(env);
  napi_value receiver = nullptr;
  napi_get_global(env, &receiver);
  const napi_status status = napi_make_callback(env, context, receiver, function.Value(),
                                                arguments.size(), arguments.begin(), nullptr);
  bool is_pending = false;
  if (status != napi_pending_exception || napi_is_exception_pending(env, &is_pending) != napi_ok ||
      !is_pending) {
    return;
  }
  napi_value error = nullptr;
  if (napi_get_and_clear_last_exception(env, &error) == napi_ok) napi_fatal_exception(env, error);
}

}  // namespace stackglue::binding
