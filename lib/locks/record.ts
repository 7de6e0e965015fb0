/** The inside of a lock, from the request to the end. README.md has the states. */
import type { LockMode } from '../constants.js';
import type { DlmError } from '../errors.js';
import type { DlmLksb } from '../glue.js';
import type { LockBlock } from './block.js';
import type { Limit } from './limit.js';
import type { Lock } from './lock.js';
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

/**
 * One lock. Only requests.ts changes it; lock.ts is what the program sees of it. The fields are only declared
 * here, and set by the constructor: initialisers are a call of their own, once for each lock.
 */
export class LockRecord {
  declare phase: Phase;
  declare readonly lksb: DlmLksb;
  declare readonly name: LockName;
  /** What is held; of a new lock nothing yet. */
  declare mode: LockMode;
  /** What was asked for last. */
  declare wanted: LockMode;
  /** What was held before the conversion that is under way. */
  declare modeBefore: LockMode;
  /** Its value block; undefined: it has nothing to do with it. */
  declare block: LockBlock | undefined;
  /** The block is being written, without another mode. */
  declare isWriting: boolean;
  /** The program's handle, from the grant on. */
  declare lock: Lock | undefined;
  /** Ends the call that waits: of `lock`, `tryLock` or `convert`. Undefined: nobody waits. */
  declare settle: Settle<never> | undefined;
  declare limit: Limit | undefined;
  /** What is under way is to end as if it had not been asked for. */
  declare isWithdrawn: boolean;
  /** Something of it was cancelled, or was to be. */
  declare wasCancelled: boolean;
  /** Stays when this process ends; to be said with each conversion again. */
  declare isPersistent: boolean;
  /** What was asked for is a lock that a process has left. */
  declare adopts: boolean;
  /** It is on a name of ours: nobody is told of it, and it deadlocks with nobody. */
  declare isOwn: boolean;
  /** The status block is of a transaction of its own. */
  declare isLksbOwn: boolean;
  /** The program has given the lock up. */
  declare isReleasing: boolean;
  declare settleRelease: Settle<undefined> | undefined;
  declare released: Promise<undefined> | undefined;
  declare next: NextConversion | undefined;
  /** The highest mode that others have been seen to want since the mode changed, and were told of; -1: none. */
  declare wantedByOthers: number;
  declare toldOf: number;
  declare onBlocked: ((mode: Mode) => unknown) | undefined;
  /** Why it was lost. */
  declare end: DlmError | undefined;
  declare lost: AbortController | undefined;
  /** The timer of an unlock that was refused, and that nobody waits for. */
  declare again: unknown;
  /** Where it is in the list of all. */
  declare slot: number;

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
    this.mode = 0;
    this.wanted = wanted;
    this.modeBefore = 0;
    this.block = block;
    this.isWriting = false;
    this.lock = undefined;
    this.settle = settle;
    this.limit = undefined;
    this.isWithdrawn = this.wasCancelled = this.isReleasing = false;
    this.isPersistent = this.adopts = this.isOwn = this.isLksbOwn = false;
    this.settleRelease = undefined;
    this.released = undefined;
    this.next = undefined;
    this.wantedByOthers = this.toldOf = -1;
    this.onBlocked = undefined;
    this.end = undefined;
    this.lost = undefined;
    this.again = undefined;
    this.slot = slot;
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
}
