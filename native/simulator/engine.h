// What the simulator needs of an engine: the calls of one node, in one form for both profiles.
//
// Threads: none of its own; one thread drives a simulation.
#ifndef STACKGLUE_NATIVE_SIMULATOR_ENGINE_H_
#define STACKGLUE_NATIVE_SIMULATOR_ENGINE_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "fsdlm/fsdlm.h"

namespace stackglue::simulator {

enum class Profile : uint8_t { kO2dlm, kFsdlm };

struct Request {
  enum class Kind : uint8_t { kLock, kConvert, kUnlock };
  Kind kind = Kind::kLock;
  int node = 0;
  uint64_t lock = 0;  // the caller's name of it
  int mode = 0;
  uint32_t flags = 0;  // the engine's own, CONVERT excepted
  std::string resource;
  std::vector<uint8_t> block;  // empty: none
};

struct Event {
  enum class Kind : uint8_t { kCompletion, kBlocking, kUnlock, kNodeDown };
  Kind kind = Kind::kCompletion;
  int node = 0;        // who hears of it
  uint64_t lock = 0;   // the caller's name of it; 0 for kNodeDown
  int64_t value = 0;   // the engine's status, the blocked mode, or the node that died
  uint8_t flags = 0;   // fsdlm: DLM_SBF_*
  bool final = false;  // the lock is no more
  bool has_block = false;
  std::vector<uint8_t> block;
};

// One cluster with one lock space. Nodes have one member each.
class Engine {
 public:
  // `clock` must outlive it. Null: no memory.
  static std::unique_ptr<Engine> Create(Profile profile, fsdlm::Clock* clock);
  virtual ~Engine() = default;

  // 0 or a negative errno.
  virtual int Join(int node) = 0;
  virtual void Leave(int node) = 0;
  virtual int Kill(int node) = 0;
  // The status that the call returns: 0 is accepted, anything else the engine's own.
  virtual int64_t Call(const Request& request) = 0;
  // Takes the oldest event of a node; false: none.
  virtual bool Take(int node, Event* event) = 0;
  // The names of a mode and of a status, as a history shows them.
  virtual std::string StatusText(const Event& event) const = 0;
  virtual std::string RefusalText(int64_t status) const = 0;
};

}  // namespace stackglue::simulator

#endif  // STACKGLUE_NATIVE_SIMULATOR_ENGINE_H_
