/**
 * Stack `user`: the operations of fs/ocfs2/stack_user.c on libdlm and the kernel's DLM.
 */
import { constants } from 'node:os';

import { DLM_LKF } from '../../constants.js';
import { DlmError } from '../../errors.js';
import {
  NativeUserConnection,
  type NativeConnection,
  type NativeUserOptions,
} from '../../native.js';
import type { ClusterConnection } from '../../stackglue/connection.js';
import {
  lksbState,
  readFlags,
  readLockId,
  readLvb,
  readStatus,
  type DlmLksb,
} from '../../stackglue/lksb.js';
import type { StackOperations } from '../../stackglue/plugin.js';
import { NativeLocks, type AstWrappers } from '../native-locks.js';
import { flagsToFsdlm } from './flags.js';
import { openError } from './open-failure.js';
import { negotiateVersion } from './version-lock.js';
import { endsInUnlockAst, isCancel, SBF_VALNOTVALID } from './status.js';

const { errno } = constants;

/** `DLM_USER_LVB_LEN`, bytes. */
const LVB_LEN = 32;

const wrappers: AstWrappers = {
  /** `fsdlm_lock_ast_wrapper` */
  completion(connection, lksb) {
    const status = readStatus(lksbState(lksb));
    if (!endsInUnlockAst(status)) connection.lockAst(lksb);
    else if (isCancel(status)) connection.unlockAst(unlockAstargs(lksb).cancel, 0);
    else connection.unlockAst(unlockAstargs(lksb).unlock, 0);
  },
  /** The kernel refused an unlock after `dlmUnlock` had returned. */
  unlock(connection, lksb, error) {
    connection.unlockAst(unlockAstargs(lksb).unlock, error);
  },
};

interface Private {
  readonly native: NativeConnection;
  readonly locks: NativeLocks;
  readonly thisNode: number;
  readonly closed: Promise<void>;
}

function privateOf(connection: ClusterConnection): Private {
  return connection.private as Private;
}

/** The operations on lockspaces opened with these options. */
export function createOperations(options: Omit<NativeUserOptions, 'name'>): StackOperations {
  return {
    async connect(connection) {
      checkLockspaceName(connection.name);
      const opened = await open(connection, options);
      connection.private = opened;
      const { native, locks, closed } = opened;
      try {
        connection.version = await negotiateVersion(
          connection.name,
          native,
          locks,
          connection.version,
        );
      } catch (error) {
        native.close();
        await closed;
        throw error;
      }
    },

    async disconnect(connection) {
      const { native, locks, closed } = privateOf(connection);
      native.close();
      await closed;
      locks.clear();
    },

    thisNode(connection) {
      return privateOf(connection).thisNode;
    },

    dlmLock(connection, mode, lksb, flags, name) {
      const { native, locks } = privateOf(connection);
      const fsdlmFlags = flagsToFsdlm(flags);
      if ((flags & DLM_LKF.CONVERT) === 0) return locks.lock(native, lksb, mode, fsdlmFlags, name);
      const { index } = lksbState(lksb);
      return index < 0 ? -errno.EINVAL : native.convert(index, mode, fsdlmFlags);
    },

    dlmUnlock(connection, lksb, flags, astarg) {
      const { index } = lksbState(lksb);
      if (index < 0) return -errno.ENOENT;
      const result = privateOf(connection).native.unlock(index, flagsToFsdlm(flags));
      if (result === 0) {
        unlockAstargs(lksb)[(flags & DLM_LKF.CANCEL) === 0 ? 'unlock' : 'cancel'] = astarg;
      }
      return result;
    },

    lockStatus(lksb) {
      return readStatus(lksbState(lksb));
    },

    lvbValid(lksb) {
      return (readFlags(lksbState(lksb)) & SBF_VALNOTVALID) === 0;
    },

    lockLvb(lksb) {
      return readLvb(lksbState(lksb), LVB_LEN);
    },

    dumpLksb(lksb: DlmLksb) {
      const state = lksbState(lksb);
      const id = readLockId(state).toString(16);
      return `lkid ${id} status ${readStatus(state)} flags 0x${readFlags(state).toString(16)}`;
    },

    setRef(connection, referenced) {
      const { native } = privateOf(connection);
      if (referenced) native.ref();
      else native.unref();
    },
  };
}

/**
 * What the unlock ASTs that may come will be given. An operation ends in one cancel's AST at most,
 * however often its cancel was asked for.
 */
interface UnlockAstargs {
  unlock?: unknown;
  cancel?: unknown;
}

function unlockAstargs(lksb: DlmLksb): UnlockAstargs {
  return (lksbState(lksb).unlockAstargs ??= {});
}

/** The name becomes a directory in configfs and a device node, which rules a few out. */
function checkLockspaceName(name: string): void {
  if (name !== '' && name !== '.' && name !== '..' && !/[/\0\s]/.test(name)) return;
  throw new DlmError(
    'ERR_DLM_GROUP_NAME',
    `A lockspace's name has at least one character, no "/" and no white space, and is not "." or "..": "${name}"`,
    { op: 'connect', resource: name, errno: errno.EINVAL },
  );
}

function open(
  connection: ClusterConnection,
  options: Omit<NativeUserOptions, 'name'>,
): Promise<Private> {
  return new Promise((resolve, reject) => {
    const locks = new NativeLocks(connection, wrappers);
    let closedNow!: () => void;
    const closed = new Promise<void>((settle) => {
      closedNow = settle;
    });
    let failure: DlmError | undefined;
    const native = new NativeUserConnection(
      { ...options, name: connection.name },
      locks.batch,
      locks.dispatch,
      (state, code, error, detail) => {
        if (state === 'open') {
          resolve({ native, locks, thisNode: code, closed });
        } else if (state === 'failed') {
          failure = openError(connection.name, code, error, detail);
        } else if (failure === undefined) {
          closedNow();
        } else {
          reject(failure);
        }
      },
    );
  });
}
