#include "binding/simulation.h"

#include <cerrno>
#include <cstring>
#include <string>

#include "binding/arguments.h"

namespace stackglue::binding {
namespace {

// The largest integer that a JavaScript number holds exactly.
constexpr double kMaxSafe = 9007199254740991.0;

std::optional<uint64_t> ReadCount(const Napi::Value& value) {
  double number = -1;
  if (napi_get_value_double(value.Env(), value, &number) != napi_ok) return std::nullopt;
  if (!(number >= 0 && number <= kMaxSafe)) return std::nullopt;
  return static_cast<uint64_t>(number);
}

// The bytes of a Uint8Array, or none for undefined.
std::optional<std::vector<uint8_t>> ReadBlock(const Napi::Value& value) {
  if (value.IsUndefined()) return std::vector<uint8_t>();
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
    return std::nullopt;
  }
  const auto array = value.As<Napi::Uint8Array>();
  return std::vector<uint8_t>(array.Data(), array.Data() + array.ByteLength());
}

Napi::Value Number(Napi::Env env, uint64_t number) {
  return Napi::Number::New(env, static_cast<double>(number));
}

Napi::Array ArrayOf(Napi::Env env, std::initializer_list<napi_value> values) {
  Napi::Array array = Napi::Array::New(env, values.size());
  uint32_t at = 0;
  for (const napi_value value : values) array.Set(at++, value);
  return array;
}

}  // namespace

Napi::Function SimulationHandle::Define(Napi::Env env) {
  return DefineClass(env, "NativeSimulation",
                     {
                         InstanceMethod<&SimulationHandle::Control>("control"),
                         InstanceMethod<&SimulationHandle::Link>("link"),
                         InstanceMethod<&SimulationHandle::Group>("group"),
                         InstanceMethod<&SimulationHandle::Membership>("membership"),
                         InstanceMethod<&SimulationHandle::State>("state"),
                         InstanceMethod<&SimulationHandle::Join>("join"),
                         InstanceMethod<&SimulationHandle::Leave>("leave"),
                         InstanceMethod<&SimulationHandle::Lock>("lock"),
                         InstanceMethod<&SimulationHandle::Convert>("convert"),
                         InstanceMethod<&SimulationHandle::Unlock>("unlock"),
                         InstanceMethod<&SimulationHandle::DeadlockCancel>("deadlockCancel"),
                         InstanceMethod<&SimulationHandle::Purge>("purge"),
                         InstanceMethod<&SimulationHandle::OwnerPid>("ownerPid"),
                         InstanceMethod<&SimulationHandle::Members>("members"),
                         InstanceMethod<&SimulationHandle::StartTimer>("startTimer"),
                         InstanceMethod<&SimulationHandle::StopTimer>("stopTimer"),
                         InstanceMethod<&SimulationHandle::Choose>("choose"),
                         InstanceMethod<&SimulationHandle::Note>("note"),
                         InstanceMethod<&SimulationHandle::Step>("step"),
                         InstanceMethod<&SimulationHandle::History>("history"),
                         InstanceMethod<&SimulationHandle::Waiting>("waiting"),
                         InstanceMethod<&SimulationHandle::Divergence>("divergence"),
                         InstanceMethod<&SimulationHandle::LinesLeft>("linesLeft"),
                         InstanceAccessor<&SimulationHandle::NowUs>("nowUs"),
                     });
}

SimulationHandle::SimulationHandle(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  const Napi::Env env = info.Env();
  if (info.Length() < 1 || !info[0].IsObject()) {
    ThrowBadArguments(env, "NativeSimulation");
    return;
  }
  const auto given = info[0].As<Napi::Object>();
  const auto seed = ReadCount(given.Get("seed"));
  const auto delay_min = ReadCount(given.Get("delayMinUs"));
  const auto delay_max = ReadCount(given.Get("delayMaxUs"));
  const auto detect = ReadCount(given.Get("detectUs"));
  const auto recovery_min = ReadCount(given.Get("recoveryMinUs"));
  const auto recovery_max = ReadCount(given.Get("recoveryMaxUs"));
  const auto quorum = ReadCount(given.Get("quorumUs"));
  const Napi::Value replay = given.Get("replay");
  if (!recovery_min || !recovery_max || *recovery_min > *recovery_max || !quorum || !seed ||
      !delay_min || !delay_max || *delay_min > *delay_max || !detect || !replay.IsString()) {
    ThrowBadArguments(env, "NativeSimulation");
    return;
  }
  simulator::Simulation::Options options;
  options.profile =
      given.Get("isFsdlm").ToBoolean() ? simulator::Profile::kFsdlm : simulator::Profile::kO2dlm;
  options.seed = *seed;
  options.delay_min_us = *delay_min;
  options.delay_max_us = *delay_max;
  options.detect_us = *detect;
  options.recovery_min_us = *recovery_min;
  options.recovery_max_us = *recovery_max;
  options.quorum_us = *quorum;
  options.replay = replay.As<Napi::String>();
  simulation_ = simulator::Simulation::Create(options);
  if (simulation_ == nullptr) {
    Napi::Error::New(env, "stackglue addon: no memory").ThrowAsJavaScriptException();
    return;
  }
  simulation_->set_handler([this](const simulator::Event& event) { Append(ToArray(event)); });
  simulation_->set_timer_handler([this](int node, uint64_t timer) {
    Append(ArrayOf(Env(), {Napi::Number::New(Env(), static_cast<int>(Occurrence::kTimer)),
                           Napi::Number::New(Env(), node), Number(Env(), timer)}));
  });
  simulation_->set_fence_handler([this](int node, const std::vector<simulator::Event>& ends) {
    Append(ArrayOf(Env(), {Napi::Number::New(Env(), static_cast<int>(Occurrence::kFenced)),
                           Napi::Number::New(Env(), node), ToArray(ends)}));
  });
  simulation_->set_loss_handler(
      [this](simulator::ConnectionId connection, const std::vector<simulator::Event>& ends) {
        Append(ArrayOf(Env(), {Napi::Number::New(Env(), static_cast<int>(Occurrence::kLost)),
                               Number(Env(), connection), ToArray(ends)}));
      });
}

Napi::Array SimulationHandle::ToArray(const simulator::Event& event) const {
  const Napi::Env env = Env();
  Napi::Value block = env.Undefined();
  if (event.has_block) {
    auto copy = Napi::Uint8Array::New(env, event.block.size());
    std::memcpy(copy.Data(), event.block.data(), event.block.size());
    block = copy;
  }
  return ArrayOf(
      env, {Napi::Number::New(env, static_cast<int>(Occurrence::kEvent)),
            Number(env, event.connection), Napi::Number::New(env, static_cast<int>(event.kind)),
            Number(env, event.lock), ResultNumber(env, event.value),
            Napi::Number::New(env, event.flags), Napi::Boolean::New(env, event.final), block});
}

Napi::Array SimulationHandle::ToArray(const std::vector<simulator::Event>& events) const {
  Napi::Array array = Napi::Array::New(Env(), events.size());
  uint32_t at = 0;
  for (const simulator::Event& event : events) array.Set(at++, ToArray(event));
  return array;
}

void SimulationHandle::Append(Napi::Array occurrence) {
  if (occurrences_ != nullptr) occurrences_->Set(occurrences_->Length(), occurrence);
}

Napi::Value SimulationHandle::Step(const Napi::CallbackInfo& info) {
  Napi::Array occurrences = Napi::Array::New(info.Env());
  occurrences_ = &occurrences;
  const bool was_due = simulation_->Step();
  occurrences_ = nullptr;
  if (!was_due) return info.Env().Undefined();
  return occurrences;
}

Napi::Value SimulationHandle::Control(const Napi::CallbackInfo& info) {
  const auto node = ReadInteger<int32_t>(info[1]);
  if (!info[0].IsString() || !node) return ThrowBadArguments(info.Env(), "control");
  const std::string what = info[0].As<Napi::String>();
  int status = 0;
  if (what == "start") {
    status = simulation_->Start(*node);
  } else if (what == "kill") {
    simulation_->Kill(*node);
  } else if (what == "partition") {
    simulation_->Partition(*node);
  } else if (what == "heal") {
    simulation_->Heal(*node);
  } else if (what == "pause") {
    simulation_->Pause(*node);
  } else if (what == "resume") {
    simulation_->Resume(*node);
  } else if (what == "loseQuorum") {
    simulation_->LoseQuorum(*node);
  } else if (what == "regainQuorum") {
    simulation_->RegainQuorum(*node);
  } else if (what == "loseDaemon") {
    status = simulation_->LoseDaemon(*node) ? 0 : -EOPNOTSUPP;
  } else {
    return ThrowBadArguments(info.Env(), "control");
  }
  return Napi::Number::New(info.Env(), status);
}

Napi::Value SimulationHandle::Link(const Napi::CallbackInfo& info) {
  const auto from = ReadInteger<int32_t>(info[1]);
  const auto to = ReadInteger<int32_t>(info[2]);
  if (!info[0].IsString() || !from || !to) return ThrowBadArguments(info.Env(), "link");
  const std::string what = info[0].As<Napi::String>();
  if (what == "heal") {
    simulation_->HealPair(*from, *to);
  } else {
    simulation_->PartitionPair(*from, *to, what == "partitionOneWay");
  }
  return info.Env().Undefined();
}

Napi::Value SimulationHandle::Group(const Napi::CallbackInfo& info) {
  const auto node = ReadInteger<int32_t>(info[2]);
  if (!info[0].IsString() || !info[1].IsString() || !node) {
    return ThrowBadArguments(info.Env(), "group");
  }
  const std::string what = info[0].As<Napi::String>();
  const std::string group = info[1].As<Napi::String>();
  int status = 0;
  if (what == "stop") {
    simulation_->StopGroup(group);
  } else if (what == "resume") {
    simulation_->ResumeGroup(group);
  } else if (what == "release") {
    status = simulation_->ReleaseGroup(*node, group);
  } else {
    return ThrowBadArguments(info.Env(), "group");
  }
  return Napi::Number::New(info.Env(), status);
}

Napi::Value SimulationHandle::Membership(const Napi::CallbackInfo& info) {
  const auto connection = ReadInteger<uint32_t>(info[0]);
  if (!connection) return ThrowBadArguments(info.Env(), "membership");
  const auto known = simulation_->membership(*connection);
  return MembershipArray(info.Env(), known.ring, known.is_quorate);
}

Napi::Value SimulationHandle::State(const Napi::CallbackInfo& info) {
  const auto node = ReadInteger<int32_t>(info[0]);
  if (!node) return ThrowBadArguments(info.Env(), "state");
  return Napi::Number::New(info.Env(), static_cast<int>(simulation_->state(*node)));
}

Napi::Value SimulationHandle::Join(const Napi::CallbackInfo& info) {
  const auto node = ReadInteger<int32_t>(info[0]);
  const auto major = ReadInteger<uint8_t>(info[2]);
  const auto minor = ReadInteger<uint8_t>(info[3]);
  if (!node || !info[1].IsString() || !major || !minor) {
    return ThrowBadArguments(info.Env(), "join");
  }
  simulator::Version version{*major, *minor};
  simulator::ConnectionId connection = 0;
  const int status =
      simulation_->Join(*node, std::string(info[1].As<Napi::String>()), &version, &connection);
  Napi::Array joined = Napi::Array::New(info.Env(), 4);
  joined.Set(0u, Napi::Number::New(info.Env(), status));
  joined.Set(1u, Napi::Number::New(info.Env(), connection));
  joined.Set(2u, Napi::Number::New(info.Env(), version.major));
  joined.Set(3u, Napi::Number::New(info.Env(), version.minor));
  return joined;
}

void SimulationHandle::Leave(const Napi::CallbackInfo& info) {
  const auto connection = ReadInteger<uint32_t>(info[0]);
  if (!connection) {
    ThrowBadArguments(info.Env(), "leave");
    return;
  }
  simulation_->Leave(*connection);
}

Napi::Value SimulationHandle::Submit(Napi::Env env, simulator::Request* request,
                                     bool answers_number) {
  const int64_t status = simulation_->Submit(request);
  if (status == 0) return Number(env, answers_number ? request->lock : 0);
  // o2dlm's statuses are positive, fs/dlm's negative; a refusal is negative here.
  return ResultNumber(env, status > 0 ? -status : status);
}

Napi::Value SimulationHandle::Lock(const Napi::CallbackInfo& info) {
  const auto connection = ReadInteger<uint32_t>(info[0]);
  const auto mode = ReadInteger<int32_t>(info[1]);
  const auto flags = ReadInteger<uint32_t>(info[2]);
  LockName name;
  if (!connection || !mode || !flags || !name.Read(info[3])) {
    return ThrowBadArguments(info.Env(), "lock");
  }
  simulator::Request request;
  request.connection = *connection;
  request.mode = *mode;
  request.flags = *flags;
  request.resource = name.view();
  return Submit(info.Env(), &request, true);
}

Napi::Value SimulationHandle::Convert(const Napi::CallbackInfo& info) {
  const auto connection = ReadInteger<uint32_t>(info[0]);
  const auto lock = ReadCount(info[1]);
  const auto mode = ReadInteger<int32_t>(info[2]);
  const auto flags = ReadInteger<uint32_t>(info[3]);
  auto block = ReadBlock(info[4]);
  if (!connection || !lock || !mode || !flags || !block) {
    return ThrowBadArguments(info.Env(), "convert");
  }
  simulator::Request request;
  request.kind = simulator::Request::Kind::kConvert;
  request.connection = *connection;
  request.lock = *lock;
  request.mode = *mode;
  request.flags = *flags;
  request.block = std::move(*block);
  return Submit(info.Env(), &request, false);
}

Napi::Value SimulationHandle::Unlock(const Napi::CallbackInfo& info) {
  const auto connection = ReadInteger<uint32_t>(info[0]);
  const auto lock = ReadCount(info[1]);
  const auto flags = ReadInteger<uint32_t>(info[2]);
  auto block = ReadBlock(info[3]);
  if (!connection || !lock || !flags || !block) return ThrowBadArguments(info.Env(), "unlock");
  simulator::Request request;
  request.kind = simulator::Request::Kind::kUnlock;
  request.connection = *connection;
  request.lock = *lock;
  request.flags = *flags;
  request.block = std::move(*block);
  return Submit(info.Env(), &request, false);
}

Napi::Value SimulationHandle::DeadlockCancel(const Napi::CallbackInfo& info) {
  const auto connection = ReadInteger<uint32_t>(info[0]);
  const auto lock = ReadCount(info[1]);
  if (!connection || !lock) return ThrowBadArguments(info.Env(), "deadlockCancel");
  simulator::Request request;
  request.kind = simulator::Request::Kind::kUnlock;
  request.connection = *connection;
  request.lock = *lock;
  request.flags = fsdlm::kLkfCancel;
  request.breaks_deadlock = true;
  return Submit(info.Env(), &request, false);
}

Napi::Value SimulationHandle::Purge(const Napi::CallbackInfo& info) {
  const auto connection = ReadInteger<uint32_t>(info[0]);
  const auto node = ReadInteger<int32_t>(info[1]);
  const auto pid = ReadInteger<int32_t>(info[2]);
  const auto ticket = ReadCount(info[3]);
  if (!connection || !node || !pid || !ticket) return ThrowBadArguments(info.Env(), "purge");
  return Napi::Number::New(info.Env(), simulation_->Purge(*connection, *node, *pid, *ticket));
}

Napi::Value SimulationHandle::OwnerPid(const Napi::CallbackInfo& info) {
  const auto connection = ReadInteger<uint32_t>(info[0]);
  if (!connection) return ThrowBadArguments(info.Env(), "ownerPid");
  return Napi::Number::New(info.Env(), simulation_->OwnerPid(*connection));
}

Napi::Value SimulationHandle::Members(const Napi::CallbackInfo& info) {
  const auto connection = ReadInteger<uint32_t>(info[0]);
  if (!connection) return ThrowBadArguments(info.Env(), "members");
  Napi::Array members = Napi::Array::New(info.Env());
  uint32_t count = 0;
  for (const int node : simulation_->Nodes(*connection)) members.Set(count++, node);
  return members;
}

Napi::Value SimulationHandle::StartTimer(const Napi::CallbackInfo& info) {
  const auto node = ReadInteger<int32_t>(info[0]);
  const auto delay_us = ReadCount(info[1]);
  if (!node || !delay_us) return ThrowBadArguments(info.Env(), "startTimer");
  return Number(info.Env(), simulation_->StartTimer(*node, *delay_us));
}

void SimulationHandle::StopTimer(const Napi::CallbackInfo& info) {
  const auto timer = ReadCount(info[0]);
  if (!timer) {
    ThrowBadArguments(info.Env(), "stopTimer");
    return;
  }
  simulation_->StopTimer(*timer);
}

Napi::Value SimulationHandle::Choose(const Napi::CallbackInfo& info) {
  const auto bound = ReadCount(info[0]);
  if (!bound || *bound == 0) return ThrowBadArguments(info.Env(), "choose");
  return Number(info.Env(), simulation_->Choose(*bound));
}

void SimulationHandle::Note(const Napi::CallbackInfo& info) {
  const auto who = ReadInteger<int32_t>(info[0]);
  if (!who || !info[1].IsString()) {
    ThrowBadArguments(info.Env(), "note");
    return;
  }
  simulation_->Note(*who, std::string(info[1].As<Napi::String>()));
}

Napi::Value SimulationHandle::NowUs(const Napi::CallbackInfo& info) {
  return Number(info.Env(), simulation_->now_us());
}

Napi::Value SimulationHandle::History(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), simulation_->history().Text());
}

Napi::Value SimulationHandle::Waiting(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), simulation_->Waiting());
}

Napi::Value SimulationHandle::Divergence(const Napi::CallbackInfo& info) {
  const auto& divergence = simulation_->history().divergence();
  if (!divergence) return info.Env().Undefined();
  Napi::Array array = Napi::Array::New(info.Env(), 3);
  array.Set(0u, Number(info.Env(), divergence->line));
  array.Set(1u, Napi::String::New(info.Env(), divergence->expected));
  array.Set(2u, Napi::String::New(info.Env(), divergence->actual));
  return array;
}

Napi::Value SimulationHandle::LinesLeft(const Napi::CallbackInfo& info) {
  return Number(info.Env(), simulation_->history().lines_left());
}

}  // namespace stackglue::binding
