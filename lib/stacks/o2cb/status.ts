/**
 * o2dlm's statuses and what they are as errno: `status_map` of fs/ocfs2/stack_o2cb.c. dlmglue relies
 * on NORMAL, NOTQUEUED, CANCELGRANT and CANCEL having values that no other status has.
 */
import { constants } from 'node:os';

import { DLM_ERRNO } from '../../constants.js';
import { ERESTART } from '../../status.js';

const { errno } = constants;

/** `enum dlm_status` of fs/ocfs2/dlm/dlmapi.h: the names, at their numbers. */
const NAMES = [
  'NORMAL',
  'GRANTED',
  'DENIED',
  'DENIED_NOLOCKS',
  'WORKING',
  'BLOCKED',
  'BLOCKED_ORPHAN',
  'DENIED_GRACE_PERIOD',
  'SYSERR',
  'NOSUPPORT',
  'CANCELGRANT',
  'IVLOCKID',
  'SYNC',
  'BADTYPE',
  'BADRESOURCE',
  'MAXHANDLES',
  'NOCLINFO',
  'NOLOCKMGR',
  'NOPURGED',
  'BADARGS',
  'VOID',
  'NOTQUEUED',
  'IVBUFLEN',
  'CVTUNGRANT',
  'BADPARAM',
  'VALNOTVALID',
  'REJECTED',
  'ABORT',
  'CANCEL',
  'IVRESHANDLE',
  'DEADLOCK',
  'DENIED_NOASTS',
  'FORWARD',
  'TIMEOUT',
  'IVGROUPID',
  'VERS_CONFLICT',
  'BAD_DEVICE_PATH',
  'NO_DEVICE_PERMISSION',
  'NO_CONTROL_DEVICE',
  'RECOVERING',
  'MIGRATING',
  'MAXSTATS',
] as const;

type O2dlmStatusName = (typeof NAMES)[number];

const ERRNO: Record<O2dlmStatusName, number> = {
  NORMAL: 0,
  GRANTED: -errno.EINVAL,
  DENIED: -errno.EACCES,
  DENIED_NOLOCKS: -errno.EACCES,
  WORKING: -errno.EACCES,
  BLOCKED: -errno.EINVAL,
  BLOCKED_ORPHAN: -errno.EINVAL,
  DENIED_GRACE_PERIOD: -errno.EACCES,
  SYSERR: -errno.ENOMEM,
  NOSUPPORT: -errno.EPROTO,
  CANCELGRANT: -errno.EBUSY,
  IVLOCKID: -errno.EINVAL,
  SYNC: -errno.EINVAL,
  BADTYPE: -errno.EINVAL,
  BADRESOURCE: -errno.EINVAL,
  MAXHANDLES: -errno.ENOMEM,
  NOCLINFO: -errno.EINVAL,
  NOLOCKMGR: -errno.EINVAL,
  NOPURGED: -errno.EINVAL,
  BADARGS: -errno.EINVAL,
  VOID: -errno.EINVAL,
  NOTQUEUED: -errno.EAGAIN,
  IVBUFLEN: -errno.EINVAL,
  CVTUNGRANT: -errno.EPERM,
  BADPARAM: -errno.EINVAL,
  VALNOTVALID: -errno.EINVAL,
  REJECTED: -errno.EPERM,
  ABORT: -errno.EINVAL,
  CANCEL: -DLM_ERRNO.ECANCEL,
  IVRESHANDLE: -errno.EINVAL,
  DEADLOCK: -errno.EDEADLK,
  DENIED_NOASTS: -errno.EINVAL,
  FORWARD: -errno.EINVAL,
  TIMEOUT: -errno.ETIMEDOUT,
  IVGROUPID: -errno.EINVAL,
  VERS_CONFLICT: -errno.EOPNOTSUPP,
  BAD_DEVICE_PATH: -errno.ENOENT,
  NO_DEVICE_PERMISSION: -errno.EPERM,
  NO_CONTROL_DEVICE: -errno.ENOENT,
  RECOVERING: -errno.ENOTCONN,
  MIGRATING: -ERESTART,
  MAXSTATS: -errno.EINVAL,
};

/** The errno of every status, by its number. */
const BY_NUMBER: readonly number[] = NAMES.map((name) => ERRNO[name]);

/** The status that a lost cancel ends in. */
export const STATUS_CANCELGRANT = NAMES.indexOf('CANCELGRANT');

/** `dlm_status_to_errno`: 0 or a negative errno. */
export function statusToErrno(status: number): number {
  return status === 0 ? 0 : lookUp(status);
}

function lookUp(status: number): number {
  const mapped = BY_NUMBER[status];
  if (mapped === undefined) throw new Error(`stackglue: o2dlm has no status ${status}`);
  return mapped;
}

/** The status's own name, e.g. `DLM_NORMAL`. */
export function o2dlmStatusName(status: number): string {
  return `DLM_${NAMES[status] ?? status}`;
}
