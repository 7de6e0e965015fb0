// The numbers that C++ and TypeScript share. See numbers.h.
#include "binding/numbers.h"

#include <initializer_list>

#include "binding/batch_state.h"
#include "binding/simulation.h"
#include "kernel/lockspace.h"
#include "kernel/open_failure.h"
#include "order/notice.h"
#include "util/event_record.h"

namespace stackglue::binding {
namespace {

struct Number {
  template <class T>
  Number(const char* its_name, T its_value)
      : name(its_name), value(static_cast<uint32_t>(its_value)) {}

  const char* name;
  uint32_t value;
};

Napi::Object Group(Napi::Env env, std::initializer_list<Number> numbers) {
  Napi::Object group = Napi::Object::New(env);
  for (const Number& each : numbers) group.Set(each.name, each.value);
  return group;
}

}  // namespace

Napi::Object Numbers(Napi::Env env) {
  using kernel::OpenFailure;
  using Submission = kernel::Lockspace::Submission;
  // In words of 32 bits, from the batch's start.
  constexpr size_t kWord = sizeof(int32_t);
  constexpr size_t kBehind = kBatchMax * sizeof(EventRecord) / kWord;
  Napi::Object numbers = Napi::Object::New(env);
  numbers.Set("EventKind", Group(env, {{"completion", EventKind::kCompletion},
                                       {"blocking", EventKind::kBlocking},
                                       {"unlock", EventKind::kUnlock},
                                       {"nodeDown", EventKind::kNodeDown},
                                       {"call", EventKind::kCall}}));
  numbers.Set("NoticeKind", Group(env, {{"nodeFailed", NoticeKind::kNodeFailed},
                                        {"nodeLeft", NoticeKind::kNodeLeft},
                                        {"nodeJoined", NoticeKind::kNodeJoined},
                                        {"stopped", NoticeKind::kStopped},
                                        {"resumed", NoticeKind::kResumed},
                                        {"released", NoticeKind::kReleased},
                                        {"quorumLost", NoticeKind::kQuorumLost},
                                        {"quorumRegained", NoticeKind::kQuorumRegained},
                                        {"daemonGone", NoticeKind::kDaemonGone},
                                        {"keeperGone", NoticeKind::kKeeperGone},
                                        {"killed", NoticeKind::kKilled}}));
  numbers.Set("OpenFailure", Group(env, {{"noLibrary", OpenFailure::kNoLibrary},
                                         {"noDlm", OpenFailure::kNoDlm},
                                         {"noDevice", OpenFailure::kNoDevice},
                                         {"permission", OpenFailure::kPermission},
                                         {"noDaemon", OpenFailure::kNoDaemon},
                                         {"unknownLockspace", OpenFailure::kUnknownLockspace},
                                         {"noMembership", OpenFailure::kNoMembership},
                                         {"foreignLockspace", OpenFailure::kForeignLockspace},
                                         {"failed", OpenFailure::kFailed},
                                         {"lockspaceExists", OpenFailure::kLockspaceExists},
                                         {"noKeeper", OpenFailure::kNoKeeper},
                                         {"daemonRefused", OpenFailure::kDaemonRefused},
                                         {"deviceMissing", OpenFailure::kDeviceMissing},
                                         {"otherKeeper", OpenFailure::kOtherKeeper}}));
  numbers.Set("Submission", Group(env, {{"thread", Submission::kThread},
                                        {"loop", Submission::kLoop},
                                        {"keeper", Submission::kKeeper}}));
  numbers.Set("RequestKind", Group(env, {{"lock", RequestKind::kLock},
                                         {"unlock", RequestKind::kUnlock},
                                         {"convert", RequestKind::kConvert}}));
  numbers.Set("SimulationOccurrence", Group(env, {{"event", SimulationHandle::Occurrence::kEvent},
                                                  {"timer", SimulationHandle::Occurrence::kTimer},
                                                  {"fenced", SimulationHandle::Occurrence::kFenced},
                                                  {"lost", SimulationHandle::Occurrence::kLost}}));
  numbers.Set("BATCH",
              Group(env, {{"max", kBatchMax},
                          {"eventWords", sizeof(EventRecord) / kWord},
                          {"told", kBehind + offsetof(BatchState, told) / kWord},
                          {"next", kBehind + offsetof(BatchState, next) / kWord},
                          {"request", kBehind + offsetof(BatchState, request) / kWord},
                          {"arguments", kBehind + offsetof(BatchState, arguments) / kWord},
                          {"transaction", kBehind + offsetof(BatchState, transaction) / kWord},
                          {"result", kBehind + offsetof(BatchState, result) / kWord},
                          {"block", kBehind + offsetof(BatchState, block) / kWord},
                          {"name", kBehind + offsetof(BatchState, name) / kWord},
                          {"nameRoom", kNameRoom},
                          {"words", kBehind + sizeof(BatchState) / kWord}}));
  return numbers;
}

}  // namespace stackglue::binding
