/** A cached lock as the program has it: `lockspace.cached` makes it. */
import { inspect, type InspectOptions } from 'node:util';

import { throwIfAborted } from '../abort-signal.js';
import { checkFunction, checkObject, outOfRange } from '../errors.js';
import { copyName, type LockName } from '../locks/rules.js';
import { isPrimitive, rejected, type Settle } from '../locks/settle.js';
import type { Entry, User } from './entry.js';
import * as failures from './failures.js';
import { entryOf, Hold, kindOf as kindOfHold } from './hold.js';
import {
  LEVEL_MODES,
  levelOf,
  NONE,
  READ,
  READ_INSIDE_WRITE,
  SHARED_WRITE,
  WRITE,
  type CachedMode,
  type HoldKind,
} from './levels.js';
import {
  checkHoldOptions,
  checkMode,
  checkTryHoldOptions,
  type HoldOptions,
  type TryHoldOptions,
} from './options.js';

/** What is done while the hold lasts. */
export type HoldWork<Result> = (hold: Hold) => Result | PromiseLike<Result>;

const NO_OPTIONS: HoldOptions = Object.freeze({});

/** For people: what there is to see of a cached lock. */
function inspectCachedLock(this: CachedLock, _depth: number, options: InspectOptions): string {
  const { name, mode } = this;
  return `CachedLock ${inspect({ name, mode }, options)}`;
}

let userOfLock: (cached: CachedLock) => User;
let entryOfLock: (cached: CachedLock) => Entry;

/**
 * A name whose lock stays with this process while nobody else wants it: who takes it again asks nobody. Keep the
 * object: holds of the same one are the quickest. Made by `Lockspace.cached`.
 */
export class CachedLock {
  #entry: Entry;
  readonly #user: User;

  /** For `Lockspace.cached`. */
  constructor(entry: Entry, user: User) {
    this.#entry = entry;
    this.#user = user;
  }

  static {
    userOfLock = (cached) => cached.#user;
    entryOfLock = (cached) => cached.#entry;
    // Not declared: the types of the package do without Node.js's.
    Object.defineProperty(this.prototype, inspect.custom, { value: inspectCachedLock });
  }

  /** What it is on. Bytes as a copy. */
  get name(): LockName {
    return copyName(this.#entry.name);
  }

  /** What this process has of it now, in use or not: `NL` is nothing. */
  get mode(): 'NL' | CachedMode {
    return LEVEL_MODES[this.#entry.locks.lookUp(this)?.level ?? NONE];
  }

  /**
   * A hold, if it can be had without asking anybody: what is cached covers it, nobody waits, and holds of this process go
   * with it. Else null. Makes no call into native code, and throws only for arguments that are wrong.
   */
  tryHold(mode: CachedMode, options?: TryHoldOptions): Hold | null {
    const entry = this.#entry;
    if (options === undefined) {
      if (mode === 'EX') {
        if (entry.open === WRITE && entry.holds === 0) {
          entry.holds = -1;
          entry.locks.uses.use(entry.slot);
          return new Hold(entry, WRITE);
        }
      } else if (isRead(mode) && entry.open !== NONE && entry.holds >= 0) {
        entry.holds += 1;
        entry.locks.uses.use(entry.slot);
        return new Hold(entry, READ);
      }
    }
    return this.tryHoldElsewhere(mode, options);
  }

  /**
   * A hold, however long that takes. Rejects with the reason of `options.signal`, or with `ERR_DLM_TIMEOUT`, at once and
   * whatever the cluster does; with `ERR_DLM_NESTED` for `EX` inside `PR`; with `ERR_DLM_LOST` and `ERR_DLM_CLOSED`. Who
   * waits is served in the order in which they came. Where it may be there already,
   * `cached.tryHold(mode) ?? (await cached.hold(mode))` makes no promise.
   */
  hold(mode: CachedMode, options: HoldOptions = NO_OPTIONS): Promise<Hold> {
    try {
      // Read once, and not when they may say something else.
      const given = options === NO_OPTIONS ? options : snapshotOf(options);
      if (given !== NO_OPTIONS) checkHoldOptions(given);
      const kind = kindOf(mode, given);
      const isNested = this.isInside(kind, given.within);
      throwIfAborted(given.signal);
      const entry = (this.#entry = this.#entry.locks.enter(this, kind));
      const hold = entry.take(kind, isNested);
      if (hold !== null) return Promise.resolve(hold);
      let settle!: Settle<Hold>;
      const promise = new Promise<Hold>((resolve) => (settle = resolve));
      entry.wait(kind, isNested, given, settle);
      return promise;
    } catch (error) {
      return rejected(error);
    }
  }

  /**
   * Does `work` during a hold, and ends that whatever becomes of it. Resolves to what it returned; rejects with what it
   * threw, with what `hold` rejects with, or with `ERR_DLM_LOST` or `ERR_DLM_CLOSED` if the hold was lost meanwhile.
   */
  using<Result>(mode: CachedMode, work: HoldWork<Result>): Promise<Result>;
  using<Result>(mode: CachedMode, options: HoldOptions, work: HoldWork<Result>): Promise<Result>;
  async using<Result>(
    mode: CachedMode,
    ...rest: [HoldWork<Result>] | [HoldOptions, HoldWork<Result>]
  ): Promise<Result> {
    const [options, work] = rest.length === 1 ? [undefined, rest[0]] : rest;
    checkFunction('work', work);
    const hold =
      options === undefined
        ? (this.tryHold(mode) ?? (await this.hold(mode)))
        : await this.hold(mode, options);
    let result: Result;
    try {
      const returned = work(hold);
      result = isPrimitive(returned) ? returned : await returned;
      this.#entry.locks.checkOpen(this.name, levelOf(kindOf(mode, options)));
    } finally {
      hold.release();
    }
    return result;
  }

  /**
   * Gives it back, if no hold of this process has it and nobody waits: as by time (`idleMs`), after `onRevoke`. Resolves when
   * it has gone, or is in use.
   */
  async giveBack(): Promise<void> {
    await this.#entry.locks.lookUp(this)?.giveBack();
  }

  private tryHoldElsewhere(mode: CachedMode, options: TryHoldOptions | undefined): Hold | null {
    const given = options === undefined ? undefined : snapshotOf(options);
    if (given !== undefined) checkTryHoldOptions(given);
    const kind = kindOf(mode, given);
    const isNested = this.isInside(kind, given?.within);
    const entry = this.#entry.locks.find(this);
    if (entry === undefined) return null;
    this.#entry = entry;
    return entry.take(kind, isNested);
  }

  /** Whether `outer` covers it. Throws unless it is a hold of this name that is held, or none. */
  private isInside(kind: HoldKind, outer: Hold | undefined): boolean {
    if (outer === undefined) return false;
    const entry = entryOf(outer);
    if (entry === undefined || entry.locks.end !== undefined) {
      throw outOfRange('options.within', 'a hold that is held', outer);
    }
    if (entry !== this.#entry.locks.find(this)) {
      throw outOfRange('options.within', 'a hold of the same name', outer);
    }
    const isAbove = kind === WRITE || kind === SHARED_WRITE;
    if (isAbove && outer.mode === 'PR') throw failures.nested(this.name);
    return true;
  }
}

function snapshotOf<Options extends object>(options: Options): Options {
  checkObject('options', options);
  return { ...options };
}

/** What is neither is told later. */
function isRead(mode: string): boolean {
  return mode === 'PR';
}

function kindOf(mode: CachedMode, options: TryHoldOptions | undefined): HoldKind {
  if (checkMode(mode) === WRITE) return options?.shared === true ? SHARED_WRITE : WRITE;
  const outer = options?.within;
  return outer === undefined || kindOfHold(outer) === READ ? READ : READ_INSIDE_WRITE;
}

/** What it was made with. */
export const userOf = userOfLock;

/** What it holds of, or has held of last. */
export const entryOfCached = entryOfLock;
