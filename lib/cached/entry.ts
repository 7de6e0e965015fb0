/**
 * A name while it is cached: what the cluster has given, who of this process has it, and what is under way.
 * README.md has the states, and which rule of dlmglue or of glocks is where.
 *
 * Invariants:
 * 1. One request to the lock manager at a time (`phase`).
 * 2. `level` is what is certain: it rises when the grant is told, and falls before the lock manager is asked.
 * 3. `ceiling` is below `level` from when the level has to go until it is gone; else it is `WRITE`. Only while a
 *    grant is under way it can be below what is about to be granted.
 * 4. `open` is what a hold can have at once: at most `level`, and `NONE` where anybody waits.
 * 5. It is in the lockspace's map while it has a lock, a request, or somebody who waits.
 */
import { DlmError } from '../errors.js';
import { REVOKED } from '../locks/channels.js';
import { Limit, type WaitOptions } from '../locks/limit.js';
import { watchBlocked, type BlockedWatcher, type Lock } from '../locks/lock.js';
import type { Mode } from '../locks/modes.js';
import { copyName, type LockName } from '../locks/rules.js';
import { failWith, type Settle } from '../locks/settle.js';
import type { CachedLocks } from './cached-locks.js';
import { abortLost, Hold } from './hold.js';
import {
  highestBeside,
  LEVEL_MODES,
  levelOf,
  NONE,
  READ,
  SHARED_WRITE,
  WRITE,
  type HoldKind,
  type Level,
} from './levels.js';
import { afterNoUse, afterWait } from './min-hold.js';
import {
  againAfter,
  callAll,
  type Failure,
  type Revocation,
  type RevocationState,
  type RevokeHandler,
  type RevokeReason,
} from './revocation.js';
import { Waiter, WaitQueue } from './wait-queue.js';
import { Withdrawal } from './withdrawal.js';

/** What is under way: nothing; a higher level was asked for; the handlers are at work; a lower one was asked for. */
type Phase = 'still' | 'asking' | 'revoking' | 'telling';

/** What a name is cached with. */
export interface User {
  readonly onRevoke: RevokeHandler | undefined;
  /** -1: it adapts. */
  readonly minHoldMs: number;
  /** With the lock's value: the lock stays in `NL`, because the value can go with the last lock. */
  readonly hasValue: boolean;
}

/** A level that has to go. */
interface Descent {
  readonly from: Level;
  /** What the handlers were called for. */
  to: Level;
  readonly since: number;
  state: RevocationState;
  failures: number;
  error: unknown;
  /** What the handlers do. */
  work: Promise<Failure[]> | undefined;
  /** Those who wait for its end. */
  readonly done: (() => void)[];
}

/** What only few have at a time, and nobody at rest. */
class Activity {
  phase: Phase = 'still';
  ceiling: Level = WRITE;
  /** Why the level has to go. */
  reason: RevokeReason = 'wanted';
  /** Who was waiting at the last grant has not had its hold yet. */
  isOwed = false;
  /** How many holds in `EX` go with each other. */
  shared = 0;
  readonly waiters = new WaitQueue();
  /** Gives up what was asked for. */
  request: Withdrawal | undefined;
  /** The timer until which the level is kept although others want it. */
  keeps: unknown;
  descent: Descent | undefined;
  /** The timer of what is tried again. */
  again: unknown;
  /** Holds that somebody listens to. */
  readonly watched = new Set<Hold>();
}

/** For so long a writer lets readers pass where they do; milliseconds. */
const PATIENCE_MS = 200;

// Places of those that are in no map.
const OUT = -1;
const SPENT = -2;

/** A name at rest is to take little room: what is not at rest is in `activity`. */
export class Entry implements BlockedWatcher {
  declare open: Level;
  /** Holds of this process: above 0 so many in `PR`, below 0 so many in `EX`. */
  declare holds: number;
  /** Its place in the tables; below 0: it is not in the map. */
  declare slot: number;
  declare readonly locks: CachedLocks;
  declare readonly name: LockName;
  declare level: Level;
  declare lock: Lock | undefined;
  /** Whoever has used it since it was entered, by what they want to be called. */
  declare users: User | Map<RevokeHandler | undefined, User>;
  declare activity: Activity | undefined;

  constructor(locks: CachedLocks, name: LockName, user: User) {
    this.open = this.level = NONE;
    this.holds = 0;
    this.slot = OUT;
    this.locks = locks;
    this.name = name;
    this.lock = undefined;
    this.users = user;
    this.activity = undefined;
  }

  /** Whether it is not in the map: whoever wants the name has to look there. */
  get hasGone(): boolean {
    return this.slot < 0;
  }

  /** Whether it cannot come into the map again: some who have used it do not know that they have to say so anew. */
  get isSpent(): boolean {
    return this.slot === SPENT;
  }

  /** It goes out of the map. */
  leave(): void {
    this.slot = this.users instanceof Map ? SPENT : OUT;
  }

  /** Whether nobody of this process has it or wants it, and it is not on its way down. */
  get isIdle(): boolean {
    const { activity } = this;
    if (this.holds !== 0) return false;
    if (activity === undefined) return true;
    const { phase, ceiling, waiters } = activity;
    return phase === 'still' && ceiling >= this.level && waiters.head === undefined;
  }

  /** With the lock's value: the lock stays in `NL`, because the value can go with the last lock. */
  get hasValue(): boolean {
    const { users } = this;
    return users instanceof Map ? users.values().next().value?.hasValue === true : users.hasValue;
  }

  /** One more uses it. */
  addUser(user: User): void {
    const { users } = this;
    if (users === user) return;
    const all = users instanceof Map ? users : new Map([[users.onRevoke, users]]);
    const known = all.get(user.onRevoke);
    if (known !== undefined && known.minHoldMs >= user.minHoldMs) return;
    this.users = all.set(user.onRevoke, user);
  }

  /** Of the last grant of `EX`. */
  get token(): bigint {
    if (this.lock === undefined) throw this.locks.noToken(this.name);
    return this.lock.token;
  }

  // ---- Holds ----

  /** A hold, if it can be had at once. `isNested`: inside one that covers it. */
  take(kind: HoldKind, isNested: boolean): Hold | null {
    if (!this.locks.isSure) return null;
    const isInTurn = this.activity?.waiters.head === undefined && this.passes(kind);
    return isNested || isInTurn ? this.hold(kind) : null;
  }

  /** Has somebody wait for one. */
  wait(kind: HoldKind, isNested: boolean, options: WaitOptions, settle: Settle<Hold>): void {
    const { clock } = this.locks;
    const waiter = new Waiter(kind, isNested, clock.now(), settle);
    const activity = this.active;
    activity.waiters.add(waiter);
    this.locks.waiting.add(this);
    if (options.signal !== undefined || options.timeoutMs !== undefined) {
      const reached = (why: () => unknown): void => {
        this.remove(activity, waiter);
        settle(failWith(why));
        this.run();
      };
      const timedOut = (timeoutMs: number): DlmError =>
        this.locks.timedOut(this.name, waiter.level, timeoutMs, this.holders());
      try {
        waiter.limit = new Limit(clock, options, timedOut, reached);
      } catch (error) {
        // A library's signal that takes no listener.
        reached(() => error);
        return;
      }
    }
    this.run();
  }

  /** A hold has ended. */
  released(kind: HoldKind, watched: Hold | undefined): void {
    if (kind === READ) this.holds -= 1;
    else {
      this.holds += 1;
      if (kind === SHARED_WRITE && this.activity !== undefined) this.activity.shared -= 1;
    }
    const { activity } = this;
    if (watched !== undefined && activity?.watched.delete(watched) === true) this.rest(activity);
    if (this.open !== this.level) this.run();
  }

  /** Has the hold told when it is lost. */
  watchLoss(hold: Hold): void {
    const { end } = this.locks;
    if (end !== undefined) abortLost(hold, end);
    else this.active.watched.add(hold);
  }

  /** Who is in the way, as far as that is known, for people. */
  holders(): string {
    const { holds } = this;
    if (this.activity?.phase === 'revoking') {
      return '; this process itself has it until its "onRevoke" has ended';
    }
    if (holds === 0) return this.locks.holdersOf(this.name);
    const how = holds > 0 ? `${holds} in PR` : `${-holds} in EX`;
    return `; this process itself holds it, ${how}: who has a hold and takes another inside says so by "within"`;
  }

  /** Since when somebody has waited whom only holds of this process keep waiting; undefined: nobody does. */
  get waitsForItselfSince(): number | undefined {
    if (this.activity === undefined || !this.locks.isSure) return undefined;
    const { phase, waiters } = this.activity;
    const isOurs = phase === 'revoking' || (phase === 'still' && this.holds !== 0);
    return isOurs ? waiters.head?.since : undefined;
  }

  // ---- What makes it go ----

  /** Somebody else wants the name, and the lock is in the way: for `Lock`. */
  blocked(mode: Mode): void {
    const ceiling = highestBeside(mode);
    const activity = this.active;
    if (this.locks.end !== undefined) return;
    if (ceiling >= activity.ceiling) {
      // What was to go because nobody used it has to go now.
      if (this.level > ceiling) activity.reason = 'wanted';
      return;
    }
    if (activity.phase === 'asking') {
      this.lower(activity, ceiling, 'wanted');
      // What has been granted is used first. What waits would wait for those who wait for us.
      const isWaiting = this.lock?.mode === LEVEL_MODES[this.level];
      if (this.level > ceiling && isWaiting) activity.request?.abort();
    } else if (this.level > ceiling) {
      this.lower(activity, ceiling, 'wanted');
      if (activity.phase === 'still') this.keepAWhile(activity);
      this.run();
    }
  }

  /** Whether what was granted is ours for certain has changed. */
  sureChanged(): void {
    if (this.activity !== undefined) this.run();
    else this.open = this.locks.isSure ? this.level : NONE;
  }

  /** Gives it back, if nobody of this process uses it. Resolves when it has gone, or is in use after all. */
  giveBack(): Promise<void> {
    return new Promise((resolve) => {
      const activity = this.active;
      const isKept = activity.keeps !== undefined && this.holds === 0 && !activity.isOwed;
      if (this.hasGone || !(this.isIdle || (isKept && activity.waiters.head === undefined))) {
        resolve();
        return;
      }
      this.keepNoMore(activity);
      if (activity.ceiling >= this.level) this.lower(activity, NONE, 'idle');
      const descent = this.descend(activity);
      descent.done.push(resolve);
      if (this.level === NONE) this.tell(activity, descent, NONE);
      else this.run();
    });
  }

  /**
   * There is nothing any more, and `locks.end` says why: ends all that waits, at once. Returns what calls the handlers that
   * have to know, and resolves to those that failed; undefined: there are none.
   */
  finish(end: DlmError): (() => Promise<Failure[]>) | undefined {
    const { activity, level, locks } = this;
    const descent = activity?.phase === 'revoking' ? activity.descent : undefined;
    this.level = this.open = NONE;
    this.slot = SPENT;
    if (activity !== undefined) this.endActivity(activity, end);
    const handlers = this.handlers;
    // Before it is told to the lock manager all has been stored and forgotten.
    if (level === NONE || handlers.length === 0) return undefined;
    return async () => {
      // What is at work for the same is not called once more; what stores has to end before, unless nothing can be stored.
      if (descent?.work !== undefined && (descent.to === NONE || !locks.isLost)) {
        const failed = await descent.work;
        if (descent.to === NONE) return failed;
      }
      return callAll(handlers, 'NL', locks.isLost ? 'lost' : 'closed');
    };
  }

  /** How it goes down, if it does. */
  get revocation(): Revocation | undefined {
    const { activity, holds } = this;
    const descent = activity?.descent;
    if (activity === undefined || descent === undefined || descent.from === NONE) return undefined;
    const { from, since, state, failures, error } = descent;
    return Object.freeze({
      name: copyName(this.name),
      from: LEVEL_MODES[from],
      to: LEVEL_MODES[activity.ceiling] as 'PR' | 'NL',
      reason: activity.reason,
      state,
      since,
      holds: Object.freeze({ PR: Math.max(0, holds), EX: Math.max(0, -holds) }),
      waiting: activity.waiters.length,
      failures,
      error,
    });
  }

  // ---- The engine ----

  /** Does what can be done now. */
  run(): void {
    const { activity, locks } = this;
    if (locks.end !== undefined || activity === undefined) return;
    this.serve(activity);
    const { head } = activity.waiters;
    if (activity.phase === 'asking') {
      // Nobody waits for it any more.
      if (head === undefined) activity.request?.abort();
    } else if (activity.phase === 'still') {
      if (activity.ceiling < this.level) this.goDown(activity, head);
      else if (head !== undefined && head.level > this.level) this.ask(activity, head.level);
    }
    this.reopen(activity);
    this.rest(activity);
  }

  private passes(kind: HoldKind): boolean {
    const level = levelOf(kind);
    if (level > this.level) return false;
    const { activity, holds } = this;
    if (activity !== undefined && level > activity.ceiling) {
      if (!activity.isOwed && activity.keeps === undefined) return false;
    }
    if (kind === READ) return holds >= 0;
    return holds === 0 || (kind === SHARED_WRITE && holds < 0 && -holds === activity?.shared);
  }

  private hold(kind: HoldKind): Hold {
    if (kind === READ) this.holds += 1;
    else {
      this.holds -= 1;
      if (kind === SHARED_WRITE) this.active.shared += 1;
    }
    this.locks.uses.use(this.slot);
    return new Hold(this, kind);
  }

  private serve(activity: Activity): void {
    const { waiters } = activity;
    for (let { head } = waiters; head !== undefined; { head } = waiters) {
      if (!this.locks.isSure) return;
      // What it was inside may have ended meanwhile, and the level with it.
      if (head.isNested ? head.level > this.level : !this.passes(head.kind)) return;
      if (!head.isNested) activity.isOwed = false;
      this.remove(activity, head);
      // Counted before anybody hears of it, a library's signal included.
      const hold = this.hold(head.kind);
      head.limit?.lift();
      head.settle(hold);
    }
  }

  private remove(activity: Activity, waiter: Waiter): void {
    activity.waiters.remove(waiter);
    if (activity.waiters.head !== undefined) return;
    activity.isOwed = false;
    this.locks.waiting.delete(this);
  }

  private reopen({ waiters, ceiling, keeps }: Activity): void {
    const { level, locks } = this;
    if (waiters.head !== undefined || !locks.isSure) this.open = NONE;
    else if (level <= ceiling || keeps !== undefined) this.open = level;
    else this.open = ceiling;
  }

  /** Keeps nothing that is over. */
  private rest(activity: Activity): void {
    const { phase, ceiling, waiters, shared, watched, keeps } = activity;
    if (phase !== 'still' || waiters.head !== undefined || ceiling < this.level) return;
    if (shared === 0 && watched.size === 0 && keeps === undefined) this.activity = undefined;
    if (this.lock === undefined && this.level === NONE) this.locks.remove(this);
  }

  private get active(): Activity {
    return (this.activity ??= new Activity());
  }

  private lower(activity: Activity, ceiling: Level, reason: RevokeReason): void {
    activity.ceiling = ceiling;
    activity.reason = reason;
  }

  /** What was under way has ended. */
  private settled(activity: Activity): void {
    activity.phase = 'still';
    if (this.level <= activity.ceiling) activity.ceiling = WRITE;
    else this.keepAWhile(activity);
    this.run();
  }

  // ---- Up ----

  private ask(activity: Activity, level: Level): void {
    activity.phase = 'asking';
    const request = (activity.request = new Withdrawal());
    this.getLock(level, request.signal).then(
      () => this.granted(activity, level),
      (error: unknown) => this.notGranted(activity, error, request.signal.aborted),
    );
  }

  private async getLock(level: Level, signal: AbortSignal): Promise<void> {
    const { locks } = this;
    if (this.lock === undefined) {
      if (!this.hasValue) this.lock = await this.newLock(level, signal);
      if (this.lock !== undefined) return;
      this.lock = await locks.lock(this, LEVEL_MODES[NONE], { signal });
    }
    await this.lock.convert(LEVEL_MODES[level], { signal });
  }

  /**
   * A new lock, which is served in its turn among all that are new. Undefined: others come before it for too long, and a
   * conversion has to be tried, which new ones cannot pass.
   */
  private async newLock(level: Level, signal: AbortSignal): Promise<Lock | undefined> {
    const { locks } = this;
    const timeoutMs = level === WRITE && locks.readersPass ? PATIENCE_MS : undefined;
    try {
      return await locks.lock(this, LEVEL_MODES[level], { signal, timeoutMs });
    } catch (error) {
      const isPassed = error instanceof DlmError && error.code === 'ERR_DLM_TIMEOUT';
      if (isPassed && !signal.aborted) return undefined;
      throw error;
    }
  }

  private granted(activity: Activity, level: Level): void {
    const { lock, locks } = this;
    if (locks.end !== undefined || lock === undefined) return;
    // It may have been in somebody's way already: while it is asked for that is only noted.
    watchBlocked(lock, this);
    activity.request = undefined;
    const now = locks.clock.now();
    const { head } = activity.waiters;
    this.level = level;
    locks.uses.grant(this.slot, now);
    activity.isOwed = head !== undefined && head.level <= level;
    if (head !== undefined) locks.uses.adapt(this.slot, (ms) => afterWait(ms, now - head.since));
    this.settled(activity);
  }

  private notGranted(activity: Activity, error: unknown, isOurs: boolean): void {
    if (this.locks.end !== undefined) return;
    activity.request = undefined;
    if (error instanceof DlmError && error.code === 'ERR_DLM_DEADLOCK') {
      // Somebody else's conversion is first, and is in our way as we are in its.
      this.lower(activity, NONE, 'wanted');
    } else if (!isOurs) {
      this.fail(activity, error);
    }
    this.settled(activity);
  }

  /** The lock manager will not have it. */
  private fail(activity: Activity, error: unknown): void {
    const { head } = activity.waiters;
    if (head === undefined) return;
    this.remove(activity, head);
    head.limit?.lift();
    head.settle(failWith(() => error));
  }

  // ---- Down ----

  /** Others want it: it stays until it has been of use. */
  private keepAWhile(activity: Activity): void {
    const { locks, slot } = this;
    const { uses, clock } = locks;
    const { head } = activity.waiters;
    const isOfUse = uses.lastOf(slot) > 0 && !(head !== undefined && head.level > this.level);
    if (activity.keeps !== undefined || !(activity.isOwed || isOfUse)) return;
    const left = uses.grantedAt(slot) + this.minHoldMs - clock.now();
    if (left <= 0) return;
    const before = uses.count;
    activity.keeps = locks.setTimeout(() => {
      activity.keeps = undefined;
      if (uses.lastOf(slot) <= before) uses.adapt(slot, afterNoUse);
      this.run();
    }, left);
  }

  private keepNoMore(activity: Activity): void {
    if (activity.keeps === undefined) return;
    this.locks.clock.clearTimeout(activity.keeps);
    activity.keeps = undefined;
  }

  /** What lasts until the level has gone. */
  private descend(activity: Activity): Descent {
    this.locks.revoking.add(this);
    return (activity.descent ??= {
      from: this.level,
      to: this.level,
      since: this.locks.clock.now(),
      state: 'holds',
      failures: 0,
      error: undefined,
      work: undefined,
      done: [],
    });
  }

  private goDown(activity: Activity, head: Waiter | undefined): void {
    if (activity.isOwed) return;
    if (activity.keeps !== undefined) {
      if (head === undefined || head.level <= this.level) return;
      // Nobody can use what is kept.
      this.keepNoMore(activity);
    }
    const descent = this.descend(activity);
    const to = activity.ceiling;
    if (this.holds < 0 || (this.holds > 0 && to === NONE)) return;
    this.revoke(activity, descent, to, this.handlers);
  }

  private revoke(
    activity: Activity,
    descent: Descent,
    to: Level,
    handlers: readonly RevokeHandler[],
  ): void {
    activity.phase = 'revoking';
    if (handlers.length === 0) {
      this.tell(activity, descent, to);
      return;
    }
    descent.state = 'onRevoke';
    descent.to = to;
    const work = callAll(handlers, LEVEL_MODES[to] as 'PR' | 'NL', activity.reason);
    descent.work = work;
    void work.then((failed) => {
      if (this.locks.end !== undefined) return;
      if (failed.length === 0) this.tell(activity, descent, to);
      else this.revokeAgain(activity, descent, to, failed);
    });
  }

  /** What is not stored is not given away. */
  private revokeAgain(
    activity: Activity,
    descent: Descent,
    to: Level,
    failed: readonly Failure[],
  ): void {
    const handlers = failed.map(({ handler }) => handler);
    descent.work = undefined;
    descent.error = failed[0]?.error;
    this.locks.revokeFailed(this.name, descent.error);
    if (activity.reason === 'idle') {
      // Nobody else wants it: it stays as it is, for those who do here, and is tried again when others are older.
      this.locks.uses.use(this.slot);
      this.ended(activity, descent);
      activity.ceiling = WRITE;
      this.settled(activity);
      return;
    }
    this.again(activity, descent, () => this.revoke(activity, descent, to, handlers));
  }

  private again(activity: Activity, descent: Descent, action: () => void): void {
    descent.state = 'retry';
    descent.failures += 1;
    activity.again = this.locks.setTimeout(action, againAfter(descent.failures));
  }

  private tell(activity: Activity, descent: Descent, to: Level): void {
    const { lock } = this;
    activity.phase = 'telling';
    this.level = to;
    descent.state = 'cluster';
    // Where it stays in NL the next request is a conversion, which comes before all that are new.
    const isReleased = to === NONE && (activity.reason === 'idle' || !this.hasValue);
    const told = isReleased ? lock?.release() : lock?.convert(LEVEL_MODES[to]);
    Promise.resolve(told).then(
      () => {
        if (isReleased) this.lock = undefined;
        this.told(activity, descent);
      },
      (error: unknown) => {
        if (this.locks.end !== undefined) return;
        descent.error = error;
        this.again(activity, descent, () => this.tell(activity, descent, to));
      },
    );
    this.run();
  }

  private told(activity: Activity, descent: Descent): void {
    const { locks } = this;
    if (locks.end !== undefined) return;
    if (REVOKED.hasSubscribers) {
      locks.tellRevoked(this.name, descent.from, this.level, activity.reason, descent.since);
    }
    this.ended(activity, descent);
    this.settled(activity);
  }

  private ended(activity: Activity, { done }: Descent): void {
    this.locks.revoking.delete(this);
    activity.descent = undefined;
    for (const resolve of done) resolve();
  }

  // ---- Ends ----

  private endActivity(activity: Activity, end: DlmError): void {
    const { waiters, descent, watched } = activity;
    const { clock } = this.locks;
    this.activity = undefined;
    activity.request?.abort();
    if (activity.keeps !== undefined) clock.clearTimeout(activity.keeps);
    if (activity.again !== undefined) clock.clearTimeout(activity.again);
    for (let { head } = waiters; head !== undefined; { head } = waiters) {
      const { settle, level } = head;
      waiters.remove(head);
      head.limit?.lift();
      settle(failWith(() => this.locks.ended(this.name, level, end)));
    }
    for (const hold of watched) abortLost(hold, end);
    for (const resolve of descent?.done ?? []) resolve();
  }

  private get minHoldMs(): number {
    const adapted = this.locks.uses.minHoldOf(this.slot);
    let longest = 0;
    for (const { minHoldMs } of this.allUsers) {
      longest = Math.max(longest, minHoldMs < 0 ? adapted : minHoldMs);
    }
    return longest;
  }

  private get allUsers(): readonly User[] {
    const { users } = this;
    return users instanceof Map ? [...users.values()] : [users];
  }

  private get handlers(): readonly RevokeHandler[] {
    return this.allUsers.map(({ onRevoke }) => onRevoke).filter((each) => each !== undefined);
  }
}
