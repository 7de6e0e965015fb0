// The o2dlm engine's only door: the lock manager of ocfs2's classic stack (fs/ocfs2/dlm), emulated
// for any number of simulated nodes inside one process.
//
// The engine knows nothing of Node.js: no header of its callers is included here, nothing is
// thrown, and no caller's code runs while an engine lock is held.
//
// Threads: every method may be called from any thread. A Cluster serialises its domains with one
// mutex. Events are queued for each Member and taken by its owner with TakeEvents(); the EventSink
// is told, outside that mutex, when a member's queue stops being empty.
//
// Invariants:
//  1. Every request that was answered with Status::kNormal ends in exactly one event: a lock or a
//     conversion in a lock AST, or in the unlock AST of the cancel that ended it; an unlock or a
//     cancel in an unlock AST. A request that was answered otherwise changed nothing and has none.
//  2. A member's events are first in, first out, except that a lock AST goes before a blocking AST
//     of the same lock that is still pending. The event with `final` is its lock's last.
//  3. An event counts as pending, as an AST in the kernel does, until TakeEvents() hands it out.
#ifndef STACKGLUE_NATIVE_O2DLM_O2DLM_H_
#define STACKGLUE_NATIVE_O2DLM_O2DLM_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "util/event_sink.h"

namespace stackglue::o2dlm {

// enum dlm_status of fs/ocfs2/dlm/dlmapi.h, same numbers.
enum class Status : int32_t {
  kNormal = 0,
  kGranted = 1,
  kDenied = 2,
  kDeniedNoLocks = 3,
  kWorking = 4,
  kBlocked = 5,
  kBlockedOrphan = 6,
  kDeniedGracePeriod = 7,
  kSysErr = 8,
  kNoSupport = 9,
  kCancelGrant = 10,
  kIvLockId = 11,
  kSync = 12,
  kBadType = 13,
  kBadResource = 14,
  kMaxHandles = 15,
  kNoClInfo = 16,
  kNoLockMgr = 17,
  kNoPurged = 18,
  kBadArgs = 19,
  kVoid = 20,
  kNotQueued = 21,
  kIvBufLen = 22,
  kCvtUngrant = 23,
  kBadParam = 24,
  kValNotValid = 25,
  kRejected = 26,
  kAbort = 27,
  kCancel = 28,
  kIvResHandle = 29,
  kDeadlock = 30,
  kDeniedNoAsts = 31,
  kForward = 32,
  kTimeout = 33,
  kIvGroupId = 34,
  kVersConflict = 35,
  kBadDevicePath = 36,
  kNoDevicePermission = 37,
  kNoControlDevice = 38,
  kRecovering = 39,
  kMigrating = 40,
};

// Lock modes: LKM_*MODE of fs/ocfs2/dlm/dlmapi.h; o2dlm grants only NL, PR and EX.
inline constexpr int kModeInvalid = -1;
inline constexpr int kModeNl = 0;
inline constexpr int kModePr = 3;
inline constexpr int kModeEx = 5;

// Request flags: the LKM_* values of fs/ocfs2/dlm/dlmapi.h. Lock() takes kLkmValBlk, kLkmNoQueue,
// kLkmConvert, kLkmLocal, and ignores kLkmUnlock, kLkmCancel, kLkmInvValBlk and kLkmForce; Unlock()
// takes kLkmCancel and kLkmValBlk and ignores kLkmInvValBlk. Any other bit: Status::kBadParam.
inline constexpr uint32_t kLkmOrphan = 0x00000010;
inline constexpr uint32_t kLkmParentable = 0x00000020;
inline constexpr uint32_t kLkmBlock = 0x00000040;
inline constexpr uint32_t kLkmLocal = 0x00000080;
inline constexpr uint32_t kLkmValBlk = 0x00000100;
inline constexpr uint32_t kLkmNoQueue = 0x00000200;
inline constexpr uint32_t kLkmConvert = 0x00000400;
inline constexpr uint32_t kLkmNoDlckWt = 0x00000800;
inline constexpr uint32_t kLkmUnlock = 0x00001000;
inline constexpr uint32_t kLkmCancel = 0x00002000;
inline constexpr uint32_t kLkmDeqAll = 0x00004000;
inline constexpr uint32_t kLkmInvValBlk = 0x00008000;
inline constexpr uint32_t kLkmSyncSts = 0x00010000;
inline constexpr uint32_t kLkmTimeout = 0x00020000;
inline constexpr uint32_t kLkmSnglDlck = 0x00040000;
inline constexpr uint32_t kLkmFindLocal = 0x00080000;
inline constexpr uint32_t kLkmProcOwned = 0x00100000;
inline constexpr uint32_t kLkmXid = 0x00200000;
inline constexpr uint32_t kLkmXidConflict = 0x00400000;
inline constexpr uint32_t kLkmForce = 0x00800000;
inline constexpr uint32_t kLkmRevValBlk = 0x01000000;

// DLM_LVB_LEN of fs/ocfs2/dlm/dlmapi.h, bytes.
inline constexpr size_t kLvbLen = 64;
// DLM_LOCKID_NAME_MAX of fs/ocfs2/dlm/dlmcommon.h: lock names are 1 to this many bytes, any bytes.
inline constexpr size_t kLockNameMax = 32;
// O2NM_MAX_NODES of fs/ocfs2/cluster/ocfs2_nodemanager.h: node numbers are 0 to one less.
inline constexpr int kMaxNodes = 255;

using ValueBlock = std::array<uint8_t, kLvbLen>;

struct ProtocolVersion {
  uint8_t major = 0;
  uint8_t minor = 0;
};

// Names one lock of one Member; never reused while its Cluster lives, 0 names none.
using LockId = uint64_t;

struct Event {
  enum class Kind : uint8_t {
    kLockAst,      // value: the Status that the lksb now holds; always kNormal
    kBlockingAst,  // value: the highest blocked mode, kModePr or kModeEx
    kUnlockAst,    // value: the Status handed to the unlock AST, kNormal or kCancelGrant
    kEviction,     // value: the number of the node that died
    // Only for a member that watches nodes.
    kNodeLeft,    // value: the number of the node whose last member left
    kNodeJoined,  // value: the number of the node that had no member before
  };
  static constexpr bool TellsOfNode(Kind kind) {
    return kind == Kind::kEviction || kind == Kind::kNodeLeft || kind == Kind::kNodeJoined;
  }
  Kind kind = Kind::kLockAst;
  // The lock no longer exists once this event was taken; its LockId is dead.
  bool final = false;
  // `lvb` holds a value block to store in the lksb (o2dlm's DLM_LKSB_GET_LVB); else `lvb` is left
  // as it was.
  bool has_lvb = false;
  int32_t value = 0;
  uint64_t astarg = 0;  // the caller's cookie, as given with the request; 0 for kEviction
  ValueBlock lvb{};
};

using EventSink = stackglue::EventSink;

class Member;

// A set of simulated nodes and the domains they share. Members keep it alive.
class Cluster : public std::enable_shared_from_this<Cluster> {
 public:
  // The process's cluster of that name, made at first use and gone with its last owner. Null only
  // when memory ran out.
  [[nodiscard]] static std::shared_ptr<Cluster> Named(std::string_view name);
  // A cluster that nobody else can find. Null only when memory ran out.
  [[nodiscard]] static std::shared_ptr<Cluster> Create();
  virtual ~Cluster() = default;

  // dlm/dlmdomain.c:dlm_register_domain(): node `node` joins `domain` (again: one more member that
  // shares the node's place in it). `version` is what the member asks for and, on success, what the
  // domain runs at; the version is the domain's until its last member left. `sink` may be null.
  // Returns 0, or leaves everything as it was and returns
  //   -EINVAL        node out of range, a null `version` or `member`, a NUL byte in the name
  //   -ENAMETOOLONG  the name has 64 bytes (O2NM_MAX_NAME_LEN) or more
  //   -EPROTO        the domain runs at another major version, or at a higher minor
  //   -ENOMEM
  [[nodiscard]] virtual int Join(std::string_view domain, int node, ProtocolVersion* version,
                                 EventSink* sink, std::unique_ptr<Member>* member) = 0;

  // The node dies: all its members at once, in every domain. Each surviving member of those domains
  // gets one kEviction for it, before any grant that the recovery makes. No event reaches the dead.
  // The number can join again later, as a rebooted node does. Returns 0, -ENOENT when the node is
  // in no domain, or -ENOMEM and nothing happened.
  [[nodiscard]] virtual int KillNode(int node) = 0;

  // From now on dlm_thread (dlm/dlmthread.c) runs only in RunThread(), and not after each request:
  // until then a request finds the queues as those before it left them, so that a new lock may pass
  // one that could be granted. What is granted in a request itself is so with or without it. For
  // simulations of what the kernel is free to do; a death still runs it.
  virtual void HoldThread() = 0;
  // It was held, and there is a resource with somebody waiting that had a request since its last
  // run. Looks at all resources.
  virtual bool thread_is_due() = 0;
  // Runs dlm_thread for each of those.
  virtual void RunThread() = 0;
};

// One connection of one node to one domain: what dlm_register_domain() returns to a mount.
class Member {
 public:
  // Leaves the domain (dlm_unregister_domain()). Locks that are still there are dropped first,
  // without a word and without writing their value blocks; who waited for them is granted. The
  // member's own pending events are forgotten. No other call on the member may be under way.
  virtual ~Member() = default;

  // dlm/dlmlock.c:dlmlock(). A new request when kLkmConvert is absent: `*id` is set to the new lock
  // before any event can name it, and left alone when the call fails. A conversion otherwise: `*id`
  // names the lock, `name` is ignored, and `astarg` must be the one given when the lock was made.
  // `lvb` is read (kLvbLen bytes) when the rules say that this conversion writes the value block:
  // kLkmValBlk and the lock is granted EX. It may be null otherwise.
  // Returns the status that dlmlock() returns, checked in this order:
  //   kRejected   the member is dead
  //   kBadArgs    `id` is null
  //   kBadParam   a mode other than NL, PR, EX; an unknown flag; kLkmLocal with kLkmConvert; a
  //               conversion of lock 0
  //   kIvLockId   a conversion of a lock that is not, or no longer, this member's
  //   kBadArgs    a conversion with another `astarg`, or without the `lvb` that it needs; a new
  //               request with a name without data
  //   kIvBufLen   a new request with a name of 0 or more than kLockNameMax bytes
  //   kBadParam   a new request for "$RECOVERY", which is the lock manager's own
  //   kDenied     a conversion of a lock that is not granted, is already converting, or whose lock
  //               AST is still pending
  //   kNotQueued  kLkmNoQueue, and it cannot be granted at once
  //   kSysErr     no memory
  //   kNormal     accepted: a lock AST will follow
  [[nodiscard]] virtual Status Lock(int mode, uint32_t flags, std::string_view name,
                                    uint64_t astarg, const uint8_t* lvb, LockId* id) = 0;

  // dlm/dlmunlock.c:dlmunlock(): unlock, or cancel with kLkmCancel. The completion is an unlock
  // AST. `lvb` is written to the value block when `flags` has kLkmValBlk, the lock is granted EX
  // and this is no cancel; it may be null otherwise. Returns the status that dlmunlock() returns,
  // checked in this order:
  //   kRejected   the member is dead
  //   kBadParam   an unknown flag; lock 0
  //   kIvLockId   the lock is not, or no longer, this member's; cancel: it is already unlocked
  //   kBadArgs    unlock: the `lvb` that it needs is null
  //   kBadParam   unlock: the lock's lock AST is still pending
  //   kDenied     unlock: the lock is not granted (cancel first), or is already unlocked
  //   kSysErr     no memory
  //   kNormal     accepted: an unlock AST will follow, of kCancelGrant when there was nothing left
  //               to cancel
  [[nodiscard]] virtual Status Unlock(LockId id, uint32_t flags, const uint8_t* lvb) = 0;

  // The node that masters the resource; -1: there is none of that name.
  virtual int MasterOf(std::string_view name) const = 0;

  // For a simulator, in which messages take time: the lock AST that was taken last was lost on its
  // way from a master that died. The lock has `held` again (kModeInvalid: nothing) and waits for
  // what it was granted, as its own node knows it (dlm/dlmrecovery.c:
  // dlm_move_lockres_to_recovery_list()); nobody is told nor granted anything before the death's
  // recovery. `reads`: its AST is to bring the value block. Returns kNormal, kIvLockId when the
  // lock is not this member's, or kDenied when it is not granted, or owes an event.
  [[nodiscard]] virtual Status Recall(LockId id, int held, bool reads) = 0;

  // From now on kNodeLeft and kNodeJoined tell of nodes; a node that leaves while there is no
  // memory is not told of.
  virtual void WatchNodes() = 0;

  // Puts the numbers of the domain's nodes, ascending, at most `max`; returns how many there are.
  // A dead member has none.
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

  // The node was killed: every Lock() and Unlock() answers Status::kRejected and changes nothing.
  virtual bool dead() const = 0;
  virtual int node() const = 0;
};

}  // namespace stackglue::o2dlm

#endif  // STACKGLUE_NATIVE_O2DLM_O2DLM_H_
