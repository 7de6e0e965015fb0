/**
 * `stackglue/web-locks`: the W3C's Web Locks, which browsers have as `navigator.locks`, across a cluster. README.md
 * beside this file has what is the same, and what a cluster adds.
 */
import { invalidType } from '../errors.js';
import type { Lockspace } from '../locks/index.js';
import { LockManager } from './manager.js';
import type { WebLockManager } from './types.js';

export type {
  WebLock,
  WebLockGrantedCallback,
  WebLockInfo,
  WebLockManager,
  WebLockManagerSnapshot,
  WebLockMode,
  WebLockOptions,
} from './types.js';

const managers = new WeakMap<Lockspace, LockManager>();

/**
 * The `LockManager` of a lockspace, for all who have it open: always the same one for the same lockspace. Its locks
 * and those of `ls.lock()` have nothing to do with each other, as long as no name there begins with `wl`, `wd`, `wt` or
 * `wq`.
 */
export function webLocks(ls: Lockspace): WebLockManager {
  if (!isLockspace(ls)) throw invalidType('ls', 'an instance of Lockspace', ls);
  const known = managers.get(ls);
  if (known !== undefined) return known;
  const manager = new LockManager(ls);
  managers.set(ls, manager);
  return manager;
}

function isLockspace(value: unknown): value is Lockspace {
  if (typeof value !== 'object' || value === null) return false;
  const { lock, tryLock, pin } = value as Partial<Lockspace>;
  return [lock, tryLock, pin].every((method) => typeof method === 'function');
}
