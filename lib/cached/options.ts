/** How locks are cached. */
import {
  checkBoolean,
  checkFunction,
  checkInteger,
  checkOptions,
  invalidType,
  outOfRange,
} from '../errors.js';
import { checkWait, type WaitOptions } from '../locks/limit.js';
import { WRITE, READ, type CachedMode, type Level } from './levels.js';
import { isHold, type Hold } from './hold.js';
import type { RevokeHandler } from './revocation.js';

/** How one name is cached. */
export interface CachedOptions {
  /** What has to be done before the name is given away. Absent: nothing. */
  readonly onRevoke?: RevokeHandler | undefined;
  /**
   * How long the lock is kept after its grant, once it is in use, although others want it: milliseconds, 0 to 60,000.
   * Absent: it adapts from 10 to 200. 0: it goes as soon as no hold needs it.
   */
  readonly minHoldMs?: number | undefined;
}

/** How many cached locks a lockspace keeps that nobody uses. */
export interface CacheLimits {
  /** So many names, in use or not; beyond them, those that are not in use go, oldest first. 1 to 2^30; 100,000 by default. */
  readonly maxIdle?: number | undefined;
  /** Those that were not used for so long go: milliseconds, 1 to 2^31 - 1; five minutes by default. */
  readonly idleMs?: number | undefined;
}

/** How `tryHold` holds. */
export interface TryHoldOptions {
  /**
   * A hold of the same name that is held, and that this one is inside: then it waits for nobody. Inside `PR` there
   * is only `PR`. Without it, who holds a name and waits for it again can wait for itself.
   */
  readonly within?: Hold | undefined;
  /**
   * `EX` beside other holds of this process that are `EX` and `shared`, too; they sort out among themselves who does
   * what. False by default: `EX` is alone, in this process as in the cluster.
   */
  readonly shared?: boolean | undefined;
}

/** How `hold` waits. */
export interface HoldOptions extends TryHoldOptions, WaitOptions {}

/** What `trim` leaves. */
export interface TrimOptions {
  /** So many names stay cached, those that are in use included: the newest. 0 by default. */
  readonly keep?: number | undefined;
  /** So many are given back at a time: 1 to 65,536; 64 by default. */
  readonly concurrency?: number | undefined;
}

export const LIMIT_DEFAULTS = Object.freeze({ maxIdle: 100_000, idleMs: 300_000 });
export const CONCURRENCY = 64;

const MIN_HOLD_MAX_MS = 60_000;
const TIMER_MAX_MS = 2 ** 31 - 1;
/** So many places the tables can have. */
const NAMES_MAX = 2 ** 30;

const CACHED_OPTIONS: Readonly<Record<keyof CachedOptions, true>> = {
  onRevoke: true,
  minHoldMs: true,
};
const CACHE_LIMITS: Readonly<Record<keyof CacheLimits, true>> = { maxIdle: true, idleMs: true };
const TRY_HOLD_OPTIONS: Readonly<Record<keyof TryHoldOptions, true>> = {
  within: true,
  shared: true,
};
const HOLD_OPTIONS: Readonly<Record<keyof HoldOptions, true>> = {
  ...TRY_HOLD_OPTIONS,
  signal: true,
  timeoutMs: true,
};
const TRIM_OPTIONS: Readonly<Record<keyof TrimOptions, true>> = { keep: true, concurrency: true };

export function checkCachedOptions(options: CachedOptions): void {
  checkOptions<CachedOptions>('options', options, CACHED_OPTIONS);
  const { onRevoke, minHoldMs } = options;
  if (onRevoke !== undefined) checkFunction('options.onRevoke', onRevoke);
  if (minHoldMs !== undefined) {
    checkInteger('options.minHoldMs', minHoldMs, 0, MIN_HOLD_MAX_MS);
  }
}

export function checkCacheLimits(argument: string, limits: CacheLimits): void {
  checkOptions<CacheLimits>(argument, limits, CACHE_LIMITS);
  const { maxIdle, idleMs } = limits;
  if (maxIdle !== undefined) checkInteger(`${argument}.maxIdle`, maxIdle, 1, NAMES_MAX);
  if (idleMs !== undefined) checkInteger(`${argument}.idleMs`, idleMs, 1, TIMER_MAX_MS);
}

export function checkTryHoldOptions(options: TryHoldOptions): void {
  checkOptions<TryHoldOptions>('options', options, TRY_HOLD_OPTIONS);
  checkPlace(options);
}

export function checkHoldOptions(options: HoldOptions): void {
  checkOptions<HoldOptions>('options', options, HOLD_OPTIONS);
  checkWait('options', options);
  checkPlace(options);
}

export function checkTrimOptions(options: TrimOptions): void {
  checkOptions<TrimOptions>('options', options, TRIM_OPTIONS);
  const { keep, concurrency } = options;
  if (keep !== undefined) checkInteger('options.keep', keep, 0, NAMES_MAX);
  if (concurrency !== undefined) checkInteger('options.concurrency', concurrency, 1, 65_536);
}

/** The level of a mode. Throws for what is none. */
export function checkMode(mode: CachedMode): Level {
  const given: string = mode;
  if (given === 'EX') return WRITE;
  if (given === 'PR') return READ;
  throw outOfRange('mode', 'one of PR, EX', mode);
}

function checkPlace({ within, shared }: TryHoldOptions): void {
  if (within !== undefined && !isHold(within)) {
    throw invalidType('options.within', 'a hold', within);
  }
  if (shared !== undefined) checkBoolean('options.shared', shared);
}
