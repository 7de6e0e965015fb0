// The fsdlm engine's only door: the kernel's DLM (fs/dlm, kernel 6.1) as a program in user space
// sees it, emulated for any number of simulated nodes and processes inside one process.
//
// The engine knows nothing of Node.js: no header of its callers is included here, nothing is
// thrown, and no caller's code runs while an engine lock is held.
//
// Threads: every method may be called from any thread. A Cluster serialises its lockspaces with one
// mutex. Events are queued for each Member and taken by its owner with TakeEvents(); the EventSink
// is told, outside that mutex, when a member's queue stops being empty.
//
// Invariants:
//  1. Every request that was answered with 0 ends in exactly one kCast, with three exceptions that
//     are the kernel's: a cancel, and the request that it ends, have one kCast of -kECancel between
//     them; a cancel that came too late has none; an unlock and the request that it ends have one
//     kCast of -kEUnlock. Adopting an orphan has none: it is done when the call returns.
//  2. A lock's events are first in, first out. Those of different locks are not: a lock whose first
//     event comes earlier has all its events taken first (proc->asts of fs/dlm/user.c).
//  3. The event with `final` is its lock's last; its LockId is dead.
#ifndef STACKGLUE_NATIVE_FSDLM_FSDLM_H_
#define STACKGLUE_NATIVE_FSDLM_FSDLM_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "util/event_sink.h"

namespace stackglue::fsdlm {

using EventSink = stackglue::EventSink;

// Lock modes: DLM_LOCK_* of <linux/dlmconstants.h>.
inline constexpr int kModeIv = -1;
inline constexpr int kModeNl = 0;
inline constexpr int kModeCr = 1;
inline constexpr int kModeCw = 2;
inline constexpr int kModePr = 3;
inline constexpr int kModePw = 4;
inline constexpr int kModeEx = 5;

// Request flags: DLM_LKF_* of <linux/dlmconstants.h>. Bits that are not named here, and
// kLkfTimeout and kLkfNoDlckBlk, are ignored, as the kernel does.
inline constexpr uint32_t kLkfNoQueue = 0x00000001;
inline constexpr uint32_t kLkfCancel = 0x00000002;
inline constexpr uint32_t kLkfConvert = 0x00000004;
inline constexpr uint32_t kLkfValBlk = 0x00000008;
inline constexpr uint32_t kLkfQueCvt = 0x00000010;
inline constexpr uint32_t kLkfIvValBlk = 0x00000020;
inline constexpr uint32_t kLkfConvDeadlk = 0x00000040;
inline constexpr uint32_t kLkfPersistent = 0x00000080;
inline constexpr uint32_t kLkfNoDlckWt = 0x00000100;
inline constexpr uint32_t kLkfNoDlckBlk = 0x00000200;
inline constexpr uint32_t kLkfExpedite = 0x00000400;
inline constexpr uint32_t kLkfNoQueueBast = 0x00000800;
inline constexpr uint32_t kLkfHeadQue = 0x00001000;
inline constexpr uint32_t kLkfNoOrder = 0x00002000;
inline constexpr uint32_t kLkfOrphan = 0x00004000;
inline constexpr uint32_t kLkfAltPr = 0x00008000;
inline constexpr uint32_t kLkfAltCw = 0x00010000;
inline constexpr uint32_t kLkfForceUnlock = 0x00020000;
inline constexpr uint32_t kLkfTimeout = 0x00040000;

// Flags of a completion: DLM_SBF_* of <linux/dlm.h>.
inline constexpr uint8_t kSbfDemoted = 0x01;      // its mode was lowered to NL for CONVDEADLK
inline constexpr uint8_t kSbfValNotValid = 0x02;  // the value block is not valid
inline constexpr uint8_t kSbfAltMode = 0x04;      // granted in the mode of ALTPR or ALTCW

// Statuses that only the DLM uses; they come negated.
inline constexpr int kECancel = 0x10001;
inline constexpr int kEUnlock = 0x10002;

// DLM_USER_LVB_LEN, bytes.
inline constexpr size_t kLvbLen = 32;
// DLM_RESNAME_MAXLEN: names are 0 to this many bytes, any bytes.
inline constexpr size_t kResourceNameMax = 64;
// DLM_LOCKSPACE_LEN, bytes.
inline constexpr size_t kLockspaceNameMax = 64;
// How long a resource without locks stays invalid, if it was (toss_secs; the kernel looks every
// five seconds, so it may be that much longer there).
inline constexpr uint64_t kTossMs = 10'000;

using ValueBlock = std::array<uint8_t, kLvbLen>;

// Names one lock of one lockspace; 0 names none. Reused after 2^32 locks at the earliest.
using LockId = uint64_t;

struct Event {
  enum class Kind : uint8_t {
    kCast,      // value: the status that the lksb now holds, 0 or negative
    kBast,      // value: the blocked mode
    kNodeDown,  // value: the number of the node that died
    // Only for a member that watches nodes.
    kNodeLeft,    // value: the number of the node whose last member ended
    kNodeJoined,  // value: the number of the node that had no member before
  };
  static constexpr bool TellsOfNode(Kind kind) {
    return kind != Kind::kCast && kind != Kind::kBast;
  }
  Kind kind = Kind::kCast;
  bool final = false;
  // kCast: DLM_SBF_* flags of the lksb.
  uint8_t sb_flags = 0;
  // kCast: `lvb` holds the lock's value block (fs/dlm/user.c: copy_lvb); else leave what is there.
  bool has_lvb = false;
  int32_t value = 0;
  LockId lock = 0;
  uint64_t astarg = 0;  // the caller's cookie of the lock's last call; 0 for those of nodes
  ValueBlock lvb{};
};

// Where an engine's time comes from. It is asked with the cluster's mutex held.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual uint64_t NowMs() noexcept = 0;
};

// Whether a process that joins wants others of its node to be there.
enum class Company : uint8_t {
  kAny,
  kNone,    // DLM_LSFL_NEWEXCL: the lockspace is new on this node
  kNeeded,  // it is only opened
};

class Member;

// A set of simulated nodes and the lockspaces they share. Members keep it alive.
class Cluster : public std::enable_shared_from_this<Cluster> {
 public:
  // The process's cluster of that name, made at first use and gone with its last owner. Null only
  // when memory ran out.
  [[nodiscard]] static std::shared_ptr<Cluster> Named(std::string_view name);
  // A cluster that nobody else can find. `clock` must outlive it; null: the system's. Null only
  // when memory ran out.
  [[nodiscard]] static std::shared_ptr<Cluster> Create(Clock* clock = nullptr);
  virtual ~Cluster() = default;

  // A process on node `node` opens the lockspace; the first one of a node makes the node join it.
  // `sink` may be null. Returns 0, or leaves everything as it was and returns
  //   -EINVAL        the node is not positive, a null `member`, a NUL byte in the name or no name
  //   -ENAMETOOLONG  the name has more than kLockspaceNameMax bytes
  //   -EEXIST        kNone, and the node is in it
  //   -ENOENT        kNeeded, and the node is not in it
  //   -ENOMEM
  [[nodiscard]] virtual int Join(std::string_view lockspace, int node, EventSink* sink,
                                 std::unique_ptr<Member>* member,
                                 Company company = Company::kAny) = 0;

  // The node dies: all its members at once, in every lockspace. Each surviving member of those
  // lockspaces gets one kNodeDown for it, before any grant that the recovery makes. No event
  // reaches the dead. Returns 0, -ENOENT when the node is in no lockspace, or -ENOMEM and nothing
  // happened.
  [[nodiscard]] virtual int KillNode(int node) = 0;
};

// One process's open file of one lockspace.
class Member {
 public:
  // The process ends, or closes the device (fs/dlm/lock.c:dlm_clear_proc_locks()): PERSISTENT locks
  // become orphans, after a cancel of what they wait for; the others are unlocked, and a value
  // block is made invalid if the lock was PW or EX. When it was the node's last member, the node
  // leaves the lockspace, its orphans are gone and the others recover.
  // No other call on the member may be under way.
  virtual ~Member() = default;

  // dlm_lock() as <linux/dlm_device.h> has it. Without kLkfConvert and kLkfOrphan a new request:
  // `*id` is set before any event can name the lock, and left alone when the call fails. With
  // kLkfOrphan an orphan of that name and mode is adopted. With kLkfConvert `*id` names the lock.
  // `lvb` (kLvbLen bytes) is what a conversion puts into the lock's own copy of the value block,
  // if it has one; null leaves that copy as it is. `wants_bast`: false drops blocking ASTs.
  // Returns 0 or
  //   -EINVAL  `id` is null; the checks of set_lock_args(), validate_lock_args(): README.md
  //   -ENOENT  a conversion of a lock that is not, or no longer, this member's; no orphan
  //   -EBUSY   a conversion of a lock that is not granted
  //   -EAGAIN  the orphans of that name have other modes
  //   -EPERM   the member is dead
  //   -ENOMEM
  [[nodiscard]] virtual int Lock(int mode, uint32_t flags, std::string_view name, uint64_t astarg,
                                 bool wants_bast, const uint8_t* lvb, LockId* id) = 0;

  // dlm_unlock(): unlock, or cancel with kLkfCancel. An `astarg` of 0 leaves the lock's. `lvb` as
  // in Lock(). Returns 0, also for a cancel that came too late and has no event, or
  //   -EINVAL  another flag than CANCEL, VALBLK, IVVALBLK, FORCEUNLOCK; CANCEL and FORCEUNLOCK;
  //            one of these two where the lock's last request, or a cancel since, had it
  //   -ENOENT  the lock is not, or no longer, this member's
  //   -EPERM   the member is dead
  [[nodiscard]] virtual int Unlock(LockId id, uint32_t flags, uint64_t astarg,
                                   const uint8_t* lvb) = 0;

  // dlm_ls_purge(): drops the orphans on `node` (0: this one) whose process was `pid` (0: any).
  // With this member's own node and pid: all its locks, without events. Returns 0, -ENOBUFS when
  // there is no such node, or -EPERM when the member is dead.
  [[nodiscard]] virtual int Purge(int node, int pid) = 0;

  // Notes of which transaction the lock is (`xid` of struct dlm_lock_params); InspectLockspace()
  // tells it. 0: of none. Returns 0, -ENOENT when the lock is not this member's, or -ENOMEM.
  [[nodiscard]] virtual int SetTransaction(LockId id, uint64_t xid) = 0;

  // The node that masters the resource; 0: there is none of that name, or the next lock decides.
  virtual int MasterOf(std::string_view name) const = 0;

  // For a simulator, in which messages take time: the grant that was taken last was lost on its way
  // from a master that died. The lock has `held` again (kModeIv: nothing) and waits for `wanted`,
  // as its own node knows it, which has these bytes for its value block, kLvbLen of them; nobody is
  // told nor granted anything before the death's recovery.
  // Returns 0, -ENOENT when the lock is not this member's, -EINVAL when it is not granted, or
  // -ENOMEM.
  [[nodiscard]] virtual int Recall(LockId id, int held, int wanted, const uint8_t* lvb) = 0;

  // The same for the blocking AST that was taken last: its lock's node has not been told
  // (fs/dlm/lock.c:receive_bast()).
  virtual void ForgetBast(LockId id) = 0;

  // From now on kNodeLeft and kNodeJoined tell of nodes; a node that leaves while there is no
  // memory is not told of.
  virtual void WatchNodes() = 0;

  // The nodes of the lockspace in ascending order, this one included: up to `max` are put into
  // `out`. Returns how many there are; none for a dead member.
  virtual size_t Nodes(int* out, size_t max) const = 0;

  // The number of the membership of the cluster's nodes (util/node_ring.h); 0 for a dead member,
  // and while an event is due that tells of a node.
  virtual uint64_t Ring() const = 0;

  // Moves up to `max` of the oldest events to `out`; returns how many. A dead member has none.
  virtual size_t TakeEvents(Event* out, size_t max) = 0;

  // Whether the EventSink is told, which it is at first. An owner that is about to look by itself
  // turns it off, so that no time is spent on telling it; if there are events when it turns it on
  // again, the sink is told then.
  virtual void SetTold(bool told) = 0;

  // The node was killed; the sink is told of that.
  virtual bool dead() const = 0;
  virtual int node() const = 0;
  // What Purge() knows this process by; no two members of a cluster have the same.
  virtual int pid() const = 0;
};

}  // namespace stackglue::fsdlm

#endif  // STACKGLUE_NATIVE_FSDLM_FSDLM_H_
