/// <reference lib="esnext.disposable" preserve="true" />
/** A lockspace as the program has it: `openLockspace` makes it. */
import { EventEmitter } from 'node:events';
import { inspect, type InspectOptions } from 'node:util';

import { throwIfAborted } from '../abort-signal.js';
import { DLM_LKF } from '../constants.js';
import { checkFunction, checkObject, invalidType, type DlmError } from '../errors.js';
import {
  dlmOwnPid,
  type ClusterConnection,
  type ClusterMember,
  type ClusterNotice,
  type StackClock,
  type StackScope,
} from '../glue.js';
import type { OwnLimit } from '../tokens/locks.js';
import { Member } from '../tokens/member.js';
import { joinPlain } from '../tokens/plain.js';
import { CachedLocks } from '../cached/cached-locks.js';
import type { CachedLock } from '../cached/cached-lock.js';
import {
  CachedValue,
  checkCachedValueOptions,
  type CachedValueOptions,
} from '../cached/cached-value.js';
import { notStored, tokensNeeded, warnNotStored } from '../cached/failures.js';
import {
  checkCachedOptions,
  checkTrimOptions,
  type CachedOptions,
  type CacheLimits,
  type TrimOptions,
} from '../cached/options.js';
import type { Revocation } from '../cached/revocation.js';
import { LockBlock } from './block.js';
import { RECOVERY } from './channels.js';
import type { RecoveryMessage } from './messages.js';
import { closedError, lostError, noOrphans, noOrphansBesideTokens } from './failures.js';
import { checkEvent, type LockspaceEvents } from './events.js';
import { HealthMonitor, LOSSES, type Health } from './health.js';
import {
  checkAdoptOptions,
  checkLockOptions,
  checkPurgeOptions,
  type AdoptOptions,
  type LockOptions,
  type PurgeOptions,
} from './lock-options.js';
import { lockOrder, LockSet, sharedLimit } from './lock-set.js';
import { giveBack, type BlockedWatcher, type Lock } from './lock.js';
import { MODE_NAMES, modeNumber, type Mode } from './modes.js';
import { addNeighbour, holdersOf, removeNeighbour } from './neighbours.js';
import { adoptLock, lockPersistently, purgeOrphans } from './orphans.js';
import type { LockRecord } from './record.js';
import { Requests } from './requests.js';
import {
  checkName,
  checkNames,
  checkWellFormed,
  rulesOf,
  type LockName,
  type Rules,
} from './rules.js';
import { ownLocks } from './own-locks.js';
import { isPrimitive, rejected } from './settle.js';
import { shapesOf, type Shapes } from './shapes.js';
import type { Stack } from './stack.js';
import { takesSignal, UseSignal } from './use-signal.js';
import type { Wiring } from './wiring.js';

/** What is done while the lock is held. `signal`: it is lost, or the caller's own signal was aborted. */
export type LockWork<Result> = (lock: Lock, signal: AbortSignal) => Result | PromiseLike<Result>;

/** For people: what there is to see of a lockspace. */
function inspectLockspace(this: Lockspace, _depth: number, options: InspectOptions): string {
  const { name, scope, thisNode, withdrawals } = this;
  const seen = { name, scope, thisNode, health: this.health.state, withdrawals };
  return `Lockspace ${inspect(seen, options)}`;
}

let joinMembers: (
  lockspace: Lockspace,
  above: (() => Promise<bigint>) | undefined,
  known: bigint,
  limit: OwnLimit,
) => Promise<void>;

/**
 * A lockspace: names, and locks on them, among all who have opened it. Keeps the event loop alive until it is
 * closed, unless `unref()` was called.
 */
export class Lockspace {
  /** What it is called. */
  readonly name: string;
  /** How far the locks reach: `cluster`, or `process` for the emulations. */
  readonly scope: StackScope;
  /** The time that `timeoutMs` and `health.since` are in: the real one, or the simulator's. */
  readonly clock: StackClock;
  /** This node's number. */
  readonly thisNode: number;
  readonly #stack: Stack;
  readonly #connection: ClusterConnection<LockRecord>;
  readonly #requests: Requests;
  readonly #rules: Rules;
  readonly #monitor: HealthMonitor;
  readonly #treatUnsureAsLost: boolean;
  readonly #events = new EventEmitter();
  readonly #shapes: Shapes;
  readonly #cached: CachedLocks;
  /** How often members have come and gone. */
  #changes = 0;
  #end: DlmError | undefined;
  #lost: AbortController | undefined;
  #closing: Promise<undefined> | undefined;
  /** Where there are tokens. */
  #member: Member | undefined;

  static {
    joinMembers = (lockspace, ...rest) => lockspace.#join(...rest);
    // Not declared: the types of the package do without Node.js's.
    Object.defineProperty(this.prototype, inspect.custom, { value: inspectLockspace });
  }

  /** For `openLockspace`. */
  constructor(
    stack: Stack,
    connection: ClusterConnection<LockRecord>,
    wiring: Wiring,
    treatUnsureAsLost: boolean,
    cacheLimits?: CacheLimits,
  ) {
    this.name = connection.name;
    this.scope = connection.scope;
    this.clock = connection.clock;
    this.thisNode = stack.glue.clusterThisNode(connection);
    this.#stack = stack;
    this.#connection = connection;
    this.#rules = rulesOf(stack.plugin.features);
    this.#shapes = shapesOf(this.#rules);
    this.#treatUnsureAsLost = treatUnsureAsLost;
    this.#monitor = new HealthMonitor(() => connection.clock.now());
    this.#requests = new Requests(
      stack.glue,
      connection,
      {
        onLost: () => this.#lose('nodeDead'),
        hearsBlocked: () => this.#events.listenerCount('blocked') > 0,
        onBlocked: (lock, level) => this.#events.emit('blocked', lock, MODE_NAMES[level] ?? 'NL'),
        holdersOf: (name) => holdersOf(this.#requests, name),
      },
      this.#rules,
    );
    this.#cached = new CachedLocks(
      {
        group: this.name,
        clock: this.clock,
        readersPass: stack.plugin.features.newReaders === 'pass',
        health: this.health.state,
        lock: (...args) => this.#lockToCache(...args),
        holdersOf: (name) => holdersOf(this.#requests, name),
        onRevokeFailed: (name, error) => this.#revokeFailed(name, error),
      },
      cacheLimits,
    );
    addNeighbour(this.#requests, stack.world, connection.name, this.thisNode);
    wiring.requests = this.#requests;
    wiring.nodeDown = (node) => {
      this.#changes += 1;
      this.#member?.changed();
      this.#tellRecovery('memberFailed', node);
      this.#events.emit('memberFailed', node);
    };
    wiring.notice = (notice) => this.#notice(notice);
  }

  /**
   * Does `work` while the lock is held, and gives it up whatever becomes of that. Resolves to what it
   * returned. Rejects with what it threw; with what `lock` rejects with; or, when it had come to its end,
   * with `ERR_DLM_LOST` or `ERR_DLM_CLOSED` if the lock was lost meanwhile: then others may have had it, too.
   *
   * `work` is given the lock and a signal: `lock.lost` and `options.signal` together. It is not made for arrow
   * functions that do not take it.
   */
  using<Result>(name: LockName, mode: Mode, work: LockWork<Result>): Promise<Result>;
  using<Result>(
    name: LockName,
    mode: Mode,
    options: LockOptions,
    work: LockWork<Result>,
  ): Promise<Result>;
  async using<Result>(
    name: LockName,
    mode: Mode,
    ...rest: [LockWork<Result>] | [LockOptions, LockWork<Result>]
  ): Promise<Result> {
    const [options, work] = rest.length === 1 ? [undefined, rest[0]] : rest;
    checkFunction('work', work);
    const lock = await this.lock(name, mode, options);
    let signal: UseSignal | undefined;
    let result: Result;
    try {
      if (takesSignal(work)) signal = new UseSignal(lock, options?.signal);
      const returned =
        signal === undefined
          ? (work as (lock: Lock) => Result | PromiseLike<Result>)(lock)
          : work(lock, signal.signal);
      // What cannot be a thenable needs no turn of the microtasks.
      result = isPrimitive(returned) ? returned : await returned;
    } catch (error) {
      signal?.end();
      await lock[Symbol.asyncDispose]();
      throw error;
    }
    signal?.end();
    await lock.release();
    return result;
  }

  /**
   * Takes a lock, however long that takes. Rejects with the reason of `options.signal`, or with
   * `ERR_DLM_TIMEOUT`, at once and whatever the cluster does; then nothing of it is left, though that may
   * take a while (`withdrawals`). Also with `ERR_DLM_LOST`, `ERR_DLM_CLOSED`, and `ERR_DLM_REFUSED`.
   *
   * Who has a lock and asks for another on the same name waits for itself.
   */
  lock(name: LockName, mode: Mode, options?: LockOptions): Promise<Lock> {
    return this.#ask(name, mode, 0, options) as Promise<Lock>;
  }

  /** The same, but does not wait for others: resolves to null if somebody is in the way. */
  tryLock(name: LockName, mode: Mode, options?: LockOptions): Promise<Lock | null> {
    return this.#ask(name, mode, DLM_LKF.NOQUEUE, options);
  }

  /**
   * Takes several locks: all, or none. They are asked for one after the other, in the order of their names'
   * bytes, so that no two callers wait for each other. A name that is there twice is refused.
   */
  async lockAll(
    names: readonly LockName[],
    mode: Mode,
    options: LockOptions = {},
  ): Promise<LockSet> {
    if (!Array.isArray(names)) throw invalidType('names', 'an instance of Array', names);
    checkLockOptions(options, this.#rules, this.name, this.#member !== undefined);
    modeNumber(mode, this.#rules.modes);
    const order = lockOrder(checkNames(names as readonly LockName[], this.#rules));
    throwIfAborted(options.signal);
    const limit = sharedLimit(this.clock, options);
    const locks: Lock[] = [];
    const taken: Lock[] = [];
    try {
      for (const { name, index } of order) {
        const lock = await this.lock(name, mode, { ...options, ...limit() });
        locks[index] = lock;
        taken.push(lock);
      }
    } catch (error) {
      // Nobody has to wait for that: it may take as long as the cluster does.
      for (const lock of taken) giveBack(lock);
      throw error;
    }
    return new LockSet(locks);
  }

  /**
   * Keeps a name's value while nobody else has a lock on it: an `NL` lock, which is in nobody's way. Without one
   * the value goes with the last lock. VALUES.md says where even that is not enough.
   */
  pin(name: LockName, options?: LockOptions): Promise<Lock> {
    try {
      // What is no object spreads to nothing.
      if (options !== undefined)
        checkLockOptions(options, this.#rules, this.name, this.#member !== undefined);
    } catch (error) {
      return rejected(error);
    }
    return this.#ask(name, 'NL', DLM_LKF.EXPEDITE, { ...options, value: true }) as Promise<Lock>;
  }

  /**
   * A cached lock: it stays with this process while nobody else wants the name, so that who takes it again asks nobody
   * (`lib/cached`). Makes no request. Keep the object: calls with other options add theirs, for as long as the name is
   * cached.
   */
  cached(name: LockName, options: CachedOptions = {}): CachedLock {
    checkWellFormed('name', name);
    const itsName = checkName('name', name, this.#rules);
    checkObject('options', options);
    const given = { ...options };
    checkCachedOptions(given);
    return this.#cached.cached(itsName, given);
  }

  /**
   * An object that this process caches as long as no node has changed it: `read()` and `update()` (`lib/cached`). Takes a lockspace
   * with `tokens`, else `ERR_DLM_NO_TOKEN`. A name is used by this or by `cached()`, not by both. Keep the object.
   */
  cachedValue<Value>(name: LockName, options: CachedValueOptions<Value>): CachedValue<Value> {
    checkWellFormed('name', name);
    const itsName = checkName('name', name, this.#rules);
    checkCachedValueOptions(options);
    if (this.#member === undefined) throw tokensNeeded(this.name, itsName);
    const { minHoldMs } = options;
    return new CachedValue(
      options,
      (onRevoke) => this.#cached.cached(itsName, { onRevoke, minHoldMs }, true),
      () => this.#changes,
    );
  }

  /** What is being given away of what is cached, and what that waits for. */
  revocations(): readonly Revocation[] {
    return this.#cached.revocations;
  }

  /**
   * Gives back cached locks that no hold has and nobody waits for, oldest first, after `onRevoke`. Resolves to how many,
   * when they have gone. One whose `onRevoke` fails is waited for.
   */
  async trim(options: TrimOptions = {}): Promise<number> {
    checkTrimOptions(options);
    return this.#cached.trim(options);
  }

  /**
   * Takes up a lock that a process of this node has left when it ended (`LockOptions.persistent`). Nobody else had
   * it in between. Resolves to null if none of that name was left, or its process lives; rejects with
   * `ERR_DLM_ORPHAN_MODE` if what was left is in another mode, and stays so. Of several it is one of them.
   *
   * With `value` or `raw` it has the value that was written last, not what its process had not written yet.
   * It is as persistent as these options say. Waits for nobody, but for as long as the lockspace is stopped.
   */
  async adopt(name: LockName, mode: Mode, options: AdoptOptions = {}): Promise<Lock | null> {
    const rules = this.#rules;
    checkWellFormed('name', name);
    const itsName = checkName('name', name, rules);
    const number = modeNumber(mode, rules.modes);
    checkAdoptOptions(options);
    if (!rules.hasOrphans) throw noOrphans('adopt', this.name);
    if (this.#member !== undefined) throw noOrphansBesideTokens('adopt', this.name);
    const block = this.#newBlock(options);
    return adoptLock(this.#requests, itsName, number, options, block, this.#shapes.raw);
  }

  /**
   * Gives up locks that processes have left when they ended; no lock of one that lives. Who waits for them is
   * served, and finds a value that was held in `PW` or `EX` `invalid`, or gone where nobody else had a lock on its
   * name. Resolves when those of this node are gone, or another node has been asked; no answer comes from there.
   *
   * Rejects with `ERR_DLM_REFUSED` for this lockspace's own `ownPid`, for a `pid` of this node where `ownPid` is
   * not known, and for what the lock manager refuses; with `ERR_DLM_NO_ORPHANS`, `ERR_DLM_LOST` and `ERR_DLM_CLOSED`.
   */
  async purge(options: PurgeOptions = {}): Promise<void> {
    checkPurgeOptions(options);
    if (!this.#rules.hasOrphans) throw noOrphans('purge', this.name);
    await purgeOrphans(this.#connection, options, () => this.#end);
  }

  /**
   * By which number the lock manager knows the owner of this lockspace's locks, on the whole machine: for a later
   * `purge`, so a program that wants that stores it. Undefined on stacks without orphans, in a PID namespace
   * (a container), where it cannot be seen, and when the lockspace is closed.
   */
  get ownPid(): number | undefined {
    if (!this.#rules.hasOrphans || this.#connection.state !== 'connected') return undefined;
    const pid = dlmOwnPid(this.#connection);
    return pid === 0 ? undefined : pid;
  }

  /** How the lockspace is. */
  get health(): Health {
    return this.#monitor.current;
  }

  /**
   * Aborted when the locks are lost, or the lockspace is closed; its reason is the `DlmError`. Made when it is
   * first looked at.
   */
  get lost(): AbortSignal {
    if (this.#lost === undefined) {
      this.#lost = new AbortController();
      if (this.#end !== undefined) this.#lost.abort(this.#end);
    }
    return this.#lost.signal;
  }

  /** How many requests are being taken back whose callers have given up. 0 at rest. */
  get withdrawals(): number {
    return this.#requests.withdrawals;
  }

  /** Who has opened it, by number; empty on `o2cb`, which cannot tell, and when it is lost or closed. */
  members(): readonly ClusterMember[] {
    if (this.#connection.state !== 'connected') return [];
    return this.#stack.glue.clusterMembers(this.#connection);
  }

  /** Has `listener` called whenever that happens. What it throws is an uncaught exception. */
  on<Name extends keyof LockspaceEvents>(
    event: Name,
    listener: (...args: LockspaceEvents[Name]) => void,
  ): this {
    checkEvent(event, listener);
    this.#events.on(event, listener);
    return this;
  }

  /** The same, for the next time only. */
  once<Name extends keyof LockspaceEvents>(
    event: Name,
    listener: (...args: LockspaceEvents[Name]) => void,
  ): this {
    checkEvent(event, listener);
    this.#events.once(event, listener);
    return this;
  }

  /** Has it not called any more. */
  off<Name extends keyof LockspaceEvents>(
    event: Name,
    listener: (...args: LockspaceEvents[Name]) => void,
  ): this {
    checkEvent(event, listener);
    this.#events.off(event, listener);
    return this;
  }

  /** Keeps the event loop alive while it is open (the default). */
  ref(): this {
    this.#connection.ref();
    return this;
  }

  /** Lets the process end although it is open; the locks go with it. */
  unref(): this {
    this.#connection.unref();
    return this;
  }

  /**
   * Gives up all locks but persistent ones, and leaves. Who waits for one hears `ERR_DLM_CLOSED`, and so does who has one, by `lost`.
   * Resolves when nothing is left; once it was called, the same promise. Rejects with `ERR_DLM_TIMEOUT`
   * when the cluster does not answer: the locks go when it works again.
   */
  close(): Promise<void> {
    if (this.#closing === undefined) {
      // There before anybody hears of it, who may call this, too.
      let closed!: (closed: Promise<undefined>) => void;
      this.#closing = new Promise<undefined>((resolve) => (closed = resolve));
      closed(this.#close(this.#closing));
    }
    return this.#closing;
  }

  /** `close()` for `await using`; never rejects. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.close();
    } catch {
      // A disposer that throws would mask the error that the block ended with.
    }
  }

  async #join(
    above: (() => Promise<bigint>) | undefined,
    known: bigint,
    limit: OwnLimit,
  ): Promise<void> {
    const locks = ownLocks(this.#requests, this.#rules, this.#shapes.raw);
    if (above === undefined) {
      await joinPlain(locks, this.name, limit);
      return;
    }
    this.#member = new Member(locks, this.name);
    this.#requests.numbering = await this.#member.join(above, known, limit);
  }

  #ask(
    name: LockName,
    mode: Mode,
    flags: number,
    options: LockOptions | undefined,
  ): Promise<Lock | null> {
    try {
      const rules = this.#rules;
      const itsName = checkName('name', name, rules);
      const number = modeNumber(mode, rules.modes);
      if (options !== undefined)
        checkLockOptions(options, rules, this.name, this.#member !== undefined);
      const block = this.#newBlock(options);
      const requests = this.#requests;
      return options?.persistent === true
        ? lockPersistently(requests, this.clock, itsName, number, flags, options, block)
        : requests.lock(itsName, number, flags, options, block);
    } catch (error) {
      return rejected(error);
    }
  }

  /** The block of a lock that is to have one. */
  #newBlock(options: AdoptOptions | undefined): LockBlock | undefined {
    const { raw, plain, tokens, bare } = this.#shapes;
    if (this.#member !== undefined) return new LockBlock(options?.value === true ? tokens : bare);
    if (options?.raw === true) return new LockBlock(raw);
    return options?.value === true ? new LockBlock(plain) : undefined;
  }

  /** For what is cached. */
  async #lockToCache(
    name: LockName,
    mode: Mode,
    options: LockOptions,
    watcher: BlockedWatcher,
  ): Promise<Lock> {
    const block = this.#newBlock(options);
    const number = modeNumber(mode, this.#rules.modes);
    const requests = this.#requests;
    // A place in NL waits for nobody.
    const flags = mode === 'NL' ? DLM_LKF.EXPEDITE : 0;
    return requests.lock(name, number, flags, options, block, false, watcher) as Promise<Lock>;
  }

  /** Nobody may notice, and others wait. */
  #revokeFailed(name: LockName | undefined, error: unknown): void {
    if (name !== undefined && this.#events.listenerCount('revokeFailed') > 0) {
      queueMicrotask(() => this.#events.emit('revokeFailed', name, error));
      return;
    }
    warnNotStored(this.name, name, error);
  }

  async #close(closing: Promise<undefined>): Promise<undefined> {
    // First what is cached, with the lock still here; then as if nothing had been.
    const unstored = this.#cached.isEmpty
      ? []
      : await this.#cached.finish(closedError(this.name), 'closed');
    const changes = this.#monitor.lose('closed');
    this.#finish(closedError(this.name), closing);
    if (changes) this.#tellHealth();
    await this.#stack.glue.clusterDisconnect(this.#connection);
    if (unstored.length === 0) return undefined;
    // By `await using` nobody hears of the rejection.
    for (const { name, error } of unstored) this.#revokeFailed(name, error);
    throw notStored(
      this.name,
      unstored.map(({ error }) => error),
    );
  }

  #notice(notice: ClusterNotice): void {
    if (notice.kind === 'keeperGone') this.#member?.changesEnd();
    if (notice.kind === 'memberJoined' || notice.kind === 'memberLeft') {
      this.#changes += 1;
      // This node's own is before all that is counted, whoever is told of it.
      if (notice.node !== this.thisNode) this.#member?.changed();
      this.#events.emit(notice.kind, notice.node);
      return;
    }
    if (!this.#monitor.take(notice)) return;
    const { state, reason } = this.health;
    this.#cached.healthChanged(state);
    if (notice.kind === 'stopped' || notice.kind === 'resumed') this.#tellRecovery(notice.kind);
    const loss = LOSSES[reason as keyof typeof LOSSES];
    if (state === 'lost') this.#finish(lostError(this.name, loss));
    else if (state === 'unsure' && this.#treatUnsureAsLost) {
      this.#lose(reason as keyof typeof LOSSES);
      return;
    }
    this.#tellHealth();
  }

  #tellRecovery(kind: RecoveryMessage['kind'], node?: number): void {
    if (RECOVERY.hasSubscribers) RECOVERY.publish({ lockspace: this.name, kind, node });
  }

  #lose(reason: keyof typeof LOSSES): void {
    if (!this.#monitor.lose(reason)) return;
    this.#finish(lostError(this.name, LOSSES[reason]));
    this.#tellHealth();
  }

  /** Not from inside a call: the program may be in the middle of asking. */
  #tellHealth(): void {
    const { health } = this;
    queueMicrotask(() => this.#events.emit('health', health));
  }

  /** @param released when what is being given up is gone, if that is known to come. */
  #finish(end: DlmError, released?: Promise<undefined>): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    void this.#cached.finish(end, 'lost').then((errors) => {
      for (const { name, error } of errors) this.#revokeFailed(name, error);
    });
    this.#requests.end(end, released);
    this.#lost?.abort(end);
    removeNeighbour(this.#requests);
  }
}

/**
 * Has an open lockspace become one of those with tokens, or of those without (`above` undefined). Rejects with
 * `ERR_DLM_TOKENS`, with the limit's reason, or with why the lockspace has ended; then it has to be closed.
 *
 * @param above finds out what the store has seen, where nobody else has it open.
 * @param known what the store has seen for certain.
 */
export const join = joinMembers;
