/** Calls of libdlm that the glue does not have: for connections of stack `user` only. */
import { constants } from 'node:os';

import { checkInteger, DlmError, invalidType } from '../../errors.js';
import type { Version } from '../../native.js';
import { stackConnectionOf, type ClusterConnection } from '../../stackglue/connection.js';
import { lksbState, type DlmLksb } from '../../stackglue/lksb.js';
import { Link, linkOf } from './link.js';

const { errno } = constants;

/** The largest number of a node and of a process. */
const I32_MAX = 2 ** 31 - 1;

/** Versions, each as major, minor and patch level. */
export interface DlmVersions {
  /** `dlm_library_version`: libdlm's interface. */
  readonly library: Version;
  /** `dlm_kernel_version`: that of the kernel's DLM device. */
  readonly kernel: Version;
}

/**
 * `dlm_ls_purge`: gives up the orphans (locks with `PERSISTENT` whose process has ended) of a node and,
 * unless `pid` is 0, of one process of it.
 *
 * Resolves when this node's are given up, or the other node has been asked; no answer comes from there.
 * Rejects with a `DlmError`: `ERR_DLM_REFUSED` (EINVAL) for this connection's own `dlmOwnPid` on this
 * node, which to the kernel would mean all locks of the connection; `ERR_DLM_REFUSED` (EOPNOTSUPP) for any
 * process of this node where `dlmOwnPid` is not known.
 *
 * @param nodeId 0: this node.
 * @param pid by which the kernel knew the owner: what `dlmOwnPid` returned there.
 */
export async function dlmPurge(
  connection: ClusterConnection<never>,
  nodeId: number,
  pid: number,
): Promise<void> {
  const link = checkedLink(connection, 'purge');
  checkInteger('nodeId', nodeId, 0, I32_MAX);
  checkInteger('pid', pid, 0, I32_MAX);
  const status = await link.call((ticket) => link.native.purge(nodeId, pid, ticket));
  if (status === 0) return;
  throw new DlmError(
    status === -errno.ENOTCONN ? 'ERR_DLM_DISCONNECTED' : 'ERR_DLM_REFUSED',
    `The orphans of node ${nodeId}, process ${pid} were not purged`,
    { op: 'purge', resource: connection.name, errno: -status },
  );
}

/**
 * `dlm_ls_deadlock_cancel`: breaks a deadlock by ending what the lock waits for. It ends with the
 * status -EDEADLK, told by `lockAst`; a new lock is gone then, a conversion leaves the old mode. A grant
 * that is faster ends it as usual. Returns 0 or a negative errno: -EBUSY during an unlock, -EINVAL
 * without a lock.
 */
export function dlmDeadlockCancel(connection: ClusterConnection<never>, lksb: DlmLksb): number {
  const { native, connection: own } = checkedLink(connection, 'deadlockCancel');
  const state = lksbState(lksb);
  if (state.connection !== undefined && state.connection !== own) {
    throw new DlmError(
      'ERR_DLM_WRONG_CONNECTION',
      `The lock status block belongs to another connection, to "${state.connection.name}"`,
      { op: 'deadlockCancel', resource: connection.name, errno: errno.EINVAL },
    );
  }
  return native.deadlockCancel(state.index >>> 0);
}

/** The versions of libdlm and of the kernel's DLM that serve this connection. */
export function dlmVersions(connection: ClusterConnection<never>): DlmVersions {
  const [library, kernel] = checkedLink(connection, 'versions').native.versions();
  return Object.freeze({ library, kernel });
}

/**
 * The number by which the kernel knows the owner of this connection's locks, for `dlmPurge` on any node:
 * that of the thread which makes the calls, in the machine's own numbering. 0 in a PID namespace (a
 * container), where that number cannot be seen.
 */
export function dlmOwnPid(connection: ClusterConnection<never>): number {
  return checkedLink(connection, 'ownPid').native.ownerPid();
}

function checkedLink(connection: unknown, op: string): Link {
  const stack = stackConnectionOf(connection);
  if (stack === undefined) {
    throw invalidType('connection', 'an instance of ClusterConnection', connection);
  }
  if (!(stack.private instanceof Link)) {
    throw invalidType('connection', 'a connection of stack user', connection);
  }
  if (stack.state !== 'connected') {
    throw new DlmError(
      'ERR_DLM_DISCONNECTED',
      `The connection to "${stack.name}" is ${stack.state}`,
      { op, resource: stack.name, errno: errno.ENOTCONN },
    );
  }
  return linkOf(stack);
}
