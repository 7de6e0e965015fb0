// What stack `user` makes of a request before it leaves its node: rules that need only the request
// and what the node knows of the lock. For the kernel and the emulation (user/lock_book.h), and
// for the simulator, where requests take time.
//
// Threads: plain functions.
#ifndef STACKGLUE_NATIVE_USER_LOCK_RULES_H_
#define STACKGLUE_NATIVE_USER_LOCK_RULES_H_

#include <linux/dlmconstants.h>

#include <cerrno>
#include <cstdint>

namespace stackglue::user {

// The rules of fs/dlm/lock.c:set_lock_args, applied before the request is on its way so that the
// caller hears of a mistake at once. LKF_TIMEOUT is refused: no current kernel honours it.
inline bool AreLockFlagsValid(int mode, uint32_t flags) {
  if (mode < DLM_LOCK_NL || mode > DLM_LOCK_EX) return false;
  if ((flags & (DLM_LKF_CANCEL | DLM_LKF_TIMEOUT)) != 0) return false;
  const bool convert = (flags & DLM_LKF_CONVERT) != 0;
  if (!convert && (flags & (DLM_LKF_QUECVT | DLM_LKF_CONVDEADLK)) != 0) return false;
  if ((flags & DLM_LKF_CONVDEADLK) != 0 && (flags & DLM_LKF_NOQUEUE) != 0) return false;
  // A rule of ours. For these a master grants in one mode and the lock's own node takes it to be
  // another: for a conversion the one that was asked for (fs/dlm/lock.c:__receive_convert_reply
  // does not call munge_altmode), with both flags always PR. Two nodes could then hold modes that
  // exclude each other.
  constexpr uint32_t kAlternatives = DLM_LKF_ALTPR | DLM_LKF_ALTCW;
  if ((flags & kAlternatives) != 0 && (convert || (flags & kAlternatives) == kAlternatives)) {
    return false;
  }
  return (flags & DLM_LKF_EXPEDITE) == 0 ||
         (!convert && (flags & DLM_LKF_NOQUEUE) == 0 && mode == DLM_LOCK_NL);
}

// fs/dlm/lock.c:set_unlock_args
inline bool AreUnlockFlagsValid(uint32_t flags) {
  constexpr uint32_t kKnown =
      DLM_LKF_CANCEL | DLM_LKF_VALBLK | DLM_LKF_IVVALBLK | DLM_LKF_FORCEUNLOCK;
  constexpr uint32_t kExclusive = DLM_LKF_CANCEL | DLM_LKF_FORCEUNLOCK;
  return (flags & ~kKnown) == 0 && (flags & kExclusive) != kExclusive;
}

// fs/dlm/lock.c:dlm_lvb_operations: whether a conversion with VALBLK writes the value block ...
inline bool WritesValueBlock(int granted, int requested) {
  return granted >= DLM_LOCK_PW && requested <= granted;
}

// ... and whether it, or with -1 for `granted` a new lock, reads it. A conversion from PR to CW
// does not, even if the lock was demoted to NL meanwhile: a node that is not the master hears of
// that with the grant, and takes the block that comes with it for none of its
// (lock.c:receive_grant, set_lvb_lock_pc); what it would hand over is what it sent itself.
inline bool ReadsValueBlock(int granted, int requested) {
  return requested >= granted && !WritesValueBlock(granted, requested);
}

// fs/dlm/lock.c:__quecvt_compat_matrix. Upwards, and from PR to CW. The kernel refuses others too,
// but with a stack trace in its log.
inline bool CanQueueConversion(int granted, int mode) {
  return mode > granted || (granted == DLM_LOCK_PR && mode == DLM_LOCK_CW);
}

// A request that ends by itself, as a new lock with one of these does, is never cancelled: the
// kernel would give the id of a lock that has ended to a stranger's.
inline bool EndsByItself(uint32_t flags) {
  return (flags & (DLM_LKF_NOQUEUE | DLM_LKF_ORPHAN)) != 0;
}

// Whether a new lock is asked for by steps, because fs/dlm may free one that ends with its request
// while it is still on its process's list (native/KERNELS.md). An adoption never is: what it is
// refused is no lock.
inline bool IsTriedBySteps(uint32_t flags) {
  return (flags & (DLM_LKF_NOQUEUE | DLM_LKF_ORPHAN)) == DLM_LKF_NOQUEUE;
}

// A new lock may not pass those who wait, a conversion may. Whether they have to be asked for
// first: for EX never, because whatever makes others wait is in the way of EX as well, and QUECVT
// minds those that convert. NOORDER passes everybody.
inline bool MindsWhoWaits(int mode, uint32_t flags) {
  const bool alone = mode == DLM_LOCK_EX && (flags & (DLM_LKF_ALTPR | DLM_LKF_ALTCW)) == 0;
  return !alone && (flags & DLM_LKF_NOORDER) == 0;
}

// The flags of the first step, a new lock in NL. PERSISTENT is for what is granted: NL that is left
// by a process which ends half-way must not become an orphan.
inline uint32_t FlagsOfFirstStep(int mode, uint32_t flags) {
  return MindsWhoWaits(mode, flags) ? 0 : DLM_LKF_EXPEDITE;
}

// The flags of the second step, a conversion to what is asked for.
inline uint32_t FlagsOfSecondStep(int mode, uint32_t flags) {
  const bool queues = mode != DLM_LOCK_NL && (flags & DLM_LKF_NOORDER) == 0;
  return (flags & ~(DLM_LKF_ALTPR | DLM_LKF_ALTCW)) | (queues ? DLM_LKF_QUECVT : 0);
}

// The mode that fs/dlm tries when it cannot grant `mode`, or `mode` itself (lock.c:can_be_granted).
inline int AlternativeOf(int mode, uint32_t flags) {
  if ((flags & DLM_LKF_ALTPR) != 0) return DLM_LOCK_PR;
  return (flags & DLM_LKF_ALTCW) != 0 ? DLM_LOCK_CW : mode;
}

// Whether what a lock waits for can be cancelled. If there is nothing to cancel, or a cancel is
// under way, fs/dlm would do nothing either, but with a warning and a stack trace in the kernel's
// log (fs/dlm/lock.c:validate_unlock_args). `is_new`: it waits for its first grant.
inline bool CanCancel(bool is_waiting, bool is_new, uint32_t flags, bool is_cancelling) {
  return is_waiting && !is_cancelling && !(is_new && EndsByItself(flags));
}

// What a program is told when an operation of whose cancel it knows ends with `status`. fs/dlm
// forgets what a cancel was for while a request is on its way to the master, and remembers it for
// the next one when the grant was faster.
inline int StatusOfCancelled(int status, bool breaks_deadlock) {
  constexpr int kStatusCanceled = -0x10001;  // -DLM_ECANCEL
  if (status != kStatusCanceled && status != -EDEADLK) return status;
  return breaks_deadlock ? -EDEADLK : kStatusCanceled;
}

// Whether a purge would mean all locks of whoever asks for it, and tell nobody
// (fs/dlm/lock.c:dlm_user_purge). `node` 0 is the own one.
inline bool PurgesOwnLocks(int own_node, int own_pid, int node, int pid) {
  return (node == 0 || node == own_node) && pid == own_pid;
}

// What fs/dlm remembers of a lock's requests when it comes to the value block.
struct ValueBlockMemory {
  bool valblk : 1 = false;  // the last request had VALBLK: it would write at unlock ...
  bool lvb : 1 = false;     // ... and some request had it: it has memory for a block at all
  bool ivvalblk : 1 =
      false;  // IVVALBLK was in the last request, and would be obeyed at unlock, too

  void Take(uint32_t flags) {
    valblk = (flags & DLM_LKF_VALBLK) != 0;
    lvb = lvb || valblk;
    ivvalblk = (flags & DLM_LKF_IVVALBLK) != 0;
  }
};

// fs/dlm writes the value block at unlock if the last request had VALBLK, asked for or not, and
// does not write it, asked for or not, if no request ever had it; and it declares the block invalid
// if the last request did. Where that is not what the caller said, going through NL is: a
// conversion does just as its own flags say.
inline bool UnlocksThroughNull(int granted, uint32_t flags, const ValueBlockMemory& memory) {
  const bool write = (flags & DLM_LKF_VALBLK) != 0;
  const bool can_write = granted >= DLM_LOCK_PW && (flags & DLM_LKF_IVVALBLK) == 0;
  const bool would_write = write ? memory.lvb : memory.valblk;
  return can_write && (write != would_write || memory.ivvalblk);
}

}  // namespace stackglue::user

#endif  // STACKGLUE_NATIVE_USER_LOCK_RULES_H_
