/// <reference lib="esnext.disposable" preserve="true" />
/** Several locks as one: all or none. */
import { outOfRange } from '../errors.js';
import type { StackClock } from '../glue.js';
import type { Lock } from './lock.js';
import type { WaitOptions } from './limit.js';
import { printName, type LockName } from './rules.js';

/** Locks that were taken together, and are given up together. */
export class LockSet {
  /** In the order of the names that were given. */
  readonly locks: readonly Lock[];

  /** For `Lockspace.lockAll`. */
  constructor(locks: readonly Lock[]) {
    this.locks = locks;
  }

  /**
   * Gives all up. Resolves when all are gone; rejects with the first one's failure if some were lost, when
   * the others are gone.
   */
  async release(): Promise<void> {
    const results = await Promise.allSettled(this.locks.map((lock) => lock.release()));
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  /** `release()` for `await using`; never rejects. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled(this.locks.map((lock) => lock.release()));
  }
}

/** One name of several, and which. */
interface Place {
  readonly name: LockName;
  readonly bytes: Uint8Array;
  readonly index: number;
}

/**
 * In which order the names are locked: by their bytes, as everybody has to, so that no two wait for each
 * other. Throws for a name that is there twice.
 */
export function lockOrder(names: readonly LockName[]): Place[] {
  const places = names
    .map((name, index) => ({ name, bytes: Buffer.from(name as string), index }))
    .sort((a, b) => Buffer.compare(a.bytes, b.bytes));
  for (const [index, { name, bytes }] of places.entries()) {
    const next = places[index + 1];
    if (next !== undefined && Buffer.compare(bytes, next.bytes) === 0) {
      throw outOfRange('names', `without duplicates, but has ${printName(name)} twice`, names);
    }
  }
  return places;
}

/** What is left of the time for several waits, each time that it is asked. */
export function sharedLimit(clock: StackClock, options: WaitOptions): () => WaitOptions {
  const { signal, timeoutMs } = options;
  if (timeoutMs === undefined) return () => options;
  const end = clock.now() + timeoutMs;
  return () => ({ signal, timeoutMs: Math.max(0, end - clock.now()) });
}
