/**
 * All locks of a lockspace, and what is under way on them. README.md has the states and who settles what.
 *
 * Invariants:
 * 1. A record is in the list from an accepted request until the lock manager has no lock of it, or the
 *    locks are lost; a status block is handed out again only after that.
 * 2. A record has at most one request under way, and beside it at most one cancel of that.
 * 3. Who waits is answered once: `settle` is taken out before it is called.
 */
import { constants } from 'node:os';

import { throwIfAborted } from '../abort-signal.js';
import { DLM_ERRNO, DLM_LKF, DLM_LOCK, type LockMode } from '../constants.js';
import type { DlmError } from '../errors.js';
import { DlmLksb, type ClusterConnection, type StackGlue } from '../glue.js';
import { NOTHING_HELD, type LockBlock } from './block.js';
import { Teller } from './channels.js';
import * as failures from './failures.js';
import type { About } from './failures.js';
import { Limit, type OnReached, type WaitOptions } from './limit.js';
import type { LockOptions } from './lock-options.js';
import { Lock, tellBlocked, type BlockedWatcher } from './lock.js';
import { isDown } from './modes.js';
import { LockRecord, type NextConversion } from './record.js';
import { RecordList } from './record-list.js';
import { opOf, RequestFailures } from './request-failures.js';
import { checkWellFormed, type LockName, type Rules } from './rules.js';
import { failWith, type Settle } from './settle.js';
import type { Numbering } from '../tokens/numbering.js';

const { EAGAIN, EINVAL, ENOENT, ENOTCONN, EPERM } = constants.errno;
const { ECANCEL } = DLM_ERRNO;
// Of this module, for what is asked about every lock: see NativeLocks.
const { CANCEL, CONVERT, ORPHAN, PERSISTENT, VALBLK } = DLM_LKF;

/** From this mode on a lock writes its block. */
const WRITING = DLM_LOCK.PW;
/** After how long an unlock that nobody waits for is tried again when it was refused, milliseconds. */
const AGAIN_MS = 100;

/** Who is told what the requests find out. */
export interface RequestsOwner {
  /** The lock manager has said that the locks are lost; ends in {@link Requests.end}. */
  onLost(): void;
  /** Whether somebody is to be told by {@link RequestsOwner.onBlocked}. */
  hearsBlocked(): boolean;
  /** The lock is in the way of a request for this mode, for the first time. */
  onBlocked(lock: Lock, level: LockMode): void;
  /** Who is known to hold it, for people; empty where that cannot be known. */
  holdersOf(name: LockName): string;
}

export class Requests {
  readonly #glue: StackGlue;
  readonly #connection: ClusterConnection<LockRecord>;
  readonly #owner: RequestsOwner;
  readonly #failures: RequestFailures;
  readonly #list: RecordList;
  readonly #teller: Teller;
  #withdrawals = 0;
  #end: DlmError | undefined;
  /** Set when the lockspace is open, if it has tokens. */
  numbering: Numbering | undefined;

  // What the promise that was made last is settled by: one executor serves all.
  #taken!: Settle<never>;
  readonly #take = (resolve: Settle<never>): void => {
    this.#taken = resolve;
  };

  constructor(
    glue: StackGlue,
    connection: ClusterConnection<LockRecord>,
    owner: RequestsOwner,
    readonly rules: Rules,
  ) {
    this.#glue = glue;
    this.#connection = connection;
    this.#owner = owner;
    this.#failures = new RequestFailures(connection.name);
    this.#teller = new Teller(connection.name, connection.clock);
    this.#list = new RecordList((lksb) => glue.dlmLvb(lksb));
  }

  /** How many requests are being taken back that nobody waits for any more. */
  get withdrawals(): number {
    return this.#withdrawals;
  }

  /** What a lock throws that has not what the program asks it for. */
  get failures(): Pick<RequestFailures, 'noValue' | 'noToken'> {
    return this.#failures;
  }

  /** Whether the lock manager gives nothing any more. */
  get hasEnded(): boolean {
    return this.#end !== undefined;
  }

  /** The locks that are held or waited for. */
  get records(): readonly LockRecord[] {
    return this.#list.all;
  }

  /**
   * Asks for a new lock, with `flags` of `DLM_LKF`. Resolves to it; with NOQUEUE, where somebody is in the way, to
   * null. With ORPHAN an orphan is adopted: null if there is none. `isOwn`: on a name of ours. `watcher`: hears of what
   * others want, and the program does not. The arguments have been checked.
   */
  lock(
    name: LockName,
    mode: LockMode,
    flags: number,
    options: LockOptions | undefined,
    block?: LockBlock,
    isOwn = false,
    watcher?: BlockedWatcher,
  ): Promise<Lock | null> {
    if (this.#end !== undefined)
      throw this.#failures.ended((flags & ORPHAN) === 0 ? 'lock' : 'adopt', name, mode, this.#end);
    throwIfAborted(options?.signal);
    const transactionId = options?.transactionId;
    const lksb =
      transactionId === undefined ? this.#list.takeLksb() : new DlmLksb({ transactionId });
    const promise = new Promise<Lock | null>(this.#take as (resolve: Settle<Lock | null>) => void);
    const record = new LockRecord(lksb, name, mode, this.#taken, this.#list.size, block);
    record.isOwn = isOwn;
    record.onBlocked = watcher;
    record.isLksbOwn = transactionId !== undefined;
    record.adopts = (flags & ORPHAN) !== 0;
    record.isPersistent = (flags & PERSISTENT) !== 0;
    // An adoption brings no block, whatever it says.
    const all = block === undefined || record.adopts ? flags : flags | VALBLK;
    const status = this.#glue.dlmLock(this.#connection, mode, lksb, all, name, record);
    this.#teller.request(record);
    if (status !== 0) {
      // The glue may have refused the name before the status block was of any connection.
      if (status !== -EINVAL) this.#list.keepLksb(record);
      return this.#refusedLock(record, status);
    }
    this.#list.add(record);
    if (options !== undefined) this.#limit(record, options);
    return promise;
  }

  /** Asks for another mode. Resolves when the lock has it. */
  convert(record: LockRecord, mode: LockMode, options: WaitOptions): Promise<undefined> {
    this.#failures.checkUsable(record, mode, 'convert');
    throwIfAborted(options.signal);
    const about = this.#failures.about('convert', record.name, mode);
    if (record.settle !== undefined || record.next !== undefined) throw failures.busy(about);
    const isLimited = hasLimit(options);
    const from = record.certainMode;
    const mayDeadlock = !this.rules.detectsDeadlocks && !record.isOwn;
    if (!isLimited && mayDeadlock && !isDown(from, mode)) {
      throw failures.unlimited(about, from);
    }
    const promise = new Promise<undefined>(this.#take as (resolve: Settle<undefined>) => void);
    const settle = this.#taken as Settle<undefined>;
    const isFirst = record.phase === 'held' && mustWriteFirst(record, mode);
    if (record.phase === 'held' && !isFirst) {
      record.settle = settle;
      this.#startConversion(record, mode);
      if (isLimited && isWaiting(record)) this.#limit(record, options);
      return promise;
    }
    const next: NextConversion = { mode, settle, limit: undefined };
    record.next = next;
    if (isLimited) this.#limitNext(record, next, about, options);
    if (isFirst) this.#startWrite(record);
    return promise;
  }

  /** Writes the block, and keeps the mode. Resolves when it is there for others to read. */
  write(record: LockRecord): Promise<undefined> {
    this.#failures.checkUsable(record, record.mode, 'convert');
    const about = this.#failures.about('convert', record.name, record.mode);
    // What a caller still waits for, or comes next, is there in other phases only.
    if (record.phase !== 'held') throw failures.busy(about);
    if (record.mode < WRITING) throw failures.readOnly(about);
    if (record.block?.isDetached === true) throw failures.detached(about);
    const promise = new Promise<undefined>(this.#take as (resolve: Settle<undefined>) => void);
    record.settle = this.#taken;
    record.block?.touch();
    this.#startWrite(record);
    return promise;
  }

  /** Has a lock that was just granted stay when this process ends. Resolves when it does. */
  persist(record: LockRecord, options: WaitOptions): Promise<undefined> {
    this.#failures.checkUsable(record, record.mode, 'convert');
    throwIfAborted(options.signal);
    const promise = new Promise<undefined>(this.#take as (resolve: Settle<undefined>) => void);
    record.settle = this.#taken;
    record.isPersistent = true;
    this.#startWrite(record);
    if (hasLimit(options) && isWaiting(record)) this.#limit(record, options);
    return promise;
  }

  /** Gives the lock up. Resolves when it is gone; once it was asked for, the same promise. */
  release(record: LockRecord): Promise<undefined> {
    const { released } = record;
    if (released !== undefined) return released;
    if (record.end !== undefined) {
      return Promise.reject(this.#failures.ended('release', record.name, record.mode, record.end));
    }
    const promise = new Promise<undefined>(this.#take as (resolve: Settle<undefined>) => void);
    record.released = promise;
    record.settleRelease = this.#taken as Settle<undefined>;
    record.isReleasing = true;
    if (record.phase === 'held') this.#unlock(record);
    else this.#releaseInBetween(record);
    return promise;
  }

  /** Gives a lock up that was granted and that the program is not to have after all; nobody waits for it. */
  giveBack(record: LockRecord): void {
    if (record.phase === 'gone' || record.isReleasing) return;
    if (!record.isWithdrawn) this.#withdrawals += 1;
    record.isWithdrawn = record.isReleasing = true;
    record.lock = undefined;
    // Else when what is under way, and was cancelled, has ended.
    if (record.phase === 'held') this.#unlock(record);
  }

  /**
   * The lock manager gives nothing and takes nothing any more: all locks are lost, for this reason. `released`:
   * when what was being given up is gone, if that is known to come.
   */
  end(end: DlmError, released?: Promise<undefined>): void {
    if (this.#end !== undefined) return;
    this.#end = this.#failures.end = end;
    this.#withdrawals = 0;
    const records = this.#list.clear();
    for (const record of records) this.#lose(record, end, released);
    // Those who listen may call us, also about another lock.
    for (const { lost } of records) lost?.abort(end);
  }

  // ---- The protocol's handlers ----

  /** A request has completed. */
  lockAst(record: LockRecord): void {
    const { phase } = record;
    if (phase !== 'asking' && phase !== 'converting' && phase !== 'reverting') return;
    const status = this.#glue.dlmLockStatus(record.lksb);
    if (status === 0) this.#granted(record);
    else if (status === -ENOTCONN) this.#owner.onLost();
    else if (phase === 'asking') this.#notGranted(record, status);
    else this.#notConverted(record, status);
  }

  /** The lock is in somebody's way. Returns what the program's handler does. */
  blockingAst(record: LockRecord, level: LockMode): unknown {
    if (record.phase === 'gone' || level <= record.wantedByOthers) return undefined;
    record.wantedByOthers = level;
    const { lock } = record;
    // Who has not been told of the grant cannot give it up yet, and would not be told again.
    if (lock === undefined || record.isReleasing || record.phase === 'numbering') return undefined;
    this.#teller.blocked(record, level);
    if (record.isOwn || typeof record.onBlocked === 'object') return tellBlocked(record);
    this.#emitBlocked(lock, level);
    return tellBlocked(record);
  }

  /** What one listener throws must not keep the other from hearing of it. Mostly there is none. */
  #emitBlocked(lock: Lock, level: LockMode): void {
    if (this.#owner.hearsBlocked()) queueMicrotask(() => this.#owner.onBlocked(lock, level));
  }

  /** An unlock or a cancel has completed. */
  unlockAst(record: LockRecord, error: number): void {
    const { phase } = record;
    if (phase === 'gone') return;
    if (error === -ENOTCONN) this.#owner.onLost();
    else if (phase === 'unlocking') this.#unlocked(record, error);
    // A cancel that was refused changes nothing: what it was for ends by itself.
    else if (error !== 0) return;
    else if (phase === 'asking') this.#notGranted(record, -ECANCEL);
    else if (phase === 'converting') this.#notConverted(record, -ECANCEL);
  }

  #granted(record: LockRecord): void {
    const { phase, block } = record;
    const isNew = phase === 'asking';
    const before = record.modeBefore;
    record.mode = record.wanted;
    if (block !== undefined && !(isNew && record.adopts)) {
      const { lksb, mode } = record;
      const isValid = this.#glue.dlmLvbValid(lksb);
      block.granted(this.#glue.dlmLvb(lksb), isNew ? NOTHING_HELD : before, mode, isValid);
    }
    if (isNew) {
      record.phase = 'held';
      if (record.isWithdrawn) {
        this.#unlock(record);
        return;
      }
      if (this.numbering !== undefined && this.#isNumbered(record, this.numbering)) return;
      this.#handOut(record);
      return;
    }
    record.wantedByOthers = -1;
    // Given back untold, unless that could make it wait: then `lock.mode` tells.
    const isUnwanted = record.phase !== 'reverting' && record.isWithdrawn && !record.isReleasing;
    record.phase = 'held';
    if (isUnwanted && record.mode !== before && isDown(record.mode, before)) {
      this.#revert(record, before);
      return;
    }
    if (!record.isWriting && record.settle !== undefined && this.numbering !== undefined) {
      if (this.#isNumbered(record, this.numbering)) return;
    }
    if (!record.isWriting && record.settle !== undefined) this.#teller.granted(record, false);
    record.isWriting = false;
    this.#settle(record, undefined as never);
    this.#atRest(record);
  }

  /** A new lock's grant is the program's. */
  #handOut(record: LockRecord): void {
    const lock = new Lock(record, this);
    record.lock = lock;
    this.#teller.granted(record, true);
    this.#settle(record, lock as never);
  }

  // ---- Tokens ----

  /** Gives what was granted its token. Returns true if that takes a sequence: then the caller is told later. */
  #isNumbered(record: LockRecord, numbering: Numbering): boolean {
    const { block } = record;
    if (record.mode < WRITING || record.isOwn || block === undefined) return false;
    try {
      if (numbering.next(block)) return false;
    } catch (error) {
      this.#notNumbered(record, error);
      return true;
    }
    record.phase = 'numbering';
    // Once the caller has given up, another conversion can be in this state.
    const { settle } = record;
    const isWanted = (): boolean => record.phase === 'numbering' && record.settle === settle;
    void numbering.take(block, isWanted).then(
      () => {
        if (isWanted()) this.#numbered(record);
      },
      (error: unknown) => {
        if (isWanted()) this.#notNumbered(record, error);
      },
    );
    return true;
  }

  #numbered(record: LockRecord): void {
    record.phase = 'held';
    if (record.lock === undefined) {
      this.#handOut(record);
    } else {
      this.#teller.granted(record, false);
      this.#settle(record, undefined as never);
      this.#atRest(record);
    }
    this.#tellWanted(record);
  }

  /** What was wanted of others meanwhile; the caller hears of the grant before. */
  #tellWanted(record: LockRecord): void {
    const { lock, wantedByOthers } = record;
    if (lock === undefined || wantedByOthers < 0) return;
    if (typeof record.onBlocked === 'object') {
      tellBlocked(record);
      return;
    }
    this.#emitBlocked(lock, wantedByOthers as LockMode);
    queueMicrotask(() => {
      if (lock.held) tellBlocked(record);
    });
  }

  /** There is no token, so there is no grant. */
  #notNumbered(record: LockRecord, error: unknown): void {
    const { settle } = record;
    this.#lift(record);
    settle?.(failWith(() => error));
    this.#ungrant(record);
  }

  /** Takes back what was granted, and what the caller does not want, or cannot have. */
  #ungrant(record: LockRecord): void {
    const { modeBefore, mode } = record;
    record.phase = 'held';
    if (!record.isWithdrawn) this.#withdrawals += 1;
    record.isWithdrawn = true;
    if (record.lock === undefined) {
      record.isReleasing = true;
      this.#unlock(record);
    } else if (!record.isReleasing && mode !== modeBefore && isDown(mode, modeBefore)) {
      this.#revert(record, modeBefore);
    } else {
      this.#atRest(record);
      if (!record.isReleasing) this.#tellWanted(record);
    }
  }

  /** Nothing is under way on the lock any more. */
  #atRest(record: LockRecord): void {
    record.phase = 'held';
    if (record.isReleasing) {
      // What nobody has seen is being taken back until it is gone.
      if (record.lock !== undefined) this.#notWithdrawn(record);
      this.#unlock(record);
      return;
    }
    this.#notWithdrawn(record);
    const { next } = record;
    if (next === undefined) return;
    // Again, if the program has changed it while it was written.
    if (mustWriteFirst(record, next.mode)) {
      this.#startWrite(record);
      return;
    }
    record.next = undefined;
    record.settle = next.settle;
    record.limit = next.limit;
    this.#startConversion(record, next.mode);
  }

  #notGranted(record: LockRecord, status: number): void {
    const { settle } = record;
    this.#lift(record);
    this.#gone(record);
    if (settle === undefined) return;
    if (status === (record.adopts ? -ENOENT : -EAGAIN)) {
      this.#teller.refused(record, record.wanted, null);
      settle(null as never);
      return;
    }
    const refused = (): DlmError => this.#failures.refused(opOf(record, 'asking'), record, status);
    settle(failWith(() => this.#refusedWith(record, record.wanted, refused())));
  }

  #notConverted(record: LockRecord, status: number): void {
    const { settle, wanted, mode, next } = record;
    this.#lift(record);
    const failed = (): DlmError => this.#failures.conversion(record, wanted, mode, status);
    settle?.(failWith(() => this.#refusedWith(record, wanted, failed())));
    if (record.isWriting) {
      record.isWriting = false;
      // What was to come behind it would have read over what was not written.
      record.next = undefined;
      next?.limit?.lift();
      next?.settle(failWith(failed));
    }
    this.#atRest(record);
  }

  /** The same, when whoever follows has been told. */
  #refusedWith<Why>(record: LockRecord, mode: LockMode, why: Why): Why {
    this.#teller.refused(record, mode, why);
    return why;
  }

  #unlocked(record: LockRecord, error: number): void {
    if (error !== 0) {
      this.#unlockRefused(record, error);
      return;
    }
    const { settleRelease } = record;
    this.#gone(record);
    if (record.lock !== undefined) this.#teller.released(record);
    settleRelease?.(undefined);
  }

  // ---- Requests ----

  #startConversion(record: LockRecord, mode: LockMode): void {
    if (mode === record.mode) {
      // A node that is not the master would get no AST for it.
      this.#settle(record, undefined as never);
      return;
    }
    record.wanted = mode;
    record.modeBefore = record.mode;
    const status = this.#ask(record, mode);
    if (status === 0) {
      record.phase = 'converting';
      this.#teller.request(record);
      return;
    }
    if (this.#isLoss(status)) {
      this.#owner.onLost();
      return;
    }
    const { settle, mode: held } = record;
    this.#lift(record);
    settle?.(failWith(() => this.#failures.conversion(record, mode, held, status)));
  }

  /** The block goes to the lock manager, and the mode stays. */
  #startWrite(record: LockRecord): void {
    const { mode } = record;
    record.isWriting = true;
    record.wanted = record.modeBefore = mode;
    const status = this.#ask(record, mode);
    if (status === 0) record.phase = 'converting';
    else if (this.#isLoss(status)) this.#owner.onLost();
    else this.#notConverted(record, status);
  }

  /** For another mode, with the block if there is one. */
  #ask(record: LockRecord, mode: LockMode): number {
    const { lksb, name, block } = record;
    let flags: number = record.isPersistent ? CONVERT | PERSISTENT : CONVERT;
    if (block !== undefined) flags |= block.prepare(this.#glue.dlmLvb(lksb), record.mode, mode);
    return this.#glue.dlmLock(this.#connection, mode, lksb, flags, name, record);
  }

  /** Back to a mode that nobody can be in the way of. */
  #revert(record: LockRecord, mode: LockMode): void {
    record.wanted = mode;
    record.modeBefore = record.mode;
    const status = this.#ask(record, mode);
    if (status === 0) record.phase = 'reverting';
    else if (this.#isLoss(status)) this.#owner.onLost();
    else this.#atRest(record);
  }

  /** From `held`. */
  #unlock(record: LockRecord): void {
    record.again = undefined;
    const { lksb, block } = record;
    const flags =
      block === undefined ? 0 : block.prepareUnlock(this.#glue.dlmLvb(lksb), record.mode);
    const status = this.#glue.dlmUnlock(this.#connection, lksb, flags);
    if (status === 0) record.phase = 'unlocking';
    else if (this.#isLoss(status)) this.#owner.onLost();
    else this.#unlockRefused(record, status);
  }

  /** The lock is as it was. Who waits is told and may try again; where nobody does, we do. */
  #unlockRefused(record: LockRecord, status: number): void {
    record.phase = 'held';
    const { settleRelease, lock } = record;
    if (lock === undefined) {
      record.again = this.#connection.clock.setTimeout(() => this.#unlock(record), AGAIN_MS);
      return;
    }
    record.isReleasing = false;
    record.settleRelease = record.released = undefined;
    settleRelease?.(failWith(() => this.#failures.refused('release', record, status)));
  }

  /** While a conversion is under way, which ends first. */
  #releaseInBetween(record: LockRecord): void {
    const { settle, next } = record;
    const about = this.#failures.about('convert', record.name, record.wanted);
    if (next !== undefined) {
      record.next = undefined;
      next.limit?.lift();
      next.settle(failWith(() => failures.released(about)));
    }
    if (settle === undefined) return;
    this.#lift(record);
    settle(failWith(() => failures.released(about)));
    this.#withdraw(record);
  }

  /** Nobody waits for what is under way any more. */
  #withdraw(record: LockRecord): void {
    if (record.phase === 'numbering') {
      this.#ungrant(record);
      return;
    }
    record.isWithdrawn = record.wasCancelled = true;
    this.#withdrawals += 1;
    // Whatever it answers, a completion comes: the cancel's, or that of what it was for.
    const status = this.#glue.dlmUnlock(this.#connection, record.lksb, CANCEL);
    if (this.#isLoss(status)) this.#owner.onLost();
  }

  // ---- Ends ----

  #gone(record: LockRecord): void {
    this.#notWithdrawn(record);
    record.phase = 'gone';
    this.#list.remove(record);
  }

  #lose(record: LockRecord, end: DlmError, released: Promise<undefined> | undefined): void {
    const { settle, settleRelease, next, phase } = record;
    if (record.lock !== undefined) this.#teller.lost(record, end);
    record.phase = 'gone';
    record.end = end;
    record.isWithdrawn = false;
    // What has not been asked for yet does not end a persistent lock.
    const isReleased = phase === 'unlocking' || !record.isPersistent;
    if (record.again !== undefined) this.#connection.clock.clearTimeout(record.again);
    this.#lift(record);
    const op = opOf(record, phase);
    settle?.(failWith(() => this.#failures.ended(op, record.name, record.wanted, end)));
    next?.limit?.lift();
    next?.settle(failWith(() => this.#failures.ended('convert', record.name, next.mode, end)));
    record.next = undefined;
    settleRelease?.(
      (isReleased ? released : undefined) ??
        failWith(() => this.#failures.ended('release', record.name, record.mode, end)),
    );
  }

  #notWithdrawn(record: LockRecord): void {
    if (!record.isWithdrawn) return;
    record.isWithdrawn = false;
    this.#withdrawals -= 1;
  }

  #settle(record: LockRecord, value: never): void {
    const { settle } = record;
    this.#lift(record);
    settle?.(value);
  }

  /** Who waited is being answered. */
  #lift(record: LockRecord): void {
    record.settle = undefined;
    if (record.limit === undefined) return;
    record.limit.lift();
    record.limit = undefined;
  }

  #limit(record: LockRecord, options: WaitOptions): void {
    const op = opOf(record, record.phase);
    const about = this.#failures.about(op, record.name, record.wanted);
    record.limit = this.#newLimit(about, options, (why) => this.#limitReached(record, why));
  }

  #limitReached(record: LockRecord, why: () => unknown): void {
    const { settle } = record;
    record.settle = record.limit = undefined;
    if (settle === undefined) return;
    const { wanted } = record;
    settle(failWith(() => this.#refusedWith(record, wanted, why())));
    this.#withdraw(record);
  }

  /** The limit of a conversion that may have begun when it is reached. */
  #limitNext(record: LockRecord, next: NextConversion, about: About, options: WaitOptions): void {
    const reached = (why: () => unknown): void => {
      if (record.next !== next) {
        this.#limitReached(record, why);
        return;
      }
      record.next = undefined;
      next.settle(failWith(why));
    };
    next.limit = this.#newLimit(about, options, reached);
  }

  #newLimit(about: About, options: WaitOptions, onReached: OnReached): Limit | undefined {
    const timedOut = (timeoutMs: number): DlmError => {
      return failures.timedOut(about, timeoutMs, this.#owner.holdersOf(about.name));
    };
    try {
      return new Limit(this.#connection.clock, options, timedOut, onReached);
    } catch (error) {
      // A library's signal that takes no listener: what was asked for with it must not stay.
      onReached(() => error);
      return undefined;
    }
  }

  /** A node that is dead is refused everything: -EPERM by `o2cb`, -ENOTCONN by `user`. */
  #isLoss(status: number): boolean {
    return status === -ENOTCONN || status === -EPERM;
  }

  #refusedLock(record: LockRecord, status: number): Promise<null> {
    if (status === (record.adopts ? -ENOENT : -EAGAIN)) {
      this.#teller.refused(record, record.wanted, null);
      return Promise.resolve(null);
    }
    if (status === -EINVAL) checkWellFormed('name', record.name);
    if (this.#isLoss(status)) this.#owner.onLost();
    const error = this.#failures.refused(opOf(record, 'asking'), record, status);
    throw this.#refusedWith(record, record.wanted, error);
  }
}

function hasLimit({ signal, timeoutMs }: WaitOptions): boolean {
  return signal !== undefined || timeoutMs !== undefined;
}

/** Whether a conversion would read over what the program has put into the block: PW to EX. */
function mustWriteFirst({ block, mode }: LockRecord, wanted: LockMode): boolean {
  return mode >= WRITING && wanted > mode && block?.isChanged === true;
}

/** Whether somebody waits for what is under way; the compiler does not see that a call may have ended it. */
function isWaiting(record: LockRecord): boolean {
  return record.settle !== undefined;
}
