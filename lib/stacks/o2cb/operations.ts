/**
 * Stack `o2cb`: the operations of fs/ocfs2/stack_o2cb.c on the o2dlm engine in this process.
 */
import { constants } from 'node:os';

import { DLM_ERRNO, DLM_LKF } from '../../constants.js';
import { DlmError, type DlmErrorCode } from '../../errors.js';
import {
  NoticeKind,
  type NativeO2dlmConnection,
  type NativeO2dlmListener,
  type NativeO2dlmOptions,
} from '../../native.js';
import { statusName } from '../../status.js';
import type { StackConnection } from '../../stackglue/connection.js';
import {
  heldMode,
  isUnderWay,
  lksbState,
  lvbOf,
  type DlmLksb,
  type LksbState,
} from '../../stackglue/lksb.js';
import type { StackOperations } from '../../stackglue/plugin.js';
import { NativeLocks, type AstWrappers } from '../native-locks.js';
import { openNative } from '../open-native.js';
import { membershipOf, toNotice } from '../to-notice.js';
import { flagsToO2dlm } from './flags.js';
import { o2dlmStatusName, STATUS_CANCELGRANT, statusToErrno } from './status.js';

const { errno } = constants;
const { CONVERT } = DLM_LKF;
/** The status of a lock while a request about it is under way. */
const UNDER_WAY = -DLM_ERRNO.EINPROG;
/** `NORMAL`: of an unlock, or of a cancel that was in time. */
const NORMAL = 0;

/** `DLM_LVB_LEN` of fs/ocfs2/dlm/dlmapi.h, bytes. */
const LVB_LEN = 64;

/** `BADPARAM`: what dlmunlock() and a conversion say of an lksb that has no lock. */
const NO_LOCK = -24;
/** `RECOVERING`: what every request is refused with when the node is dead. */
const LOST = -39;

const wrappers: AstWrappers = {
  /** `o2dlm_lock_ast_wrapper`; a grant takes the same way without it. */
  completion(connection, { lksb }) {
    connection.lockAst(lksb);
  },
  /** `o2dlm_unlock_ast_wrapper`: a cancel that lost is told by the grant's own AST alone. */
  unlock(connection, state, status) {
    const astarg = takeUnlockAstarg(state);
    endRequest(state, status);
    if (status !== STATUS_CANCELGRANT) connection.unlockAst(astarg, statusToErrno(status));
  },
};

/** The name becomes a C string. */
function checkDomainName(name: string): void {
  if (!name.includes('\0')) return;
  throw new DlmError('ERR_DLM_GROUP_NAME', `A domain's name has no NUL byte: "${name}"`, {
    op: 'connect',
    resource: name,
    errno: errno.EINVAL,
  });
}

interface Private {
  readonly native: NativeO2dlmConnection;
  readonly locks: NativeLocks;
  readonly closed: Promise<void>;
}

function privateOf(connection: StackConnection): Private {
  return connection.private as Private;
}

const JOIN_CODES: ReadonlyMap<number, DlmErrorCode> = new Map([
  [errno.EPROTO, 'ERR_DLM_PROTOCOL'],
  [errno.ENAMETOOLONG, 'ERR_DLM_GROUP_NAME'],
]);

function joinError(connection: StackConnection, status: number): DlmError {
  const { major, minor } = connection.version;
  return new DlmError(
    JOIN_CODES.get(-status) ?? 'ERR_DLM_CONNECT',
    status === -errno.EPROTO
      ? `Domain "${connection.name}" runs at a locking protocol that ${major}.${minor} is not compatible with`
      : `Joining domain "${connection.name}" failed: ${statusName(status)}`,
    { op: 'connect', resource: connection.name, errno: -status },
  );
}

/** Joins a domain, or fails to: `joinStatus` tells. */
export type JoinDomain = (
  options: Omit<NativeO2dlmOptions, 'cluster'>,
  batch: Int32Array,
  onEvents: (count: number) => void,
  onState: NativeO2dlmListener,
) => NativeO2dlmConnection;

/**
 * The operations of simulated node `node`, which joins domains by `join`. `answersAtOnce`: what is asked for is
 * mostly ready when the call that asks returns.
 */
export function createOperations(
  join: JoinDomain,
  node: number,
  answersAtOnce: boolean,
): StackOperations {
  return {
    // eslint-disable-next-line @typescript-eslint/require-await -- the contract is a promise's
    async connect(connection) {
      checkDomainName(connection.name);
      const locks = new NativeLocks(connection, wrappers, LVB_LEN, answersAtOnce);
      const { promise: closed, resolve } = withResolvers();
      const options = { domain: connection.name, node, ...connection.version };
      const listener: NativeO2dlmListener = (state, notice, about) => {
        if (state === 'closed') resolve();
        else {
          const ring = membershipOf(native)?.ring;
          if (notice === NoticeKind.nodeFailed) {
            connection.nodeDown(about, ring);
            return;
          }
          const told = toNotice(notice, about, ring, false);
          if (told.locks === 'lost') locks.lose();
          connection.notice(told);
        }
      };
      const native = openNative(connection.name, () =>
        join(options, locks.batch, locks.dispatch, listener),
      );
      locks.native = native;
      if (native.joinStatus !== 0) throw joinError(connection, native.joinStatus);
      const [major, minor] = native.version;
      connection.version = { major, minor };
      connection.private = { native, locks, closed } satisfies Private;
      native.begin();
    },

    async disconnect(connection) {
      const { native, locks, closed } = privateOf(connection);
      native.close();
      await closed;
      locks.clear();
    },

    members(connection) {
      return privateOf(connection)
        .native.members()
        .map(([number]) => ({ node: number, name: undefined, addresses: [] }));
    },

    membership(connection) {
      return membershipOf(privateOf(connection).native);
    },

    thisNode() {
      return node;
    },

    dlmLock(connection, mode, lksb, flags, name) {
      if ((flags & CONVERT) !== 0) return convert(connection, mode, lksb, flags);
      const { locks } = connection.private as Private;
      const state = lksbState(lksb);
      const refusal = locks.lock(state, mode, flags === 0 ? 0 : flagsToO2dlm(flags), name);
      return refusal === 0 ? 0 : refusedLock(state, refusal);
    },

    dlmUnlock(connection, lksb, flags, astarg) {
      const state = lksbState(lksb);
      const { locks } = connection.private as Private;
      const status =
        flags === 0 ? locks.unlock(state, 0) : locks.unlockBy(state, flagsToO2dlm(flags), flags);
      if (status !== 0) return refused(state, status);
      addUnlockAstarg(state, astarg);
      return 0;
    },

    lockStatus(lksb) {
      const state = lksbState(lksb);
      return isUnderWay(state) ? UNDER_WAY : statusToErrno(state.status);
    },

    lockMode(lksb) {
      return heldMode(lksbState(lksb));
    },

    /** o2dlm zeroes a block that it has lost, and so calls every block valid. */
    lvbValid() {
      return true;
    },

    lockLvb(lksb) {
      return lvbOf(lksbState(lksb), LVB_LEN);
    },

    dumpLksb(lksb) {
      const { lockId, status } = lksbState(lksb);
      return `lock ${lockId >>> 0} status ${o2dlmStatusName(status)}`;
    },

    setRef(connection, referenced) {
      const { native } = privateOf(connection);
      if (referenced) native.ref();
      else native.unref();
    },
  };
}

/** `dlmLock` with `CONVERT`. */
function convert(connection: StackConnection, mode: number, lksb: DlmLksb, flags: number): number {
  const { locks } = privateOf(connection);
  const state = lksbState(lksb);
  const status = locks.convert(state, mode, flagsToO2dlm(flags), flags);
  return status === 0 ? 0 : refused(state, status);
}

/** For each unlock and cancel that o2dlm accepted, in order: each ends in one unlock AST. */
function addUnlockAstarg(state: LksbState, astarg: unknown): void {
  state.unlocksDue += 1;
  if (state.unlocksDue === 1) state.unlockAstarg = astarg;
  else addLater(state, astarg);
}

function addLater(state: LksbState, astarg: unknown): void {
  (state.laterAstargs ??= []).push(astarg);
}

function takeUnlockAstarg(state: LksbState): unknown {
  const { unlockAstarg } = state;
  state.unlocksDue -= 1;
  // That has none left when no other unlock is due.
  state.unlockAstarg = state.laterAstargs?.shift();
  return unlockAstarg;
}

/** What the unlock AST of a lock that is left has ended: the conversion, the unlock, or nothing. */
function endRequest(state: LksbState, status: number): void {
  if (status === NORMAL) state.requestsDue = 0;
  else if (status !== STATUS_CANCELGRANT) state.isUnlocking = false;
}

/** dlmlock() leaves its status in the lksb too. */
function refusedLock(state: LksbState, refusal: number): number {
  state.status = -refusal;
  return statusToErrno(-refusal);
}

/** The status of a request that was refused is also left in the lksb. */
function refused(state: LksbState, refusal: number): number {
  const status = -(state.index < 0 && refusal !== LOST ? NO_LOCK : refusal);
  state.status = status;
  return statusToErrno(status);
}

function withResolvers(): { promise: Promise<void>; resolve: () => void } {
  let resolve!: () => void;
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
