/** An object that is cached as long as no node has changed it: `lockspace.cachedValue` makes it. */
import { throwIfAborted, unlessAborted } from '../abort-signal.js';
import { checkFunction, checkOptions } from '../errors.js';
import { checkWaitOptions, type WaitOptions } from '../locks/limit.js';
import type { LockName } from '../locks/rules.js';
import { entryOfCached, type CachedLock } from './cached-lock.js';
import type { Entry } from './entry.js';
import type { Hold } from './hold.js';
import { checkCachedOptions, type CachedOptions } from './options.js';
import { isSameVersion, nextVersion, VERSION_LENGTH } from './version.js';

/** Where the object lies. */
export interface CachedValueOptions<Value> extends Pick<CachedOptions, 'minHoldMs'> {
  /** Reads it. Nobody changes it meanwhile. It must not read the cached value, which waits for it. */
  readonly load: () => Value | PromiseLike<Value>;
  /**
   * Writes it. Nobody else reads or writes it meanwhile. `token` is for the store, which is to refuse a smaller one than it
   * has seen of this name: lib/tokens.
   */
  readonly store: (value: Value, token: bigint) => unknown;
}

/** Makes the new object from the present one, which it must not change. */
export type Change<Value> = (value: Value) => Value | PromiseLike<Value>;

const VALUE_OPTIONS: Readonly<Record<keyof CachedValueOptions<unknown>, true>> = {
  load: true,
  store: true,
  minHoldMs: true,
};
const NOTHING = Promise.resolve();
const NO_OPTIONS: WaitOptions = Object.freeze({});

/** Throws unless these are options of a cached value. */
export function checkCachedValueOptions<Value>(options: CachedValueOptions<Value>): void {
  checkOptions<CachedValueOptions<Value>>('options', options, VALUE_OPTIONS);
  checkFunction('options.load', options.load);
  checkFunction('options.store', options.store);
  checkCachedOptions({ minHoldMs: options.minHoldMs });
}

/** What was loaded or stored last. */
interface Known<Value> {
  readonly value: Value;
  /** The version that was in the block then. */
  readonly version: Uint8Array;
  /** Whether whoever finds the same version has the same object; else only until the lock goes. */
  readonly isVersionGood: boolean;
  /** How often members had come and gone: old blocks can come back then. */
  readonly changes: number;
  /** The lock has been here since. */
  isCovered: boolean;
}

/** One load, for all who wait for it. */
interface Loading<Value> {
  readonly version: Uint8Array;
  readonly result: Promise<Value>;
}

/**
 * A cached object. `read()` asks nobody as long as no node has changed it, and loads it again when one has: a read that
 * begins after an update has ended sees what that has stored. Made by `Lockspace.cachedValue`.
 */
export class CachedValue<Value> {
  readonly #cached: CachedLock;
  readonly #load: () => Value | PromiseLike<Value>;
  readonly #store: (value: Value, token: bigint) => unknown;
  readonly #changes: () => number;
  #known: Known<Value> | undefined;
  #loading: Loading<Value> | undefined;

  /**
   * For `Lockspace.cachedValue`.
   *
   * @param cache makes the cached lock, with its value block, that calls the handler.
   * @param changes how often members have come and gone.
   */
  constructor(
    { load, store }: CachedValueOptions<Value>,
    cache: (onRevoke: (to: 'PR' | 'NL') => void) => CachedLock,
    changes: () => number,
  ) {
    this.#load = load;
    this.#store = store;
    this.#changes = changes;
    this.#cached = cache((to) => {
      if (to === 'NL' && this.#known !== undefined) this.#known.isCovered = false;
    });
  }

  /** What it is on. */
  get name(): LockName {
    return this.#cached.name;
  }

  /** The object, if it is cached and nobody has to be asked; else undefined. */
  peek(): Value | undefined {
    const hold = this.#cached.tryHold('PR');
    if (hold === null) return undefined;
    const entry = entryOfCached(this.#cached);
    const value = this.#current(entry)?.value;
    hold.release();
    return value;
  }

  /**
   * The object. `timeoutMs` limits how long it waits for the lock, and `signal` the load, too. Rejects with what `load` throws, and then nothing is cached; with what `CachedLock.hold` rejects with. One
   * `load` at a time: who comes meanwhile has the same.
   */
  async read(options: WaitOptions = NO_OPTIONS): Promise<Value> {
    const hold =
      options === NO_OPTIONS
        ? (this.#cached.tryHold('PR') ?? (await this.#cached.hold('PR')))
        : await this.#hold('PR', options);
    try {
      return await this.#get(hold, options.signal);
    } finally {
      hold.release();
    }
  }

  /**
   * Changes it: holds `EX`, has `change` make a new object of the present one, and stores that. Resolves to it when all
   * who read from now on see it. What `change` throws changes nothing. When `store` throws nobody knows what is stored: all
   * load again. Rejects with `ERR_DLM_LOST` if the lock was lost before it was done.
   */
  async update(change: Change<Value>, options: WaitOptions = NO_OPTIONS): Promise<Value> {
    checkFunction('change', change);
    const hold = await this.#hold('EX', options);
    try {
      const before = await this.#get(hold, options.signal);
      // Should it change the object that it was given, nobody is to see that.
      const known = this.#known;
      this.#known = undefined;
      const value = await change(before);
      throwIfLost(hold);
      this.#known = known;
      await this.#write(hold, value);
      throwIfLost(hold);
      return value;
    } finally {
      hold.release();
    }
  }

  async #hold(mode: 'PR' | 'EX', options: WaitOptions): Promise<Hold> {
    checkWaitOptions(options);
    return this.#cached.hold(mode, options);
  }

  async #get(hold: Hold, signal: AbortSignal | undefined): Promise<Value> {
    const entry = entryOfCached(this.#cached);
    const known = this.#current(entry);
    if (known !== undefined) return known.value;
    throwIfAborted(signal);
    const version = versionIn(entry);
    if (this.#loading === undefined || !isSameVersion(this.#loading.version, version)) {
      const loading: Loading<Value> = { version, result: this.#loadWithin(hold, entry, version) };
      this.#loading = loading;
      const ended = (): void => {
        if (this.#loading === loading) this.#loading = undefined;
      };
      loading.result.then(ended, ended);
    }
    return unlessAborted(signal, this.#loading.result, () => undefined);
  }

  /** Loads, with a hold of its own: who began it may give up. */
  async #loadWithin(outer: Hold, entry: Entry, version: Uint8Array): Promise<Value> {
    // So that whoever comes meanwhile finds that it is under way.
    await NOTHING;
    const inside = { within: outer };
    const hold = this.#cached.tryHold('PR', inside) ?? (await this.#cached.hold('PR', inside));
    try {
      const changes = this.#changes();
      const isVersionGood = entry.lock?.valueState === 'fresh';
      const value = await this.#load();
      throwIfLost(hold);
      this.#known = { value, version, isVersionGood, changes, isCovered: true };
      return value;
    } finally {
      hold.release();
    }
  }

  async #write(hold: Hold, value: Value): Promise<void> {
    const { token } = hold;
    const entry = entryOfCached(this.#cached);
    const { lock } = entry;
    if (lock === undefined) return;
    // Whatever becomes of it, who has an older one has to load.
    this.#known = undefined;
    const version = nextVersion(versionIn(entry), token);
    lock.value = version;
    const changes = this.#changes();
    await this.#store(value, token);
    if (!hold.held) return;
    this.#known = { value, version, isVersionGood: true, changes, isCovered: true };
  }

  /** What is known, if that is what is stored. Somebody holds `PR` at least. */
  #current({ lock }: Entry): Known<Value> | undefined {
    const known = this.#known;
    if (known === undefined || lock === undefined) return undefined;
    if (!isSameVersion(known.version, lock.value)) return undefined;
    if (known.isCovered) return known;
    const isGood = known.isVersionGood && lock.valueState === 'fresh';
    if (!isGood || known.changes !== this.#changes()) return undefined;
    known.isCovered = true;
    return known;
  }
}

function versionIn({ lock }: Entry): Uint8Array {
  return Uint8Array.from(
    (lock?.value ?? new Uint8Array(VERSION_LENGTH)).subarray(0, VERSION_LENGTH),
  );
}

function throwIfLost(hold: Hold): void {
  if (!hold.held) throwIfAborted(hold.lost);
}
