/**
 * How those without tokens and those with them keep out of each other's lockspaces: the places of the one kind are in
 * the way of the other. Programs that do not use this package cannot be kept out.
 */
import { otherKind } from './failures.js';
import { NAMES, type OwnLimit, type OwnLock, type OwnLocks } from './locks.js';
import { listen, unlessHeard, type Kind } from './place.js';

/** CW and PR go with themselves, and not with each other. Without CW each kind has a name of its own. */
function plainKind({ hasConcurrentWrite }: OwnLocks): Kind {
  const answer = (): Promise<void> => Promise.resolve();
  return hasConcurrentWrite
    ? { name: NAMES.members, mode: 'CW', room: NAMES.porch, answer }
    : { name: NAMES.plain, mode: 'PR', room: NAMES.porch, answer };
}

/** For a lockspace without tokens. Rejects with `ERR_DLM_TOKENS` if it is open with them. */
export async function joinPlain(locks: OwnLocks, group: string, limit: OwnLimit): Promise<void> {
  const kind = plainKind(locks);
  const isOneName = kind.name === NAMES.members;
  const first = isOneName ? await locks.tryLock(kind.name, kind.mode, limit) : null;
  if (first !== null) {
    listen(locks, first, kind);
    return;
  }
  const door = await locks.lock(NAMES.door, 'EX', limit);
  const hall = await locks.lock(NAMES.hall, 'EX', limit);
  const free = await unlessHeard(hall, limit, (until) =>
    locks.lock(NAMES.members, isOneName ? kind.mode : 'EX', until),
  );
  if (free === null) throw otherKind(group, true);
  if (!isOneName) await free.release();
  listen(locks, isOneName ? free : await locks.lock(kind.name, kind.mode, limit), kind);
  await hall.release();
  await door.release();
}

/**
 * A place among those with tokens, for who has the door. Rejects with `ERR_DLM_TOKENS` if the lockspace is open
 * without them.
 */
export async function placeWithTokens(
  locks: OwnLocks,
  group: string,
  limit: OwnLimit,
): Promise<OwnLock> {
  const { name } = plainKind(locks);
  const isOneName = name === NAMES.members;
  const porch = await locks.lock(NAMES.porch, 'EX', limit);
  const free = await unlessHeard(porch, limit, (until) =>
    locks.lock(name, isOneName ? 'PR' : 'EX', until),
  );
  if (free === null) throw otherKind(group, false);
  if (!isOneName) await free.release();
  const place = isOneName ? free : await locks.lock(NAMES.members, 'PR', limit);
  await porch.release();
  return place;
}
