/**
 * Lock modes, the flags of requests and of their completions, and the DLM's own errno values, with the kernel's numbers
 * (include/uapi/linux/dlmconstants.h, include/uapi/linux/dlm.h, fs/ocfs2/stackglue.h).
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

/** Request flags: `DLM_LKF_*`. */
export const DLM_LKF = Object.freeze({
  /** Fail rather than wait. */
  NOQUEUE: 0x00000001,
  /** Unlock: cancel the operation that is under way instead. */
  CANCEL: 0x00000002,
  /** Lock: change the mode of the lock that the lksb has. */
  CONVERT: 0x00000004,
  /** Carry the value block, as the rules for the two modes say. */
  VALBLK: 0x00000008,
  QUECVT: 0x00000010,
  /** Declare the value block invalid. */
  IVVALBLK: 0x00000020,
  CONVDEADLK: 0x00000040,
  PERSISTENT: 0x00000080,
  NODLCKWT: 0x00000100,
  NODLCKBLK: 0x00000200,
  EXPEDITE: 0x00000400,
  NOQUEUEBAST: 0x00000800,
  HEADQUE: 0x00001000,
  NOORDER: 0x00002000,
  ORPHAN: 0x00004000,
  ALTPR: 0x00008000,
  ALTCW: 0x00010000,
  FORCEUNLOCK: 0x00020000,
  /** Refused by `user` (`ERR_DLM_TIMEOUT_FLAG`): no current kernel honours it. */
  TIMEOUT: 0x00040000,
  /** The one flag that stackglue.h adds: a lock known to be used on this node only (`o2cb`). */
  LOCAL: 0x00100000,
} as const);

/** Flags of a lock's last completion: `DLM_SBF_*`. Only `user` sets any. */
export const DLM_SBF = Object.freeze({
  /** `CONVDEADLK` had the lock demoted to NL while it waited: for a moment nothing was held. */
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
} as const);

/** `GROUP_NAME_MAX`: the longest group (lockspace, domain) name, bytes. */
export const GROUP_NAME_MAX = 64;
/** `CLUSTER_NAME_MAX`: the longest cluster name, bytes. */
export const CLUSTER_NAME_MAX = 16;
/** `OCFS2_STACK_LABEL_LEN`: the length of a cluster stack's label, characters. */
export const STACK_LABEL_LEN = 4;
