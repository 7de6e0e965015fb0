/** What a lock is asked for with. */
import {
  checkBoolean,
  checkInteger,
  checkOptions,
  checkUnsigned64,
  outOfRange,
} from '../errors.js';
import * as failures from './failures.js';
import { checkWait, type WaitOptions } from './limit.js';
import type { Rules } from './rules.js';

/** How a lock is taken. */
export interface LockOptions extends WaitOptions {
  /** With the value that goes with the name: `lock.value`. False by default. */
  readonly value?: boolean | undefined;
  /**
   * With the whole value block and nothing of ours in it, for names that are shared with other programs than those
   * that use this package. Then `lock.value` is that block.
   */
  readonly raw?: boolean | undefined;
  /**
   * It stays when this process ends, in whatever way, or closes the lockspace, and protects on: an orphan, until
   * `adopt` or `purge`, or until the node dies. False by default. Only on stacks that have orphans, else
   * `ERR_DLM_NO_ORPHANS`: `user`, `emulated`, and the simulator's profile `fsdlm`. It takes one more request.
   */
  readonly persistent?: boolean | undefined;
  /**
   * The transaction that it is of, as `DlmLksbOptions` has it: 0 to 2^64 - 1, for people and for those who look for
   * deadlocks. `o2cb` has no place for it.
   */
  readonly transactionId?: bigint | undefined;
}

/** How a lock that was left is adopted. That waits for nobody, and cannot be taken back: so it has no limit. */
export type AdoptOptions = Omit<LockOptions, keyof WaitOptions>;

/** Whose orphans are given up. */
export interface PurgeOptions {
  /** Of which node: 1 to 2^31 - 1. Absent: this one. */
  readonly node?: number | undefined;
  /** Of which process of it, by what `lockspace.ownPid` was there: 1 to 2^31 - 1. Absent: of all that have ended. */
  readonly pid?: number | undefined;
}

const ADOPT_OPTIONS: Readonly<Record<keyof AdoptOptions, true>> = {
  value: true,
  raw: true,
  persistent: true,
  transactionId: true,
};
const LOCK_OPTIONS: Readonly<Record<keyof LockOptions, true>> = {
  ...ADOPT_OPTIONS,
  signal: true,
  timeoutMs: true,
};
const PURGE_OPTIONS: Readonly<Record<keyof PurgeOptions, true>> = { node: true, pid: true };

/** The largest number of a node and of a process. */
const I32_MAX = 2 ** 31 - 1;

/** Throws unless these are options of a lock, which the stack of lockspace `group` can do. */
export function checkLockOptions(
  options: LockOptions,
  rules: Rules,
  group: string,
  hasTokens: boolean,
): void {
  checkOptions<LockOptions>('options', options, LOCK_OPTIONS);
  checkWait('options', options);
  checkHold(options);
  if (options.persistent === true && !rules.hasOrphans) throw failures.noOrphans('lock', group);
  if (!hasTokens) return;
  if (options.persistent === true) throw failures.noOrphansBesideTokens('lock', group);
  if (options.raw === true) {
    throw outOfRange(
      'options.raw',
      'false in a lockspace with tokens, which are in the block',
      true,
    );
  }
}

/** Throws unless these are options of an adoption. */
export function checkAdoptOptions(options: AdoptOptions): void {
  checkOptions<AdoptOptions>('options', options, ADOPT_OPTIONS);
  checkHold(options);
}

/** Throws unless these are options of a purge. */
export function checkPurgeOptions(options: PurgeOptions): void {
  checkOptions<PurgeOptions>('options', options, PURGE_OPTIONS);
  const { node, pid } = options;
  if (node !== undefined) checkInteger('options.node', node, 1, I32_MAX);
  if (pid !== undefined) checkInteger('options.pid', pid, 1, I32_MAX);
}

function checkHold({ value, raw, persistent, transactionId }: AdoptOptions): void {
  if (value !== undefined) checkBoolean('options.value', value);
  if (raw !== undefined) checkBoolean('options.raw', raw);
  if (persistent !== undefined) checkBoolean('options.persistent', persistent);
  if (transactionId !== undefined) checkUnsigned64('options.transactionId', transactionId);
}
