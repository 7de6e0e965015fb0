/** The inside of a lock, from the request to the end. README.md has the states. */
import type { LockMode } from '../constants.js';
import type { DlmError } from '../errors.js';
import type { DlmLksb } from '../glue.js';
import type { LockBlock } from './block.js';
import type { Limit } from './limit.js';
import type { BlockedWatcher, Lock } from './lock.js';
import { weakerOf, type Mode } from './modes.js';
import type { LockName } from './rules.js';
import type { Settle } from './settle.js';

/** What the lock manager has of a lock, as far as this side knows. */
export type Phase =
  /** A new lock has been asked for. */
  | 'asking'
  /** Granted, and nothing is under way. */
  | 'held'
  /** Granted, and another mode has been asked for. */
  | 'converting'
  /** Granted, and it takes a sequence before the caller is told. */
  | 'numbering'
  /** A conversion that nobody wanted any more was granted, and is being taken back. */
  | 'reverting'
  /** The unlock has been asked for. */
  | 'unlocking'
  /** There is no lock, or it is not ours any more. */
  | 'gone';

/** A conversion that waits until one that was withdrawn is out of the way. */
export interface NextConversion {
  readonly mode: LockMode;
  readonly settle: Settle<undefined>;
  limit: Limit | undefined;
}

/** What few locks have, and none for long. */
class Rare {
  limit: Limit | undefined;
  next: NextConversion | undefined;
  end: DlmError | undefined;
  lost: AbortController | undefined;
  again: unknown;

  get isEmpty(): boolean {
    const { limit, next, end, lost, again } = this;
    return (limit ?? next ?? end ?? lost ?? again) === undefined;
  }
}

// Modes and flags share one number, because programs have many locks: three bits for each mode, one for each flag.
const MODE_BITS = 0b111;
const WANTED_AT = 3;
const BEFORE_AT = 6;
/** One more than the mode, so that none is 0. */
const BY_OTHERS_AT = 9;
const IS_WRITING = 1 << 12;
const IS_WITHDRAWN = 1 << 13;
const WAS_CANCELLED = 1 << 14;
const IS_PERSISTENT = 1 << 15;
const ADOPTS = 1 << 16;
const IS_OWN = 1 << 17;
const IS_LKSB_OWN = 1 << 18;
const IS_RELEASING = 1 << 19;
const IS_TOLD = 1 << 20;

/**
 * One lock. Only requests.ts changes it; lock.ts is what the program sees of it. The fields are only declared
 * here, and set by the constructor: initialisers are a call of their own, once for each lock.
 */
export class LockRecord {
  declare phase: Phase;
  declare readonly lksb: DlmLksb;
  declare readonly name: LockName;
  /** Its value block; undefined: it has nothing to do with it. */
  declare block: LockBlock | undefined;
  /** The program's handle, from the grant on. */
  declare lock: Lock | undefined;
  /** Ends the call that waits: of `lock`, `tryLock` or `convert`. Undefined: nobody waits. */
  declare settle: Settle<never> | undefined;
  declare settleRelease: Settle<undefined> | undefined;
  declare released: Promise<undefined> | undefined;
  declare onBlocked: ((mode: Mode) => unknown) | BlockedWatcher | undefined;
  /** Where it is in the list of all. */
  declare slot: number;
  declare private bits: number;
  declare private rare: Rare | undefined;

  constructor(
    lksb: DlmLksb,
    name: LockName,
    wanted: LockMode,
    settle: Settle<never>,
    slot: number,
    block: LockBlock | undefined,
  ) {
    this.phase = 'asking';
    this.lksb = lksb;
    this.name = name;
    this.block = block;
    this.lock = undefined;
    this.settle = settle;
    this.settleRelease = undefined;
    this.released = undefined;
    this.onBlocked = undefined;
    this.slot = slot;
    this.bits = wanted << WANTED_AT;
    this.rare = undefined;
  }

  /** What is held; of a new lock nothing yet. */
  get mode(): LockMode {
    return (this.bits & MODE_BITS) as LockMode;
  }

  set mode(mode: LockMode) {
    this.bits = (this.bits & ~MODE_BITS) | mode;
  }

  /** What was asked for last. */
  get wanted(): LockMode {
    return ((this.bits >> WANTED_AT) & MODE_BITS) as LockMode;
  }

  set wanted(mode: LockMode) {
    this.bits = (this.bits & ~(MODE_BITS << WANTED_AT)) | (mode << WANTED_AT);
  }

  /** What was held before the conversion that is under way. */
  get modeBefore(): LockMode {
    return ((this.bits >> BEFORE_AT) & MODE_BITS) as LockMode;
  }

  set modeBefore(mode: LockMode) {
    this.bits = (this.bits & ~(MODE_BITS << BEFORE_AT)) | (mode << BEFORE_AT);
  }

  /** The highest mode that others have been seen to want since the mode changed; -1: none. */
  get wantedByOthers(): number {
    return ((this.bits >> BY_OTHERS_AT) & MODE_BITS) - 1;
  }

  /** Nobody has been told of it. */
  set wantedByOthers(mode: number) {
    const others = (mode + 1) << BY_OTHERS_AT;
    this.bits = (this.bits & ~((MODE_BITS << BY_OTHERS_AT) | IS_TOLD)) | others;
  }

  /** The block is being written, without another mode. */
  get isWriting(): boolean {
    return (this.bits & IS_WRITING) !== 0;
  }

  set isWriting(is: boolean) {
    this.flag(IS_WRITING, is);
  }

  /** What is under way is to end as if it had not been asked for. */
  get isWithdrawn(): boolean {
    return (this.bits & IS_WITHDRAWN) !== 0;
  }

  set isWithdrawn(is: boolean) {
    this.flag(IS_WITHDRAWN, is);
  }

  /** Something of it was cancelled, or was to be. */
  get wasCancelled(): boolean {
    return (this.bits & WAS_CANCELLED) !== 0;
  }

  set wasCancelled(is: boolean) {
    this.flag(WAS_CANCELLED, is);
  }

  /** Stays when this process ends; to be said with each conversion again. */
  get isPersistent(): boolean {
    return (this.bits & IS_PERSISTENT) !== 0;
  }

  set isPersistent(is: boolean) {
    this.flag(IS_PERSISTENT, is);
  }

  /** What was asked for is a lock that a process has left. */
  get adopts(): boolean {
    return (this.bits & ADOPTS) !== 0;
  }

  set adopts(is: boolean) {
    this.flag(ADOPTS, is);
  }

  /** It is on a name of ours: nobody is told of it, and it deadlocks with nobody. */
  get isOwn(): boolean {
    return (this.bits & IS_OWN) !== 0;
  }

  set isOwn(is: boolean) {
    this.flag(IS_OWN, is);
  }

  /** The status block is of a transaction of its own. */
  get isLksbOwn(): boolean {
    return (this.bits & IS_LKSB_OWN) !== 0;
  }

  set isLksbOwn(is: boolean) {
    this.flag(IS_LKSB_OWN, is);
  }

  /** The program has given the lock up. */
  get isReleasing(): boolean {
    return (this.bits & IS_RELEASING) !== 0;
  }

  set isReleasing(is: boolean) {
    this.flag(IS_RELEASING, is);
  }

  /** The program, or who watches for it, has been told of `wantedByOthers`. */
  get isTold(): boolean {
    return (this.bits & IS_TOLD) !== 0;
  }

  set isTold(is: boolean) {
    this.flag(IS_TOLD, is);
  }

  /** Ends the wait early. */
  get limit(): Limit | undefined {
    return this.rare?.limit;
  }

  set limit(value: Limit | undefined) {
    this.setRare('limit', value);
  }

  /** What comes when what is under way has ended. */
  get next(): NextConversion | undefined {
    return this.rare?.next;
  }

  set next(value: NextConversion | undefined) {
    this.setRare('next', value);
  }

  /** Why it was lost. */
  get end(): DlmError | undefined {
    return this.rare?.end;
  }

  set end(value: DlmError | undefined) {
    this.setRare('end', value);
  }

  /** Tells the program that it is. */
  get lost(): AbortController | undefined {
    return this.rare?.lost;
  }

  set lost(value: AbortController | undefined) {
    this.setRare('lost', value);
  }

  /** The timer of an unlock that was refused, and that nobody waits for. */
  get again(): unknown {
    return this.rare?.again;
  }

  set again(value: unknown) {
    this.setRare('again', value);
  }

  /**
   * What is held for certain. A conversion has been granted before this side hears of it, so while one is
   * under way, or being taken back, that is the weaker of its two modes.
   */
  get certainMode(): LockMode {
    if (this.phase === 'numbering') return weakerOf(this.mode, this.modeBefore);
    const isMoving = this.phase === 'converting' || this.phase === 'reverting';
    return isMoving ? weakerOf(this.mode, this.wanted) : this.mode;
  }

  /** Keeps nothing that is over. */
  private setRare<Key extends keyof Rare>(key: Key, value: Rare[Key]): void {
    if (value === undefined && this.rare === undefined) return;
    const rare = (this.rare ??= new Rare());
    rare[key] = value;
    if (value === undefined && rare.isEmpty) this.rare = undefined;
  }

  private flag(bit: number, is: boolean): void {
    this.bits = is ? this.bits | bit : this.bits & ~bit;
  }
}
