// JavaScript's hold on a simulation (lib/native.ts: NativeSimulation).
//
// Threads: the environment's own. Nothing is called back: what a step brings is its result.
#ifndef STACKGLUE_NATIVE_BINDING_SIMULATION_H_
#define STACKGLUE_NATIVE_BINDING_SIMULATION_H_

#include <napi.h>

#include <memory>
#include <vector>

#include "simulator/simulation.h"

namespace stackglue::binding {

class SimulationHandle final : public Napi::ObjectWrap<SimulationHandle> {
 public:
  static Napi::Function Define(Napi::Env env);

  // new (options): see lib/native.ts.
  explicit SimulationHandle(const Napi::CallbackInfo& info);

  // lib/native.ts repeats the numbers.
  enum class Occurrence : int32_t { kEvent = 0, kTimer = 1, kFenced = 2, kLost = 3 };

 private:
  Napi::Value Control(const Napi::CallbackInfo& info);
  Napi::Value Link(const Napi::CallbackInfo& info);
  Napi::Value Group(const Napi::CallbackInfo& info);
  Napi::Value Membership(const Napi::CallbackInfo& info);
  Napi::Value State(const Napi::CallbackInfo& info);
  Napi::Value Join(const Napi::CallbackInfo& info);
  void Leave(const Napi::CallbackInfo& info);
  Napi::Value Lock(const Napi::CallbackInfo& info);
  Napi::Value Convert(const Napi::CallbackInfo& info);
  Napi::Value Unlock(const Napi::CallbackInfo& info);
  Napi::Value DeadlockCancel(const Napi::CallbackInfo& info);
  Napi::Value Purge(const Napi::CallbackInfo& info);
  Napi::Value OwnerPid(const Napi::CallbackInfo& info);
  Napi::Value Members(const Napi::CallbackInfo& info);
  Napi::Value StartTimer(const Napi::CallbackInfo& info);
  void StopTimer(const Napi::CallbackInfo& info);
  Napi::Value Choose(const Napi::CallbackInfo& info);
  void Note(const Napi::CallbackInfo& info);
  Napi::Value Step(const Napi::CallbackInfo& info);
  Napi::Value NowUs(const Napi::CallbackInfo& info);
  Napi::Value History(const Napi::CallbackInfo& info);
  Napi::Value Waiting(const Napi::CallbackInfo& info);
  Napi::Value Divergence(const Napi::CallbackInfo& info);
  Napi::Value LinesLeft(const Napi::CallbackInfo& info);

  Napi::Value Submit(Napi::Env env, simulator::Request* request, bool answers_number);
  Napi::Array ToArray(const simulator::Event& event) const;
  Napi::Array ToArray(const std::vector<simulator::Event>& events) const;
  void Append(Napi::Array occurrence);

  std::unique_ptr<simulator::Simulation> simulation_;
  // What the step that is being made has brought.
  Napi::Array* occurrences_ = nullptr;
};

}  // namespace stackglue::binding

#endif  // STACKGLUE_NATIVE_BINDING_SIMULATION_H_
