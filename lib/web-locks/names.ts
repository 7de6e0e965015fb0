/**
 * Names of Web Locks, which are any text at all, as names of the lock manager, which has room for few bytes. Different
 * names stay different: what fits is taken as it is, all else by its SHA-256, under another prefix.
 */
import { createHash } from 'node:crypto';

/** What a lock of ours is for. */
export type Purpose =
  /** The Web Lock itself. */
  | 'lock'
  /** Taken in `PR` by who has the lock and is in the way, asked for in `EX` by who steals it: steal.ts. */
  | 'demand'
  /** `EX` while somebody steals. */
  | 'turn';

const LETTERS: Readonly<Record<Purpose, string>> = { lock: 'l', demand: 'd', turn: 't' };

/**
 * How long a name can be, in bytes: on `o2cb`, and so everywhere, because a name is to be the same lock on
 * whatever stack.
 */
const NAME_MAX = 32;
const PREFIX_LENGTH = 3;
/** UTF-8 makes at most so many bytes of a UTF-16 unit. */
const BYTES_PER_UNIT = 3;
const ROOM = NAME_MAX - PREFIX_LENGTH;

/** UTF-8 has no bytes of its own for half a pair. */
const LONE_SURROGATE = /\p{Surrogate}/u;

/** By which name the lock manager knows it. */
export function lockName(name: string, purpose: Purpose = 'lock'): string {
  const letter = LETTERS[purpose];
  return fits(name) ? `w${letter}:${name}` : `w${letter}#${digest(name)}`;
}

/** Names of ours that no Web Lock has: of the roll call. */
export function ownName(...parts: readonly (string | number)[]): string {
  return `wq:${parts.join('/')}`;
}

function fits(name: string): boolean {
  if (name.length > ROOM) return false;
  if (name.length * BYTES_PER_UNIT > ROOM && Buffer.byteLength(name) > ROOM) return false;
  // The lock manager takes a name with a zero at its end for another one.
  return !name.endsWith('\0') && !LONE_SURROGATE.test(name);
}

/** Of the UTF-16 units, which each name has its own of; 174 bits of it, as there is room. */
function digest(name: string): string {
  const units = Buffer.from(name, 'utf16le');
  return createHash('sha256').update(units).digest('base64url').slice(0, ROOM);
}
