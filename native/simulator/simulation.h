// A cluster in virtual time: a seeded scheduler owns the order in which requests arrive at their
// resource's master, in which answers, ASTs and death notices reach the nodes, and when a silent
// node is found to be dead. The same seed and the same calls give the same history, byte for byte.
//
// The engine underneath decides what is granted, all at once and without time; here its calls and
// events travel. The engine itself is the one that programs run on, unchanged.
//
// Threads: one thread drives a simulation. Handlers are called by Step(), and may call anything
// but Step() and Run().
//
// Invariants:
//  1. What a node sends arrives in that order; so does what it is sent. Nothing arrives at a node
//     that does not run, nor from one, but for what was on its way when it stopped.
//  2. An event is pending for the engine until it arrives.
//  3. A node that was killed or cut off is dead for the others after `detect_us`, not before; one
//     that is healed in time has lost nothing.
#ifndef STACKGLUE_NATIVE_SIMULATOR_SIMULATION_H_
#define STACKGLUE_NATIVE_SIMULATOR_SIMULATION_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "simulator/engine.h"
#include "simulator/scheduler.h"

namespace stackglue::simulator {

class Simulation final : private fsdlm::Clock {
 public:
  struct Options {
    Profile profile = Profile::kO2dlm;
    uint64_t seed = 1;
    // How long a message takes: at random between these.
    uint64_t delay_min_us = 50;
    uint64_t delay_max_us = 1'000;
    // How long a node is silent before the others take it for dead.
    uint64_t detect_us = 2'000'000;
  };
  using Handler = std::function<void(const Event&)>;
  // The engine's status, when it refused a request.
  using RefusalHandler = std::function<void(const Request&, int64_t status)>;

  // Null: no memory.
  static std::unique_ptr<Simulation> Create(const Options& options);
  ~Simulation() override = default;

  void set_handler(Handler handler) { on_event_ = std::move(handler); }
  void set_refusal_handler(RefusalHandler handler) { on_refusal_ = std::move(handler); }

  // The node boots and joins; 0 or a negative errno. -EEXIST: it runs, or is not yet known to be
  // dead.
  int Start(int node);
  // A request leaves the node, if it runs. A paused node's leave when it goes on.
  void Submit(const Request& request);
  // A power cut.
  void Kill(int node);
  // Nothing reaches the node or leaves it until Heal(). After `detect_us` it is dead.
  void Partition(int node);
  void Heal(int node);
  // Its process stands still: it takes no events and submits nothing. Its lock manager goes on.
  void Pause(int node);
  void Resume(int node);
  // Calls `task` at that virtual time from now.
  void After(uint64_t delay_us, std::function<void()> task);

  // Does what is due next; false: nothing is.
  bool Step() { return scheduler_.Step(); }
  // Until nothing is due, or `max_steps` were made. False: there was more.
  bool Run(size_t max_steps = 1'000'000);

  bool running(int node) const;
  uint64_t now_us() const { return scheduler_.now_us(); }
  Random* random() { return scheduler_.random(); }
  // One line for each thing that happened, oldest first: `<seconds> n<node> <what>`.
  const std::string& history() const { return history_; }

 private:
  struct Node {
    bool running = false;
    bool member = false;  // the others count it in
    bool cut_off = false;
    bool paused = false;
    bool delivery_planned = false;
    uint64_t life = 0;  // boots so far: what was for an earlier life is lost
    uint64_t silence = 0;
    uint64_t out_us = 0;  // when the last message from and to it arrives
    uint64_t in_us = 0;
    std::vector<Scheduler::Task> held_out;  // by a cut
    std::vector<Scheduler::Task> held_in;
    std::vector<Request> held_requests;  // by a pause
  };

  explicit Simulation(const Options& options)
      : options_(options), scheduler_(options.seed, options.delay_min_us, options.delay_max_us) {}

  uint64_t NowMs() noexcept override { return scheduler_.now_us() / 1000; }

  void SendOut(int node, Scheduler::Task task);
  void SendIn(int node, Scheduler::Task task);
  void Arrive(const Request& request);
  // After a call into the engine: every node that may have events is sent one.
  void PlanDeliveries();
  void PlanDelivery(int node);
  void Deliver(int node);
  void StartSilence(int node);
  void Declare(int node);
  void Note(int node, const std::string& what);

  const Options options_;
  Scheduler scheduler_;
  std::unique_ptr<Engine> engine_;
  std::map<int, Node> nodes_;
  Handler on_event_;
  RefusalHandler on_refusal_;
  std::string history_;
};

}  // namespace stackglue::simulator

#endif  // STACKGLUE_NATIVE_SIMULATOR_SIMULATION_H_
