/** The inside of a lock, from the request to the end. README.md has the states. */
import type { LockMode } from '../constants.js';
import type { DlmError } from '../errors.js';
import type { DlmLksb } from '../glue.js';
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

/** One lock. Only requests.ts changes it; lock.ts is what the program sees of it. */
export class LockRecord {
  phase: Phase = 'asking';
  /** What is held; of a new lock nothing yet. */
  mode: LockMode = 0;
  /** What was held before the conversion that is under way. */
  modeBefore: LockMode = 0;
  /** The program's handle, from the grant on. */
  lock: Lock | undefined = undefined;
  /** Ends the call that waits: of `lock`, `tryLock` or `convert`. Undefined: nobody waits. */
  settle: Settle<never> | undefined;
  limit: Limit | undefined = undefined;
  /** What is under way is to end as if it had not been asked for. */
  isWithdrawn = false;
  /** Something of it was cancelled, or was to be. */
  wasCancelled = false;
  /** The program has given the lock up. */
  isReleasing = false;
  settleRelease: Settle<undefined> | undefined = undefined;
  released: Promise<undefined> | undefined = undefined;
  next: NextConversion | undefined = undefined;
  /** The highest mode that others have been seen to want since the mode changed, and were told of; -1: none. */
  wantedByOthers = -1;
  toldOf = -1;
  onBlocked: ((mode: Mode) => unknown) | undefined = undefined;
  /** Why it was lost. */
  end: DlmError | undefined = undefined;
  lost: AbortController | undefined = undefined;
  /** The timer of an unlock that was refused, and that nobody waits for. */
  again: unknown = undefined;
  /** Where it is in the list of all. */
  slot: number;

  constructor(
    readonly lksb: DlmLksb,
    readonly name: LockName,
    /** What was asked for last. */
    public wanted: LockMode,
    settle: Settle<never>,
    slot: number,
  ) {
    this.settle = settle;
    this.slot = slot;
  }

  /**
   * What is held for certain. A conversion has been granted before this side hears of it, so while one is
   * under way, or being taken back, that is the weaker of its two modes.
   */
  get certainMode(): LockMode {
    const isMoving = this.phase === 'converting' || this.phase === 'reverting';
    return isMoving ? weakerOf(this.mode, this.wanted) : this.mode;
  }
}
