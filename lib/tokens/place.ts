/**
 * A place among those who have a lockspace open, and how who opens it comes to know that there is somebody.
 *
 * Who opens asks for a lock that is in the way of all places, and has a room to itself. Whoever is in its way wants to
 * enter the room, which the opener hears. That a lock manager refuses what may not wait says nothing: it does so also
 * while it cannot reach the master.
 */
import { reasonOf, throwIfAborted, unwatch, watch } from '../abort-signal.js';
import type { OwnLimit, OwnLock, OwnLocks, OwnMode } from './locks.js';

/** One kind of places. */
export interface Kind {
  /** What the places are on, and in which mode they are held. */
  readonly name: string;
  readonly mode: OwnMode;
  /** Where those go who are asked. */
  readonly room: string;
  /** What they do before. */
  readonly answer: () => Promise<void>;
}

/** Answers who opens, from now on. */
export function listen(locks: OwnLocks, place: OwnLock, kind: Kind): void {
  place.onBlocked = () => {
    place.onBlocked = undefined;
    // It ends with the lockspace, or with the tokens; then there is nothing to answer.
    answer(locks, place, kind).catch(() => undefined);
  };
}

/** A lock is told once that it is in the way; so the next one to open finds another. Nobody asks while we are in the room. */
async function answer(locks: OwnLocks, place: OwnLock, kind: Kind): Promise<void> {
  await kind.answer();
  const room = await locks.lock(kind.room, 'PR');
  listen(locks, await locks.lock(kind.name, kind.mode), kind);
  await place.release();
  await room.release();
}

/** Why a wait has ended. */
const HEARD = Symbol('somebody wants to enter the room');

/** Resolves as `ask` does; to null if somebody wants to enter the room before, and then what was asked for is given back. */
export async function unlessHeard<Result>(
  room: OwnLock,
  { signal }: OwnLimit,
  ask: (limit: OwnLimit) => Promise<Result>,
): Promise<Result | null> {
  // Not AbortSignal.any(): Node.js keeps its signals as long as somebody listens, and a node that dies does so for ever.
  const until = new AbortController();
  const watcher = { aborted: () => until.abort(reasonOf(signal)) };
  throwIfAborted(signal);
  watch(signal, watcher);
  room.onBlocked = () => until.abort(HEARD);
  try {
    return await ask({ signal: until.signal });
  } catch (error) {
    if (error !== HEARD) throw error;
    return null;
  } finally {
    room.onBlocked = undefined;
    unwatch(signal, watcher);
  }
}
