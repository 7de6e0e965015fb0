/**
 * Lock modes, the flags of requests and of their completions, and the DLM's own errno values, with
 * the kernel's numbers (include/uapi/linux/dlmconstants.h, include/uapi/linux/dlm.h,
 * fs/ocfs2/stackglue.h).
 */

/** Lock modes, weakest first. `o2cb` grants only `NL`, `PR` and `EX`; `user` grants all six. */
export const DLM_LOCK = Object.freeze({
  /** Null: holds a place and an interest in blocking, grants nothing. */
  NL: 0,
  /** Concurrent read. */
  CR: 1,
  /** Concurrent write. */
  CW: 2,
  /** Protected read: shared. */
  PR: 3,
  /** Protected write. */
  PW: 4,
  /** Exclusive. */
  EX: 5,
} as const);

/** One of the six lock modes. */
export type LockMode = (typeof DLM_LOCK)[keyof typeof DLM_LOCK];

/** Request flags: `DLM_LKF_*`. Of these `o2cb` has NOQUEUE, CANCEL, CONVERT, VALBLK and LOCAL. */
export const DLM_LKF = Object.freeze({
  /** Fail rather than wait. */
  NOQUEUE: 0x00000001,
  /** Unlock: cancel the operation that is under way instead. */
  CANCEL: 0x00000002,
  /** Lock: change the mode of the lock that the lksb has. */
  CONVERT: 0x00000004,
  /** Carry the value block, as the rules for the two modes say. */
  VALBLK: 0x00000008,
  /** Conversion: behind those that wait already, though nothing held stands in its way. */
  QUECVT: 0x00000010,
  /** Unlock or conversion down from PW or EX: declare the value block invalid. */
  IVVALBLK: 0x00000020,
  /** Conversion: in a conversion deadlock give up the old mode (`DLM_SBF.DEMOTED`) and wait on. */
  CONVDEADLK: 0x00000040,
  /** Keep the lock when its process is gone; to be said with each conversion again. */
  PERSISTENT: 0x00000080,
  /**
   * Wait on in a conversion deadlock. In every request on `user`, as in fs/ocfs2/stack_user.c, unless its
   * plugin has the option `detectDeadlocks`.
   */
  NODLCKWT: 0x00000100,
  /** Nothing: fs/dlm never made use of it. */
  NODLCKBLK: 0x00000200,
  /** New lock in NL: granted although others wait. */
  EXPEDITE: 0x00000400,
  /** With NOQUEUE: tell the holders of the request that fails, once until their mode changes. */
  NOQUEUEBAST: 0x00000800,
  /** Wait before those that wait already. */
  HEADQUE: 0x00001000,
  /** New lock: granted as soon as it goes with what is held, whoever waits. */
  NOORDER: 0x00002000,
  /** Adopt a PERSISTENT lock of that mode whose process is gone: EAGAIN in another mode, ENOENT. */
  ORPHAN: 0x00004000,
  /** New lock: PR if that can be granted and the wanted mode cannot (`DLM_SBF.ALTMODE`). */
  ALTPR: 0x00008000,
  /** The same with CW. */
  ALTCW: 0x00010000,
  /** Unlock: also while the lock waits or converts. */
  FORCEUNLOCK: 0x00020000,
  /** Refused by `user` (`ERR_DLM_TIMEOUT_FLAG`): no current kernel honours it. */
  TIMEOUT: 0x00040000,
  /** The one flag that stackglue.h adds: a lock known to be used on this node only (`o2cb`). */
  LOCAL: 0x00100000,
} as const);

/** Flags of a lock's last completion: `DLM_SBF_*`. Only `user` sets any. */
export const DLM_SBF = Object.freeze({
  /**
   * `CONVDEADLK` had the lock demoted to NL while it waited: for a moment nothing was held. If that
   * conversion is cancelled the lock is left in NL, and no flag tells of it: `dlmLockMode` says NL. What it reads of the value
   * block it reads as from its old mode: a conversion from PR to CW nothing.
   */
  DEMOTED: 0x01,
  /** The value block is lost or was declared invalid: {@link DLM_LKF} `VALBLK` brought no news. */
  VALNOTVALID: 0x02,
  /** `ALTPR` or `ALTCW`: granted in that mode, and not in the one that was asked for. */
  ALTMODE: 0x04,
} as const);

/** Every bit of {@link DLM_LKF}. */
export const DLM_LKF_ALL: number = Object.values(DLM_LKF).reduce((all, flag) => all | flag, 0);

/** Errno values that only the DLM uses. */
export const DLM_ERRNO = Object.freeze({
  /** The operation was cancelled: `DLM_ECANCEL`. */
  ECANCEL: 0x10001,
  /** The lock was unlocked: `DLM_EUNLOCK`. */
  EUNLOCK: 0x10002,
  /** A request is under way: `EINPROG`, libdlm's own. */
  EINPROG: 0x10003,
} as const);

/** `GROUP_NAME_MAX`: the longest group (lockspace, domain) name, bytes. */
export const GROUP_NAME_MAX = 64;
/** `CLUSTER_NAME_MAX`: the longest cluster name, bytes. */
export const CLUSTER_NAME_MAX = 16;
/** `OCFS2_STACK_LABEL_LEN`: the length of a cluster stack's label, characters. */
export const STACK_LABEL_LEN = 4;
