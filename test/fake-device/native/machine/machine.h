// One node with fs/dlm and dlm_controld: its lockspaces, who has them open, and what happens to
// them. main.cc gives it connections, kernel.h says what becomes of locks.
//
// Threads: one.
#ifndef STACKGLUE_TEST_FAKE_DEVICE_MACHINE_MACHINE_H_
#define STACKGLUE_TEST_FAKE_DEVICE_MACHINE_MACHINE_H_

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "machine/host_files.h"
#include "machine/journal.h"
#include "machine/kernel.h"
#include "machine/random.h"
#include "machine_call.h"

namespace stackglue::fake_device {

class Machine {
 public:
  explicit Machine(const std::string& root) : files_(root) {}

  // A connection's first packet; its answer may have to wait. `connection` is its descriptor.
  void Call(int connection, const MachineCall& call);
  // A request to a device; what write(2) returns goes to `reply`, which is closed then.
  void Write(int connection, std::string bytes, int reply);
  // The connection has ended.
  void End(int connection);
  // Sends what can be sent; whether something is left for when the connection is writable.
  bool Flush(int connection);
  // Of all devices.
  void FlushAll();

  // A line of the control socket: the answer, without a line's end.
  std::string Command(const std::string& line);
  // Whether nobody has a lockspace open, or is about to.
  bool is_idle() const { return devices_.empty() && held_.empty(); }

  bool is_random() const { return random_.has_value(); }
  // A round of what happens by chance.
  void Tick();

 private:
  struct Space {
    Kernel kernel;
    int creators = 0;
    bool is_stopped = false;
    bool is_recovering = false;  // a part of that: it has been started
    // By node, when it has failed (kWhyGone): departures that dlm_controld was not asked about yet.
    std::map<int, std::deque<int32_t>> departures;
    std::map<int, int32_t> last_said;
  };
  struct HeldCall {
    int connection;
    MachineCall call;
  };
  struct HeldWrite {
    int connection;
    std::string bytes;
    int reply;
  };

  static void Answer(int connection, int32_t error);
  void AnswerWhyGone(int connection, const MachineCall& call);
  bool Say();
  void SetQuorum(bool is_quorate);
  void SetUp(int node, bool is_up);
  void MoveRing();
  void SayQuorum(int connection) const;
  int32_t Serve(int connection, const MachineCall& call);
  int32_t Release(const std::string& name, bool force);
  void Remove(const std::string& name);
  void Perform(const HeldWrite& write);
  void ServeHeldWrites();
  void Stop(const std::string& name);
  void Recover(const std::string& name);
  void Start(const std::string& name);
  void Leave(const std::string& name, int node, bool has_failed, bool is_disconnected);
  void Join(const std::string& name, int node);
  void EndDaemon(const std::string& name);
  void Write(const std::string& name, const std::string& fact);
  void TickSpace(const std::string& name);
  void AdmitHeld();
  void EndUnnamed(bool is_named);
  void Calm();
  std::string State() const;

  HostFiles files_;
  Journal journal_;
  std::string journaled_;  // the lockspace that it is of
  std::map<std::string, Space> spaces_;
  std::map<int, std::string> devices_;  // connections that are one, and of which lockspace
  std::deque<HeldCall> held_;
  std::deque<HeldWrite> writes_;
  bool holds_ = false;
  // udev names no device: who creates lockspaces waits for that, or does so no longer.
  bool is_udev_off_ = false;
  std::vector<std::pair<int, std::string>> unnamed_;
  // Who has asked dlm_controld while it is silent.
  std::deque<HeldCall> asking_;
  bool is_silent_ = false;
  std::vector<int> quorum_listeners_;
  bool is_quorate_ = true;
  // No double has this number.
  uint64_t ring_ = (uint64_t{1} << 53) + 1;
  std::set<int> up_{1, 2, 3};  // the nodes of the cluster that run
  std::optional<Random> random_;
  std::vector<std::string> faults_;  // of lockspaces that have gone
};

}  // namespace stackglue::fake_device

#endif  // STACKGLUE_TEST_FAKE_DEVICE_MACHINE_MACHINE_H_
