/** All cached locks of a lockspace: which there are, which are in use, and which go. */
import type { DlmError } from '../errors.js';
import type { StackClock } from '../glue.js';
import { DLM_LOCK } from '../constants.js';
import { REVOKED } from '../locks/channels.js';
import * as failures from '../locks/failures.js';
import type { HealthState } from '../locks/health.js';
import type { WaitOptions } from '../locks/limit.js';
import type { BlockedWatcher, Lock } from '../locks/lock.js';
import type { LockOptions } from '../locks/lock-options.js';
import { copyName, printName, type LockName } from '../locks/rules.js';
import { CachedLock, entryOfCached, userOf } from './cached-lock.js';
import { Entry, type User } from './entry.js';
import { lostWhileClosing, otherUse } from './failures.js';
import { LEVEL_MODES, levelOf, NONE, WRITE, type HoldKind, type Level } from './levels.js';
import {
  CONCURRENCY,
  LIMIT_DEFAULTS,
  type CachedOptions,
  type CacheLimits,
  type TrimOptions,
} from './options.js';
import type { Revocation, RevokeReason } from './revocation.js';
import { Uses } from './uses.js';

/** What could not be stored, and why; of several names: undefined. */
export interface Unstored {
  readonly name: LockName | undefined;
  readonly error: unknown;
}

type LevelMode = (typeof LEVEL_MODES)[number];

/** What cached locks need of their lockspace. */
export interface CacheFloor {
  /** The lockspace's name. */
  readonly group: string;
  readonly clock: StackClock;
  /** Whether a new `PR` is granted although an `EX` waits, and only a conversion to `EX` is not passed. */
  readonly readersPass: boolean;
  readonly health: HealthState;
  /** Asks for a lock. The watcher hears of what others want. */
  lock(
    name: LockName,
    mode: LevelMode,
    options: LockOptions,
    watcher: BlockedWatcher,
  ): Promise<Lock>;
  /** Who has it, for people. */
  holdersOf(name: LockName): string;
  /** Somebody's handler has failed. */
  onRevokeFailed(name: LockName, error: unknown): void;
}

/** How often what has not been used for long is looked for, within that time. */
const LOOKS = 4;
/** So many new names are let pass, where all are in use, before it is looked for idle ones again; or a sixteenth. */
const LOOK_AFTER = 64;
/** After how long a wait for this process itself is told, and how often it is looked for; milliseconds. */
const SELF_WAIT_MS = 10_000;

/** A moment, and how many uses there had been. */
interface Moment {
  readonly at: number;
  readonly uses: number;
}

/** Who caches without a wish. */
const NOBODY: User = Object.freeze({ onRevoke: undefined, minHoldMs: -1, hasValue: false });

export class CachedLocks {
  readonly clock: StackClock;
  readonly readersPass: boolean;
  readonly uses = new Uses<Entry>();
  /** Where somebody of this process waits. */
  readonly waiting = new Set<Entry>();
  /** What is on its way down. */
  readonly revoking = new Set<Entry>();
  /** Whether what is granted is ours for certain. */
  isSure: boolean;
  /** Why there is nothing any more. */
  end: DlmError | undefined;
  /** The lock manager has taken it; else, with an end, it is still here while handlers store. */
  isLost = false;
  readonly #floor: CacheFloor;
  readonly #maxIdle: number;
  readonly #idleMs: number;
  readonly #entries = new Map<string, Entry>();
  readonly #moments: Moment[] = [];
  readonly #warned = new WeakSet<Entry>();
  #look: unknown;
  /** How many are being given back because there are too many. */
  #going = 0;
  /** From how many on it is worth to look for more. */
  #trimAt = 0;

  constructor(floor: CacheFloor, limits: CacheLimits = {}) {
    this.#floor = floor;
    this.clock = floor.clock;
    this.readersPass = floor.readersPass;
    this.isSure = isSureIn(floor.health);
    this.#maxIdle = limits.maxIdle ?? LIMIT_DEFAULTS.maxIdle;
    this.#idleMs = limits.idleMs ?? LIMIT_DEFAULTS.idleMs;
  }

  /** Whether nothing is cached. */
  get isEmpty(): boolean {
    return this.#entries.size === 0;
  }

  /** The cached lock of a name. The arguments have been checked. */
  cached(name: LockName, { onRevoke, minHoldMs }: CachedOptions, hasValue = false): CachedLock {
    const isPlain = onRevoke === undefined && minHoldMs === undefined && !hasValue;
    const user = isPlain ? NOBODY : { onRevoke, minHoldMs: minHoldMs ?? -1, hasValue };
    return new CachedLock(new Entry(this, name, user), user);
  }

  /** What is cached for it; undefined: nothing. */
  find(cached: CachedLock): Entry | undefined {
    const entry = this.lookUp(cached);
    if (entry !== undefined && entry !== entryOfCached(cached)) use(entry, cached);
    return entry;
  }

  /** The same, without using it. */
  lookUp(cached: CachedLock): Entry | undefined {
    const current = entryOfCached(cached);
    return current.hasGone ? this.#entries.get(keyOf(current.name)) : current;
  }

  /** The same, or something new. Throws when there is nothing to be had any more. */
  enter(cached: CachedLock, kind: HoldKind): Entry {
    const current = entryOfCached(cached);
    const { name } = current;
    this.checkOpen(name, levelOf(kind));
    const found = this.find(cached);
    if (found !== undefined) return found;
    const entry = current.isSpent ? new Entry(this, name, userOf(cached)) : current;
    entry.slot = this.uses.add(entry);
    // Among those that have been used for long it is the newest.
    this.uses.use(entry.slot);
    this.#entries.set(keyOf(name), entry);
    if (this.#entries.size > this.#maxIdle) this.#trimToMax();
    this.#lookLater();
    return entry;
  }

  /** It has no lock any more, and nobody wants it. */
  remove(entry: Entry): void {
    if (entry.hasGone) return;
    this.uses.remove(entry.slot);
    entry.leave();
    this.#entries.delete(keyOf(entry.name));
  }

  /** Asks for a lock. */
  lock(entry: Entry, mode: LevelMode, limit: WaitOptions): Promise<Lock> {
    return this.#floor.lock(entry.name, mode, { ...limit, value: entry.hasValue }, entry);
  }

  /** A timer that keeps no process alive by itself: the open lockspace does, if it is to. */
  setTimeout(callback: () => void, ms: number): unknown {
    const timer = this.clock.setTimeout(callback, ms);
    (timer as { unref?: () => void }).unref?.();
    return timer;
  }

  /** The lockspace is in another state. */
  healthChanged(state: HealthState): void {
    const isSure = isSureIn(state);
    if (isSure === this.isSure) return;
    this.isSure = isSure;
    for (const entry of [...this.#entries.values()]) entry.sureChanged();
  }

  /**
   * The locks are gone, or are about to be (`closed`): tells all who wait and all who hold, at once. Resolves to what the
   * handlers threw when they have done what is to be done about it. A loss while it closes is told to those whose handlers
   * have not begun.
   */
  async finish(end: DlmError, reason: 'lost' | 'closed'): Promise<Unstored[]> {
    if (reason === 'lost') this.isLost = true;
    if (this.end !== undefined) return [];
    this.end = end;
    this.isSure = false;
    if (this.#look !== undefined) this.clock.clearTimeout(this.#look);
    // What is told below may have somebody ask for a hold.
    for (const entry of this.#entries.values()) entry.open = NONE;
    const works = [...this.#entries.values()].map(
      (entry) => [entry.name, entry.finish(end)] as const,
    );
    this.waiting.clear();
    this.revoking.clear();
    const unstored: Unstored[] = [];
    let lateLosses = 0;
    await pool(works, reason === 'lost' ? Infinity : CONCURRENCY, async ([name, work]) => {
      if (work === undefined) return;
      if (reason === 'closed' && this.isLost) lateLosses += 1;
      for (const { error } of await work()) unstored.push({ name: copyName(name), error });
    });
    this.#entries.clear();
    if (lateLosses > 0) {
      unstored.push({ name: undefined, error: lostWhileClosing(this.#floor.group) });
    }
    return unstored;
  }

  /** What is on its way down. */
  get revocations(): Revocation[] {
    return [...this.revoking].map((entry) => entry.revocation).filter((each) => each !== undefined);
  }

  /** Gives back what nobody uses, oldest first. Resolves to how many. */
  async trim({ keep = 0, concurrency = CONCURRENCY }: TrimOptions): Promise<number> {
    let going = 0;
    let gone = 0;
    const isEnough = (): boolean => this.end !== undefined || this.#entries.size - going <= keep;
    // What is used from now on stays.
    const until = this.uses.count;
    await pool(
      this.uses.oldest(isIdle, until),
      concurrency,
      async (entry) => {
        going += 1;
        await entry.giveBack();
        going -= 1;
        if (entry.hasGone) gone += 1;
      },
      isEnough,
    );
    return gone;
  }

  revokeFailed(name: LockName, error: unknown): void {
    this.#floor.onRevokeFailed(copyName(name), error);
  }

  /** For whoever follows what is given away. */
  tellRevoked(name: LockName, from: Level, to: Level, reason: RevokeReason, since: number): void {
    REVOKED.publish({
      lockspace: this.#floor.group,
      name: copyName(name),
      from: LEVEL_MODES[from],
      to: LEVEL_MODES[to],
      reason,
      durationMs: this.clock.now() - since,
    });
  }

  holdersOf(name: LockName): string {
    return this.#floor.holdersOf(name);
  }

  // ---- Failures ----

  /** Throws when there is nothing to be had any more. */
  checkOpen(name: LockName, level: Level): void {
    if (this.end !== undefined) throw this.ended(name, level, this.end);
  }

  ended(name: LockName, level: Level, end: DlmError): DlmError {
    return failures.ended(this.#about(name, level), end);
  }

  timedOut(name: LockName, level: Level, timeoutMs: number, holders: string): DlmError {
    return failures.timedOut(this.#about(name, level), timeoutMs, holders);
  }

  noToken(name: LockName): DlmError {
    return failures.noToken(this.#about(name, WRITE));
  }

  #about(name: LockName, level: Level): failures.About {
    return { op: 'hold', name, group: this.#floor.group, mode: DLM_LOCK[LEVEL_MODES[level]] };
  }

  // ---- What is looked after from time to time ----

  /** Does not wait for those whose handlers take long. */
  #trimToMax(): void {
    if (this.#entries.size < this.#trimAt) return;
    this.#trimAt = 0;
    const oldest = this.uses.oldest(isIdle, this.uses.count - 1);
    while (this.#entries.size - this.#going > this.#maxIdle) {
      const next = oldest.next();
      if (next.done === true) {
        // All are in use: to look again with each new one would take long.
        const { size } = this.#entries;
        this.#trimAt = size + Math.max(LOOK_AFTER, size >> 4);
        return;
      }
      this.#going += 1;
      void next.value.giveBack().then(() => (this.#going -= 1));
    }
  }

  #lookLater(): void {
    if (this.#look !== undefined || this.end !== undefined) return;
    const ms = Math.max(1, Math.min(this.#idleMs, SELF_WAIT_MS) / LOOKS);
    this.#look = this.setTimeout(() => {
      this.#look = undefined;
      this.#lookThrough();
      if (this.#entries.size > 0) this.#lookLater();
      else this.#moments.length = 0;
    }, ms);
  }

  #lookThrough(): void {
    const at = this.clock.now();
    const moments = this.#moments;
    moments.push({ at, uses: this.uses.count });
    const before = moments.findLastIndex((moment) => moment.at <= at - this.#idleMs);
    if (before >= 0) {
      moments.splice(0, before);
      const until = moments[0]?.uses ?? 0;
      void pool(
        this.uses.oldest(isIdle, until),
        CONCURRENCY,
        (entry) => entry.giveBack(),
        () => this.end !== undefined,
      );
    }
    this.#trimAt = 0;
    if (this.#entries.size > this.#maxIdle) this.#trimToMax();
    for (const entry of this.waiting) this.#lookAt(entry, at);
  }

  /** Says it when a process waits for itself. */
  #lookAt(entry: Entry, now: number): void {
    const since = entry.waitsForItselfSince;
    if (since === undefined || now - since < SELF_WAIT_MS || this.#warned.has(entry)) return;
    this.#warned.add(entry);
    process.emitWarning(
      `A hold of ${printName(entry.name)} in lockspace "${this.#floor.group}" has been waited for for ${Math.round((now - since) / 1000)} s${entry.holders()}`,
      { type: 'StackglueWarning', code: 'STACKGLUE_SELF_WAIT' },
    );
  }
}

function isIdle(entry: Entry): boolean {
  return entry.isIdle && !entry.hasGone;
}

function isSureIn(state: HealthState): boolean {
  return state === 'ok' || state === 'stopped';
}

/** Throws where the name is cached otherwise. */
function use(entry: Entry, cached: CachedLock): void {
  const user = userOf(cached);
  if (entry.hasValue !== user.hasValue) throw otherUse(cached.name, user.hasValue);
  entry.addUser(user);
}

/** What cannot be text: begins with half a surrogate pair. */
const BYTES = '\uDC00';

/** A name's own key: text and its bytes are the same name. */
function keyOf(name: LockName): string {
  if (typeof name === 'string') return name;
  const text = Buffer.from(name).toString();
  return Buffer.from(text).equals(name) ? text : BYTES + Buffer.from(name).toString('latin1');
}

/** Does the work for each, so many at a time, until it is enough. */
async function pool<Item>(
  items: Iterable<Item>,
  concurrency: number,
  work: (item: Item) => Promise<void>,
  isEnough: () => boolean = () => false,
): Promise<void> {
  const iterator = items[Symbol.iterator]();
  const one = async (): Promise<void> => {
    while (!isEnough()) {
      const next = iterator.next();
      if (next.done === true) return;
      await work(next.value);
    }
  };
  const workers: Promise<void>[] = [];
  // No more than there is to do.
  while (workers.length < concurrency && !isEnough()) {
    const next = iterator.next();
    if (next.done === true) break;
    workers.push(work(next.value).then(one));
  }
  await Promise.all(workers);
}
