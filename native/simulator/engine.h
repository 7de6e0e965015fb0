// What the simulator needs of an engine: the calls of one connection, in one form for both
// profiles.
//
// Threads: none of its own; one thread drives a simulation.
#ifndef STACKGLUE_NATIVE_SIMULATOR_ENGINE_H_
#define STACKGLUE_NATIVE_SIMULATOR_ENGINE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "fsdlm/fsdlm.h"

namespace stackglue::simulator {

enum class Profile : uint8_t { kO2dlm, kFsdlm };

struct Version {
  uint8_t major = 1;
  uint8_t minor = 0;
};

// One node's share in one group, by number.
using ConnectionId = uint32_t;

struct Request {
  enum class Kind : uint8_t { kLock, kConvert, kUnlock };
  Kind kind = Kind::kLock;
  ConnectionId connection = 0;
  uint64_t lock = 0;  // by its number
  int mode = 0;
  uint32_t flags = 0;            // the engine's own, CONVERT excepted
  uint64_t sequence = 0;         // the simulator's, of each time that it was sent
  uint64_t about = 0;            // an unlock or a cancel: CallerLock::asked of what it is to end
  bool breaks_deadlock = false;  // a cancel of fs/dlm that is told of as a deadlock
  std::string resource;
  std::vector<uint8_t> block;  // empty: none
};

struct Event {
  // kCompletion: a request has ended, fs/dlm's unlock included. kUnlock: o2dlm's unlock AST, or an
  // unlock that was refused. kNodeDown: a node has died. kCall: a call that is about no lock is
  // over. kNotice: something else happened to the group.
  enum class Kind : uint8_t { kCompletion, kBlocking, kUnlock, kNodeDown, kCall, kNotice };
  Kind kind = Kind::kCompletion;
  ConnectionId connection = 0;  // who hears of it
  uint64_t lock = 0;            // 0 for kNodeDown; the ticket of kCall; the NoticeKind of kNotice
  int64_t value = 0;            // the engine's status, the blocked mode, or the node in question
  uint8_t flags = 0;            // fsdlm: DLM_SBF_*
  bool final = false;           // the lock is no more
  bool has_block = false;
  std::vector<uint8_t> block;
};

// One cluster with its lock spaces.
class Engine {
 public:
  // `clock` must outlive it. Null: no memory.
  static std::unique_ptr<Engine> Create(Profile profile, fsdlm::Clock* clock);
  virtual ~Engine() = default;

  // 0 or a negative errno. `version` is wanted, and then what the group runs at (o2dlm).
  virtual int Join(ConnectionId connection, int node, std::string_view group, Version* version) = 0;
  virtual void Leave(ConnectionId connection) = 0;
  virtual int Kill(int node) = 0;
  // The status that the call returns: 0 is accepted, anything else the engine's own.
  virtual int64_t Call(const Request& request) = 0;
  // The node that masters a resource of the connection's group; 0: none does.
  virtual int MasterOf(ConnectionId connection, std::string_view resource) const = 0;
  // A grant was lost with its master, which is dead but has not been killed here: the lock waits
  // again for `wanted`, holding `held` (-1: nothing), and its node knows this value block. False:
  // it is not granted, or no memory.
  virtual bool Recall(const Event& grant, int held, int wanted,
                      const std::vector<uint8_t>& block) = 0;
  // A blocking AST was lost in the same way.
  virtual void ForgetBlocking(const Event& blocking) = 0;
  // fsdlm: drops the orphans on `node`, not 0, that process `pid` left, or with 0 any. 0 or a
  // negative errno.
  virtual int Purge(ConnectionId connection, int node, int pid) = 0;
  // fsdlm: what Purge() knows the connection's process by. 0: it is not there.
  virtual int OwnerPid(ConnectionId connection) const = 0;
  // The nodes of the connection's group, ascending.
  virtual std::vector<int> Nodes(ConnectionId connection) const = 0;
  // Whether a connection may have events.
  virtual bool Pending(ConnectionId connection) const = 0;
  // Takes the oldest event of a connection; false: none.
  virtual bool Take(ConnectionId connection, Event* event) = 0;
  // A status and flags, as a history shows them.
  virtual std::string StatusText(const Event& event) const = 0;
  virtual std::string RefusalText(int64_t status) const = 0;
  virtual std::string FlagsText(uint32_t flags) const = 0;
  // Whether the flags have VALBLK.
  virtual bool SendsBlock(uint32_t flags) const = 0;
  // The flag that the engine knows a conversion by.
  virtual uint32_t convert_flag() const = 0;
};

}  // namespace stackglue::simulator

#endif  // STACKGLUE_NATIVE_SIMULATOR_ENGINE_H_
