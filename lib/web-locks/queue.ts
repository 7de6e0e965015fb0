/**
 * The requests and locks of one name in this process, in the order of the specification; across processes the lock
 * manager decides.
 *
 * Invariants:
 * 1. What arrives is taken in order, and what takes the lock manager to decide is decided before the next: whether a request
 *    that does not wait is granted, and what is there to be stolen.
 * 2. Asked of the lock manager is for the first of those who wait, and if that one wants it shared, for all behind it up to
 *    the first that does not: so nobody overtakes another one here, whatever the stack lets pass.
 * 3. What is granted goes to the first who waits, so it does not matter which of several equal asks was granted.
 * 4. While somebody steals, nobody else is granted anything.
 * 5. Each request is settled once: who is taken out of a collection settles it.
 */
import type { Lock, Lockspace } from '../locks/index.js';
import { lost, stolen } from './failures.js';
import { lockName } from './names.js';
import type { WebRequest } from './request.js';
import { DemandWatch, giveUp, isServed, takeAway } from './steal.js';
import type { WebLock, WebLockMode } from './types.js';

/** What is asked of the lock manager, and has not been answered. */
interface Ask {
  /** Of one that can be given up. */
  readonly ending: AbortController | undefined;
}

/** A lock that is held. */
interface Hold {
  readonly request: WebRequest;
  readonly lock: Lock;
}

/** What is done in turn. */
type Arrival =
  | { readonly kind: RequestKind; readonly request: WebRequest }
  | { readonly kind: 'release'; readonly hold: Hold; readonly settle: () => void };

/** How a request is asked for. */
export type RequestKind = 'wait' | 'try' | 'steal';

/** A name and a mode, as `query()` shows it. */
export type Seen = Pick<WebRequest, 'name' | 'mode'>;

const MODES = { exclusive: 'EX', shared: 'PR' } as const satisfies Record<WebLockMode, string>;

/** The lock as the callback has it. */
class GrantedLock implements WebLock {
  readonly #name: string;
  readonly #mode: WebLockMode;

  constructor({ name, mode }: WebRequest) {
    this.#name = name;
    this.#mode = mode;
  }

  get name(): string {
    return this.#name;
  }

  get mode(): WebLockMode {
    return this.#mode;
  }
}
// The platform's shows what it has, and is named as what it is.
Object.defineProperties(GrantedLock.prototype, {
  name: { enumerable: true },
  mode: { enumerable: true },
  [Symbol.toStringTag]: { value: 'Lock', configurable: true },
});
Object.defineProperty(GrantedLock, 'name', { value: 'Lock' });

export class NameQueue {
  readonly #ls: Lockspace;
  readonly #name: string;
  readonly #lockName: string;
  readonly #onIdle: () => void;
  readonly #arrivals: Arrival[] = [];
  /** Until what was taken last has been decided. */
  #deciding: Promise<void> | undefined;
  readonly #waiting: WebRequest[] = [];
  /** Those who steal and have not got it yet, the last one first. */
  readonly #thieves: WebRequest[] = [];
  readonly #held = new Set<Hold>();
  /** What was stolen by one of this process, who is not next in the cluster yet. */
  readonly #stolen = new Set<Lock>();
  /** As many as there are at the head of those who wait. */
  readonly #asks: Ask[] = [];
  #watch: DemandWatch | undefined;

  constructor(ls: Lockspace, name: string, onIdle: () => void) {
    this.#ls = ls;
    this.#name = name;
    this.#lockName = lockName(name);
    this.#onIdle = onIdle;
  }

  get held(): Seen[] {
    return Array.from(this.#held, ({ request }) => request);
  }

  get pending(): Seen[] {
    return [...this.#thieves, ...this.#waiting];
  }

  /** Resolves when what could be granted when it was called has been. */
  async isServed(): Promise<void> {
    while (this.#deciding !== undefined) await this.#deciding;
    if (this.#asks.length > 0) await isServed(this.#ls, this.#name);
  }

  /** A request arrives. */
  add(request: WebRequest, kind: RequestKind): void {
    if (kind === 'wait') request.waits(() => this.#aborted(request));
    this.#arrive({ kind, request });
  }

  /** The locks are lost. */
  end(cause: unknown): void {
    const arrived = this.#arrivals.map((each) => (each.kind === 'release' ? each.hold : each));
    const all = [...this.#held, ...arrived].map(({ request }) => request);
    all.push(...this.#thieves, ...this.#waiting);
    this.#held.clear();
    this.#stolen.clear();
    for (const list of [this.#arrivals, this.#asks, this.#thieves, this.#waiting]) list.length = 0;
    this.#watch?.end();
    for (const request of all) request.reject(lost(this.#name, cause));
  }

  #arrive(arrival: Arrival): void {
    this.#arrivals.push(arrival);
    this.#admit();
  }

  #admit(): void {
    while (this.#deciding === undefined) {
      const next = this.#arrivals.shift();
      if (next === undefined) break;
      if (next.kind === 'release') void this.#release(next.hold, next.settle);
      else if (next.kind === 'wait') this.#waiting.push(next.request);
      else if (next.kind === 'try') this.#try(next.request);
      else this.#steal(next.request);
      this.#process();
    }
    const counts = [this.#arrivals.length, this.#waiting.length, this.#thieves.length];
    counts.push(this.#held.size, this.#stolen.size);
    if (this.#deciding === undefined && counts.every((count) => count === 0)) this.#onIdle();
  }

  /** What arrives meanwhile waits for this. */
  #decide(decision: Promise<void>): void {
    this.#deciding = decision.finally(() => {
      this.#deciding = undefined;
      this.#admit();
    });
  }

  /** Asks for what is at the head of those who wait. */
  #process(): void {
    while (this.#deciding === undefined && this.#thieves.length === 0) {
      const next = this.#waiting[this.#asks.length];
      if (next === undefined) return;
      const areShared = next.mode === 'shared' && this.#waiting[0]?.mode === 'shared';
      if (this.#asks.length > 0 && !areShared) return;
      this.#ask(next);
    }
  }

  #ask({ mode, signal }: WebRequest): void {
    const ending = signal === undefined ? undefined : new AbortController();
    const ask: Ask = { ending };
    this.#asks.push(ask);
    const options = ending === undefined ? undefined : { signal: ending.signal };
    this.#ls.lock(this.#lockName, MODES[mode], options).then(
      (lock) => this.#granted(ask, lock),
      (error: unknown) => this.#refused(ask, error),
    );
  }

  #granted(ask: Ask, lock: Lock): void {
    const isWanted = leaves(this.#asks, ask);
    // Who steals comes first; what is given back here is asked for again after that.
    const isFirst = this.#thieves.length === 0 || this.#deciding !== undefined;
    const request = isWanted && isFirst ? this.#waiting.shift() : undefined;
    if (request === undefined) giveUp(lock);
    else this.#grant(request, lock);
  }

  #refused(ask: Ask, error: unknown): void {
    if (!leaves(this.#asks, ask)) return;
    this.#waiting.shift()?.reject(lost(this.#name, error));
    this.#process();
    this.#admit();
  }

  #aborted(request: WebRequest): void {
    const at = this.#waiting.indexOf(request);
    if (at < 0) {
      const arrival = this.#arrivals.findIndex(
        (each) => 'request' in each && each.request === request,
      );
      if (arrival >= 0) this.#arrivals.splice(arrival, 1);
      return;
    }
    this.#waiting.splice(at, 1);
    // One ask too many: rather one that can be taken back than one that will be given back.
    if (at < this.#asks.length) {
      const ask = this.#asks.findLast(({ ending }) => ending !== undefined) ?? this.#asks.at(-1);
      if (ask !== undefined && leaves(this.#asks, ask)) ask.ending?.abort();
    }
    this.#process();
    this.#admit();
  }

  #grant(request: WebRequest, lock: Lock): void {
    request.waitsNoMore();
    const hold: Hold = { request, lock };
    this.#held.add(hold);
    lock.onBlocked = () => this.#inTheWay();
    this.#process();
    void request
      .call(new GrantedLock(request))
      .then((settle) => this.#arrive({ kind: 'release', hold, settle }));
  }

  async #release(hold: Hold, settle: () => void): Promise<void> {
    // Else it was stolen, or is lost, and that was told.
    if (!this.#held.delete(hold)) return;
    const released = hold.lock.release();
    this.#watchNoMore();
    try {
      await released;
    } catch (error) {
      hold.request.reject(lost(this.#name, error));
      return;
    }
    settle();
  }

  /** A request that does not wait. */
  #try(request: WebRequest): void {
    if (this.#mayBeGranted(request)) this.#decide(this.#tryNow(request));
    else void this.#missed(request);
  }

  async #tryNow(request: WebRequest): Promise<void> {
    try {
      const lock = await this.#ls.tryLock(this.#lockName, MODES[request.mode]);
      if (lock === null) void this.#missed(request);
      else this.#grant(request, lock);
    } catch (error) {
      request.reject(lost(this.#name, error));
    }
  }

  /** Whether it would be the first, and could be granted, for all that is known here. */
  #mayBeGranted({ mode }: WebRequest): boolean {
    const [first] = this.#waiting;
    if (this.#thieves.length > 0) return false;
    if (first === undefined) return true;
    // They may all have been granted by now.
    const areShared = first.mode === 'shared' && this.#waiting.length === this.#asks.length;
    return areShared && mode === 'shared';
  }

  async #missed(request: WebRequest): Promise<void> {
    // Never in the call of `request()`.
    await Promise.resolve();
    const settle = await request.call(null);
    settle();
  }

  /** A request that takes the lock away from those who have it. */
  #steal(thief: WebRequest): void {
    const isFirst = this.#thieves.length === 0;
    this.#thieves.unshift(thief);
    this.#rob();
    // What was asked for before and can be granted is to be granted, and then stolen.
    const ready =
      isFirst && this.#asks.length > 0
        ? isServed(this.#ls, this.#name).then(() => this.#rob())
        : undefined;
    if (ready !== undefined) this.#decide(ready.catch(() => undefined));
    this.#takeAway(ready).then(
      (lock) => {
        if (leaves(this.#thieves, thief)) this.#grant(thief, lock);
        else giveUp(lock);
      },
      (error: unknown) => {
        if (leaves(this.#thieves, thief)) thief.reject(lost(this.#name, error));
        this.#letGo();
        this.#process();
        this.#admit();
      },
    );
  }

  async #takeAway(ready: Promise<void> | undefined): Promise<Lock> {
    await ready;
    return takeAway(this.#ls, this.#name, () => this.#letGo());
  }

  /** Who has it has it no more; the lock manager hears of that when it knows who comes next. */
  #rob(): void {
    for (const { request, lock } of this.#held) {
      this.#stolen.add(lock);
      request.reject(stolen(this.#name));
    }
    this.#held.clear();
  }

  /** Somebody wants what we have: perhaps somebody who steals it. */
  #inTheWay(): void {
    if (this.#held.size + this.#stolen.size === 0) return;
    this.#watch ??= new DemandWatch(this.#ls, this.#name, () => this.#giveWay());
  }

  /** Somebody does. */
  #giveWay(): void {
    this.#rob();
    this.#letGo();
    this.#admit();
  }

  #letGo(): void {
    for (const lock of this.#stolen) giveUp(lock);
    this.#stolen.clear();
    this.#watchNoMore();
  }

  #watchNoMore(): void {
    if (this.#held.size + this.#stolen.size > 0) return;
    this.#watch?.end();
    this.#watch = undefined;
  }
}

/** Takes it out; returns whether it was there. */
function leaves<Item>(items: Item[], item: Item): boolean {
  const at = items.indexOf(item);
  if (at >= 0) items.splice(at, 1);
  return at >= 0;
}
