/**
 * How those without tokens and those with them keep out of each other's lockspaces: who is a member has a lock that the
 * other kind finds in its way. Programs that do not use this package cannot be kept out.
 */
import { otherKind } from './failures.js';
import { NAMES, type OwnLimit, type OwnLocks } from './locks.js';

/** For a lockspace without tokens. Rejects with `ERR_DLM_TOKENS` if it is open with them. */
export async function joinPlain(locks: OwnLocks, group: string, limit: OwnLimit): Promise<void> {
  if (locks.hasConcurrentWrite) {
    // Whoever has tokens has PR there.
    const membership = await locks.tryLock(NAMES.members, 'CW', limit);
    if (membership === null) throw otherKind(group, true);
    return;
  }
  const door = await locks.lock(NAMES.door, 'EX', limit);
  const nobody = await locks.tryLock(NAMES.members, 'EX', limit);
  if (nobody === null) throw otherKind(group, true);
  await nobody.release();
  await locks.lock(NAMES.plain, 'PR', limit);
  await door.release();
}

/** For who has the door: rejects with `ERR_DLM_TOKENS` if the lockspace is open without tokens. */
export async function checkNonePlain(
  locks: OwnLocks,
  group: string,
  limit: OwnLimit,
): Promise<void> {
  if (locks.hasConcurrentWrite) return;
  const nobody = await locks.tryLock(NAMES.plain, 'EX', limit);
  if (nobody === null) throw otherKind(group, false);
  await nobody.release();
}
