// The o2dlm engine as bench.h measures it.
#include <array>
#include <memory>

#include "engines/bench.h"
#include "o2dlm.h"

namespace stackglue::o2dlm {
namespace {

using bench::Require;

class Engine {
 public:
  using LockId = o2dlm::LockId;
  static constexpr int kNl = kModeNl;
  static constexpr int kPr = kModePr;
  static constexpr int kEx = kModeEx;

  Engine() : cluster_(Cluster::Create()) {
    ProtocolVersion version{1, 0};
    Require(cluster_->Join("bench", 1, &version, nullptr, &member_) == 0, "join");
  }

  LockId Lock(int mode, std::string_view name) {
    LockId id = 0;
    Require(member_->Lock(mode, 0, name, 1, nullptr, &id) == Status::kNormal, "lock");
    return id;
  }
  void Convert(LockId id, int mode) {
    Require(member_->Lock(mode, kLkmConvert, {}, 1, nullptr, &id) == Status::kNormal, "convert");
  }
  void Unlock(LockId id) { Require(member_->Unlock(id, 0, nullptr) == Status::kNormal, "unlock"); }
  void Cancel(LockId id) {
    Require(member_->Unlock(id, kLkmCancel, nullptr) == Status::kNormal, "cancel");
  }
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
}  // namespace stackglue::o2dlm

int main(int argc, char** argv) {
  return stackglue::bench::Bench<stackglue::o2dlm::Engine>::Main(argc, argv);
}
