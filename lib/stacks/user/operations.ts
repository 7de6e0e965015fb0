/**
 * Stack `user`: the operations of fs/ocfs2/stack_user.c, on the kernel's DLM or on the emulation.
 */
import { constants } from 'node:os';

import { DLM_ERRNO, DLM_LKF } from '../../constants.js';
import { DlmError } from '../../errors.js';
import {
  heldMode,
  isUnderWay,
  lksbState,
  lvbOf,
  type DlmLksb,
  type LksbState,
} from '../../stackglue/lksb.js';
import type { StackOperations } from '../../stackglue/plugin.js';
import type { AstWrappers } from '../native-locks.js';
import { connectError } from '../open-native.js';
import { membershipOf } from '../to-notice.js';
import { flagsToFsdlm } from './flags.js';
import { checkLockspaceName } from './lockspace-name.js';
import { disconnected } from './open-failure.js';
import { Link, linkOf, LVB_LEN, type LockspaceSource } from './link.js';
import { endsInUnlockAst, isBlockValid, isCancel } from './status.js';
import { isVersionLock, negotiateVersion } from './version-lock.js';

const { errno } = constants;
const { CANCEL, CONVERT, NODLCKWT } = DLM_LKF;
/** The status of a lock while a request about it is under way. */
const UNDER_WAY = -DLM_ERRNO.EINPROG;

const wrappers: AstWrappers = {
  /** `fsdlm_lock_ast_wrapper`; a grant takes the same way without it. */
  completion(connection, state) {
    const { status } = state;
    if (!endsInUnlockAst(status)) connection.lockAst(state.lksb);
    else if (isCancel(status)) connection.unlockAst(state.cancelAstarg, 0);
    else connection.unlockAst(state.unlockAstarg, 0);
  },
  /** The kernel refused an unlock after `dlmUnlock` had returned. */
  unlock(connection, state, error) {
    state.isUnlocking = false;
    connection.unlockAst(state.unlockAstarg, error);
  },
};

/**
 * How long it may take to open lockspaces, and to give them up; and what a conversion does that waits for one
 * that waits for it.
 */
export interface Settings {
  /** Milliseconds; 0: however long it takes. */
  readonly connectTimeoutMs: number;
  /** Milliseconds. */
  readonly disconnectTimeoutMs: number;
  /** Leave NODLCKWT out of requests. */
  readonly detectDeadlocks: boolean;
}

/** The operations on the lockspaces of `source`. */
export function createOperations(source: LockspaceSource, settings: Settings): StackOperations {
  const { connectTimeoutMs, disconnectTimeoutMs, detectDeadlocks } = settings;
  // `user_dlm_lock` too takes care that no request ends by a conversion deadlock.
  const added = detectDeadlocks ? 0 : NODLCKWT;
  return {
    async connect(connection, signal) {
      const { name } = connection;
      checkLockspaceName(name);
      const link = new Link(connection, wrappers, source);
      const { native, locks, closed } = link;
      const limit = new AbortController();
      const timer =
        connectTimeoutMs === 0
          ? undefined
          : setTimeout(() => {
              limit.abort();
              native.close(0);
            }, connectTimeoutMs);
      // What has not been opened yet is the keeper's to give up.
      const giveUp = (): void => native.close(0);
      signal?.addEventListener('abort', giveUp, { once: true });
      const ended = Promise.race([
        link.lost,
        closed.then(() => Promise.reject(disconnected(name))),
      ]);
      try {
        await Promise.race([link.opened, ended]);
        connection.private = link;
        connection.version = await Promise.race([
          negotiateVersion(name, locks, connection.version, ended),
          ended,
        ]);
        link.begin();
      } catch (error) {
        native.close(disconnectTimeoutMs);
        await closed;
        throw limit.signal.aborted
          ? timeoutError('connect', name, connectTimeoutMs)
          : connectError(name, error);
      } finally {
        clearTimeout(timer);
        signal?.removeEventListener('abort', giveUp);
      }
    },

    async disconnect(connection) {
      const { native, locks, closed } = linkOf(connection);
      native.close(disconnectTimeoutMs);
      const { isPending } = await closed;
      locks.clear();
      if (isPending) throw timeoutError('disconnect', connection.name, disconnectTimeoutMs);
    },

    members(connection) {
      return linkOf(connection)
        .native.members()
        .map(([node, name, addresses]) => ({
          node,
          name: name === '' ? undefined : name,
          addresses,
        }));
    },

    membership(connection) {
      return membershipOf(linkOf(connection).native);
    },

    thisNode(connection) {
      return linkOf(connection).thisNode;
    },

    dlmLock(connection, mode, lksb, flags, name) {
      const { locks } = linkOf(connection);
      const fsdlmFlags = flagsToFsdlm(flags) | added;
      const state = lksbState(lksb);
      if ((flags & CONVERT) !== 0) return locks.convert(state, mode, fsdlmFlags, flags);
      // As in dlm_lock(), the status stays what it was.
      state.refusal = isVersionLock(name)
        ? refuseName(state)
        : locks.lock(state, mode, fsdlmFlags, name);
      return state.refusal;
    },

    dlmUnlock(connection, lksb, flags, astarg) {
      const state = lksbState(lksb);
      const { locks } = linkOf(connection);
      const result =
        flags === 0 ? locks.unlock(state, 0) : locks.unlockBy(state, flagsToFsdlm(flags), flags);
      // There is no such lock; or no lock at all any more.
      if (state.index < 0) return result === -errno.ENOTCONN ? result : -errno.ENOENT;
      if (result !== 0) return result;
      // An operation ends in one cancel's AST at most, however often its cancel was asked for.
      if ((flags & CANCEL) === 0) state.unlockAstarg = astarg;
      else state.cancelAstarg = astarg;
      return 0;
    },

    lockStatus(lksb) {
      const state = lksbState(lksb);
      return isUnderWay(state) ? UNDER_WAY : state.status;
    },

    lockMode(lksb) {
      return heldMode(lksbState(lksb));
    },

    lvbValid(lksb) {
      return isBlockValid(lksbState(lksb).flags);
    },

    lockLvb(lksb) {
      return lvbOf(lksbState(lksb), LVB_LEN);
    },

    dumpLksb(lksb: DlmLksb) {
      const { lockId, status, flags } = lksbState(lksb);
      return `lkid ${(lockId >>> 0).toString(16)} status ${status} flags 0x${flags.toString(16)}`;
    },

    setRef(connection, referenced) {
      const { native } = linkOf(connection);
      if (referenced) native.ref();
      else native.unref();
    },
  };
}

/** The refusal of a name that never gets to the lock manager; what is shown is not the one before. */
function refuseName(state: LksbState): number {
  state.name = undefined;
  return -errno.EINVAL;
}

function timeoutError(op: 'connect' | 'disconnect', group: string, timeoutMs: number): DlmError {
  const what =
    op === 'connect'
      ? `Connecting to lockspace "${group}" took longer than ${timeoutMs} ms: it recovers, or has no quorum`
      : `The locks in lockspace "${group}" could not be dropped within ${timeoutMs} ms: they go when it works again`;
  return new DlmError('ERR_DLM_TIMEOUT', `${what} (see "dlm_tool ls")`, {
    op,
    resource: group,
    errno: errno.ETIMEDOUT,
  });
}
