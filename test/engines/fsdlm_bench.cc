// The fsdlm engine as bench.h measures it.
#include <array>
#include <memory>

#include "engines/bench.h"
#include "fsdlm.h"

namespace stackglue::fsdlm {
namespace {

using bench::Require;

class Engine {
 public:
  using LockId = fsdlm::LockId;
  static constexpr int kNl = kModeNl;
  static constexpr int kPr = kModePr;
  static constexpr int kEx = kModeEx;

  Engine() : cluster_(Cluster::Create()) {
    Require(cluster_->Join("bench", 1, nullptr, &member_) == 0, "join");
  }

  LockId Lock(int mode, std::string_view name) {
    LockId id = 0;
    Require(member_->Lock(mode, 0, name, 1, true, nullptr, &id) == 0, "lock");
    return id;
  }
  void Convert(LockId id, int mode) {
    Require(member_->Lock(mode, kLkfConvert, {}, 1, true, nullptr, &id) == 0, "convert");
  }
  void Unlock(LockId id) { Require(member_->Unlock(id, 0, 0, nullptr) == 0, "unlock"); }
  void Cancel(LockId id) { Require(member_->Unlock(id, kLkfCancel, 0, nullptr) == 0, "cancel"); }
  void Take() {
    while (member_->TakeEvents(events_.data(), events_.size()) == events_.size()) {
    }
  }

 private:
  std::array<Event, 64> events_;
  std::shared_ptr<Cluster> cluster_;
  std::unique_ptr<Member> member_;
};

}  // namespace
}  // namespace stackglue::fsdlm

int main(int argc, char** argv) {
  return stackglue::bench::Bench<stackglue::fsdlm::Engine>::Main(argc, argv);
}
