/**
 * Protocol negotiation on stack `user`: `get_protocol_version` of fs/ocfs2/stack_user.c, byte for byte.
 *
 * Every connection of a lockspace holds PR on the lock "version_lock" for as long as it lives. Whoever
 * finds nobody there (EX, NOQUEUE) writes its version into the first two bytes of the value block and
 * goes to PR; whoever comes later waits for PR and reads.
 *
 * The kernel's way fails when those who were there leave between the two requests: the block goes with
 * the last lock, so what is read is 0.0, and the mount is refused. Here whoever reads that goes on:
 *
 * 1. A block that nobody has written, read with PR, tells that nobody has a version: who has one has PR
 *    since it was written, and nobody else can write while there is a PR. So the reader converts to EX.
 * 2. If others have read the same, only one can wait for that; the lock manager refuses the conversions
 *    of the rest (EDEADLK). They make way (NL), and come back to PR behind the one (QUECVT).
 * 3. They read again: the version, or, when the one has died before it wrote, nothing, and so on from 1.
 */
import { constants } from 'node:os';

import { DLM_LKF, DLM_LOCK, type LockMode } from '../../constants.js';
import { DlmError } from '../../errors.js';
import { DlmLksb, lksbState, lvbOf } from '../../stackglue/lksb.js';
import { formatVersion, sameVersion, type ProtocolVersion } from '../../stackglue/protocol.js';
import type { NativeLocks } from '../native-locks.js';
import { LVB_LEN } from './link.js';
import { isBlockValid } from './status.js';

const { errno } = constants;
const { EX, NL, PR } = DLM_LOCK;
const { CONVERT, NOQUEUE, QUECVT, VALBLK } = DLM_LKF;

/** `VERSION_LOCK` of fs/ocfs2/stack_user.c. */
const VERSION_LOCK = 'version_lock';

const VERSION_LOCK_BYTES = Buffer.from(VERSION_LOCK);

/**
 * Whether a lock of this name is the one that connections hold: nobody else could ever have it in
 * another mode than they, nor would anybody let go.
 */
export function isVersionLock(name: string | Uint8Array): boolean {
  return typeof name === 'string' ? name === VERSION_LOCK : areItsBytes(name);
}

function areItsBytes(name: Uint8Array): boolean {
  return name.length === VERSION_LOCK.length && VERSION_LOCK_BYTES.equals(name);
}

/** What a block says that nobody has written. */
const UNWRITTEN: ProtocolVersion = { major: 0, minor: 0 };

/**
 * Agrees with the lockspace's other members on a version and returns it: the one that they run at,
 * or, for the first one, `wanted`. Rejects with `ERR_DLM_PROTOCOL` (EINVAL) when its major is another
 * or its minor is above the wanted one, and when 0.0 is wanted, which reads as if nobody had written it.
 * The lock is given up with the connection. `ended` rejects when that has ended, which is when it is refused.
 */
export async function negotiateVersion(
  group: string,
  locks: NativeLocks,
  wanted: ProtocolVersion,
  ended: Promise<never>,
): Promise<ProtocolVersion> {
  if (sameVersion(wanted, UNWRITTEN)) {
    throw refused(group, `Locking protocol ${formatVersion(wanted)} cannot be agreed on`);
  }
  const state = lksbState(new DlmLksb());
  const block = lvbOf(state, LVB_LEN);

  /** Whether a request is granted; the only other end that is no failure is `refusal`, an errno. */
  const gets = async (mode: LockMode, flags: number, refusal?: number): Promise<boolean> => {
    const status = await new Promise<number>((resolve) => {
      state.onCompletion = () => {
        resolve(state.status);
      };
      const result =
        (flags & CONVERT) === 0
          ? locks.lock(state, mode, flags, VERSION_LOCK)
          : locks.convert(state, mode, flags, flags);
      if (result < 0) resolve(result);
    });
    if (status === 0) return true;
    if (refusal !== undefined && status === -refusal) return false;
    if (status === -errno.ENOTCONN) return ended;
    throw new DlmError(
      'ERR_DLM_CONNECT',
      `The locking protocol of lockspace "${group}" could not be determined`,
      { op: 'connect', resource: group, errno: -status },
    );
  };
  const read = (): ProtocolVersion => ({ major: block[0] ?? 0, minor: block[1] ?? 0 });
  const isUnwritten = (): boolean => sameVersion(read(), UNWRITTEN) || !isBlockValid(state.flags);
  /** Whether the version is for this connection to write, which then has EX; otherwise it has read it. */
  const isFirst = async (): Promise<boolean> => {
    if (await gets(EX, NOQUEUE | VALBLK, errno.EAGAIN)) return true;
    await gets(PR, VALBLK);
    while (isUnwritten()) {
      if (await gets(EX, CONVERT | VALBLK, errno.EDEADLK)) return true;
      await gets(NL, CONVERT);
      await gets(PR, CONVERT | QUECVT | VALBLK);
    }
    return false;
  };

  if (await isFirst()) {
    block.set([wanted.major, wanted.minor]);
    await gets(PR, CONVERT | VALBLK);
    return wanted;
  }
  const running = read();
  if (running.major === wanted.major && running.minor <= wanted.minor) return running;
  throw refused(
    group,
    `Lockspace "${group}" runs at locking protocol ${formatVersion(running)}, which ${formatVersion(wanted)} is not compatible with`,
  );
}

function refused(group: string, message: string): DlmError {
  return new DlmError('ERR_DLM_PROTOCOL', message, {
    op: 'connect',
    resource: group,
    errno: errno.EINVAL,
  });
}
