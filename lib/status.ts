/** The names of statuses: what a stack's numbers are called, and what they say. */
import { constants } from 'node:os';

import { DLM_ERRNO } from './constants.js';

/** `ERESTART` of the kernel, which user space does not know; o2dlm's MIGRATING is told as that. */
export const ERESTART = 85;

const { EOPNOTSUPP } = constants.errno;

/**
 * Of two names for one number the first: EAGAIN, and not EWOULDBLOCK. util.getSystemErrorName knows some of them
 * only, and EDEADLK is not among these.
 */
const NAMES: ReadonlyMap<number, string> = new Map([
  ...Object.entries({ ...constants.errno, ...DLM_ERRNO, ERESTART })
    .reverse()
    .map(([name, number]) => [number, name] as const),
  [EOPNOTSUPP, 'EOPNOTSUPP'],
]);

/** Sentences for what a lock commonly ends in, by the names of the statuses. */
const SENTENCES: Readonly<Record<string, string>> = {
  EAGAIN: 'somebody else has it in a mode that stands in the way, and it was not to wait',
  EBUSY: 'something else is under way on it',
  ECANCEL: 'it was cancelled',
  EDEADLK: 'waiting for it was a deadlock',
  EINPROG: 'it is under way',
  EINVAL: 'the lock manager takes no such request',
  ENOENT: 'there is no such lock',
  ENOMEM: 'there is no memory for it',
  ENOTCONN: 'the lockspace is lost, and all locks in it',
  ETIMEDOUT: 'it took too long',
  EUNLOCK: 'it was unlocked',
};

/**
 * The name of a status, as `dlmLockStatus`, `dlmLock`, `dlmUnlock` and the unlock AST give it: `EAGAIN`,
 * `ECANCEL`; `OK` for 0. The sign does not matter. What nobody has a name for is `status 12345`.
 */
export function statusName(status: number): string {
  const number = Math.abs(status);
  if (number === 0) return 'OK';
  return NAMES.get(number) ?? `status ${status}`;
}

/** What a status says, for people; its name where there is nothing to add. */
export function statusSentence(status: number): string {
  const name = statusName(status);
  const sentence = SENTENCES[name];
  return sentence === undefined ? name : `${sentence} (${name})`;
}
