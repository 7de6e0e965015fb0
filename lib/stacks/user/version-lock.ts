/**
 * Protocol negotiation on stack `user`: `get_protocol_version` of fs/ocfs2/stack_user.c, byte for byte.
 *
 * Every connection of a lockspace holds PR on the lock "version_lock" for as long as it lives. Whoever
 * finds nobody there (EX, NOQUEUE) writes its version into the first two bytes of the value block and
 * goes to PR; whoever comes later waits for PR and reads.
 */
import { constants } from 'node:os';

import { DLM_LKF, DLM_LOCK, type LockMode } from '../../constants.js';
import { DlmError } from '../../errors.js';
import type { NativeConnection } from '../../native.js';
import { DlmLksb, lksbState, readLvb, readStatus } from '../../stackglue/lksb.js';
import { formatVersion, type ProtocolVersion } from '../../stackglue/protocol.js';
import type { NativeLocks } from '../native-locks.js';

const { errno } = constants;
const { EX, PR } = DLM_LOCK;
const { CONVERT, NOQUEUE, VALBLK } = DLM_LKF;

/** `VERSION_LOCK` of fs/ocfs2/stack_user.c. */
const VERSION_LOCK = 'version_lock';

/**
 * Agrees with the lockspace's other members on a version and returns it: the one that they run at,
 * or, for the first one, `wanted`. Rejects with `ERR_DLM_PROTOCOL` (EINVAL) when its major is another
 * or its minor is above the wanted one. The lock is given up with the connection.
 */
export async function negotiateVersion(
  group: string,
  native: NativeConnection,
  locks: NativeLocks,
  wanted: ProtocolVersion,
): Promise<ProtocolVersion> {
  const lksb = new DlmLksb();
  const state = lksbState(lksb);
  const block = readLvb(state, 2);

  /** One request to its end: the status. */
  const request = (mode: LockMode, flags: number): Promise<number> =>
    new Promise((resolve, reject) => {
      state.onCompletion = () => {
        resolve(readStatus(state));
      };
      const result =
        (flags & CONVERT) === 0
          ? locks.lock(native, lksb, mode, flags, VERSION_LOCK)
          : locks.convert(native, state, mode, flags);
      if (result < 0) reject(failed(group, result));
    });
  const succeed = async (mode: LockMode, flags: number): Promise<void> => {
    const status = await request(mode, flags);
    if (status !== 0) throw failed(group, status);
  };

  const status = await request(EX, NOQUEUE | VALBLK);
  if (status === 0) {
    block.set([wanted.major, wanted.minor]);
    await succeed(PR, CONVERT | VALBLK);
    return wanted;
  }
  if (status !== -errno.EAGAIN) throw failed(group, status);
  await succeed(PR, VALBLK);
  const [major = 0, minor = 0] = block;
  const running = { major, minor };
  if (major === wanted.major && minor <= wanted.minor) return running;
  throw new DlmError(
    'ERR_DLM_PROTOCOL',
    `Lockspace "${group}" runs at locking protocol ${formatVersion(running)}, which ${formatVersion(wanted)} is not compatible with`,
    { op: 'connect', resource: group, errno: errno.EINVAL },
  );
}

function failed(group: string, status: number): DlmError {
  return new DlmError(
    'ERR_DLM_CONNECT',
    `The locking protocol of lockspace "${group}" could not be determined`,
    { op: 'connect', resource: group, errno: -status },
  );
}
