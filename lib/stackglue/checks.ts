/**
 * Checks of what the lock calls are given. Each throws, naming the argument, and changes nothing. What is thrown
 * is made elsewhere: V8 has room for little on the way of every lock.
 */
import { constants } from 'node:os';
import { types } from 'node:util';

import { DLM_LKF_ALL, DLM_LOCK } from '../constants.js';
import { checkInteger, checkObject, DlmError, invalidType, outOfRange } from '../errors.js';
import type { StackConnection } from './connection.js';
import type { LksbState } from './lksb.js';
import type { PlockRequest } from './plugin.js';

const { errno } = constants;
const { isUint8Array } = types;

/** The largest offset of a file, and inode number, that the kernel has. */
const U64_MAX = 2n ** 64n - 1n;

/** An inode number and a request for a POSIX lock. */
export function checkPlock(inode: bigint, request: PlockRequest): void {
  checkBigInt('inode', inode, U64_MAX);
  checkObject('request', request);
  if (!['shared', 'exclusive', 'unlock'].includes(request.type)) {
    throw outOfRange('request.type', 'shared, exclusive or unlock', request.type);
  }
  checkBigInt('request.start', request.start, U64_MAX);
  checkBigInt('request.end', request.end, U64_MAX);
  if (typeof request.wait !== 'boolean') {
    throw invalidType('request.wait', 'of type boolean', request.wait);
  }
}

function checkBigInt(argument: string, value: unknown, max: bigint): void {
  if (typeof value !== 'bigint') throw invalidType(argument, 'of type bigint', value);
  if (value < 0n || value > max) throw outOfRange(argument, `from 0 to ${max}`, value);
}

/** That the lock status block, which is not this connection's, is no other's. */
export function checkUnowned(
  { connection: its }: LksbState,
  given: StackConnection,
  op: string,
): void {
  if (its === undefined) return;
  throw new DlmError(
    'ERR_DLM_WRONG_CONNECTION',
    `The lock status block belongs to another connection, to "${its.name}"`,
    { op, resource: given.name, errno: errno.EINVAL },
  );
}

/** Throws why a lock status block that is not this connection's cannot be unlocked. */
export function refuseUnlock(state: LksbState, given: StackConnection): never {
  checkUnowned(state, given, 'unlock');
  throw unused('unlock');
}

/** Of one that has never been locked: `BUG_ON(lksb->lksb_conn == NULL)`. */
export function unused(op: string): DlmError {
  return new DlmError('ERR_DLM_LKSB_UNUSED', 'The lock status block has never been locked', {
    op,
    errno: errno.EINVAL,
  });
}

/**
 * What a new lock needs: a name, and a lock status block that has no lock. Returns whether the name has bytes of
 * its own: UTF-8 has none for half a surrogate pair, and all of these would be one lock.
 */
export function checkNewLock(state: LksbState, name: string | Uint8Array): boolean {
  if (typeof name !== 'string') checkBytes(name);
  if (state.index >= 0) throw inUse();
  return typeof name !== 'string' || name.isWellFormed();
}

/** Of another realm, too, which has a Uint8Array of its own. */
function checkBytes(name: unknown): void {
  if (isUint8Array(name)) return;
  throw invalidType('name', 'of type string or an instance of Uint8Array', name);
}

function inUse(): DlmError {
  return new DlmError(
    'ERR_DLM_LKSB_BUSY',
    'This lock status block has a lock: convert or unlock it, or use another one',
    { op: 'lock', errno: errno.EBUSY },
  );
}

/** A mode of `DLM_LOCK`. */
export function checkMode(mode: number): void {
  if (typeof mode !== 'number' || MODES[mode] === undefined) refuseMode(mode);
}

function refuseMode(mode: unknown): void {
  checkInteger('mode', mode, NL, EX);
}

// Of this module, for what is asked about every lock: see NativeLocks.
const ALL_FLAGS = DLM_LKF_ALL;
const { NL, EX } = DLM_LOCK;
/** Each at its number. */
const MODES: readonly number[] = Object.values(DLM_LOCK).sort((a, b) => a - b);

/** Request flags: bits of `DLM_LKF`. */
export function checkFlags(flags: number): void {
  // All that is asked on the way of a lock.
  if (typeof flags === 'number' && (flags & ALL_FLAGS) === flags) return;
  refuseFlags(flags);
}

function refuseFlags(flags: number): void {
  checkInteger('flags', flags, 0, 0xffffffff);
  if ((flags & ~ALL_FLAGS) !== 0) {
    throw outOfRange('flags', 'made of DLM_LKF flags', `0x${flags.toString(16)}`);
  }
}
