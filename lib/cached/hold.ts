/// <reference lib="esnext.disposable" preserve="true" />
/** A hold as the program has it. */
import type { Entry } from './entry.js';
import * as failures from './failures.js';
import { LEVEL_MODES, type CachedMode, type HoldKind } from './levels.js';

let isHoldItself: (value: unknown) => value is Hold;
let entryOfHold: (hold: Hold) => Entry | undefined;
let kindOfHold: (hold: Hold) => HoldKind;
let abortHold: (hold: Hold, reason: unknown) => void;

/**
 * One use of a cached lock. While it is not released nobody has the name in a mode that does not go with it, unless
 * it is lost. Made by `CachedLock.tryHold` and its like; nothing is left of it after `release()`.
 */
export class Hold {
  /** Undefined: it has been released. */
  #entry: Entry | undefined;
  readonly #kind: HoldKind;
  #lost: AbortController | undefined;

  /** For the cached lock. */
  constructor(entry: Entry, kind: HoldKind) {
    this.#entry = entry;
    this.#kind = kind;
  }

  static {
    isHoldItself = (value): value is Hold =>
      typeof value === 'object' && value !== null && #entry in value;
    entryOfHold = (hold) => hold.#entry;
    kindOfHold = (hold) => hold.#kind;
    abortHold = (hold, reason) => hold.#lost?.abort(reason);
    // As of a `Lock`: a promise is resolved with it.
    Object.defineProperty(this.prototype, 'then', { value: undefined });
  }

  /** What it was taken in. */
  get mode(): CachedMode {
    return LEVEL_MODES[this.#kind];
  }

  /** Whether it is held: neither released, nor known to be lost. */
  get held(): boolean {
    return this.#entry !== undefined && this.#entry.locks.end === undefined;
  }

  /**
   * Aborted when the lock is lost before the hold was released: then others may have it. The reason is a `DlmError`,
   * `ERR_DLM_LOST` or `ERR_DLM_CLOSED`. Made when it is first looked at; after `release()` it stays as it is.
   */
  get lost(): AbortSignal {
    if (this.#lost === undefined) {
      this.#lost = new AbortController();
      this.#entry?.watchLoss(this);
    }
    return this.#lost.signal;
  }

  /**
   * The fencing token of the lock's last grant of `EX`, in a lockspace that was opened with `tokens`: the same for all
   * holds until the lock has been given away. `ERR_DLM_NO_TOKEN` where there is none, `ERR_DLM_RELEASED` after `release()`.
   */
  get token(): bigint {
    const entry = this.#entry;
    if (entry === undefined) throw failures.releasedHold();
    return entry.token;
  }

  /** Ends the hold. Needs no wait: whoever else wants the lock has it when that is possible. Idempotent. */
  release(): void {
    const entry = this.#entry;
    if (entry === undefined) return;
    this.#entry = undefined;
    entry.released(this.#kind, this.#lost === undefined ? undefined : this);
  }

  /** `release()` for `using`. */
  [Symbol.dispose](): void {
    this.release();
  }
}

/** Whether it is one, and nothing that pretends to be. */
export const isHold = isHoldItself;

/** What it holds; undefined when it has been released. */
export const entryOf = entryOfHold;

/** What it was taken as. */
export const kindOf = kindOfHold;

/** It is lost. */
export const abortLost = abortHold;
