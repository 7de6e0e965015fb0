/** What a lock is asked for with. */
import { checkBoolean, checkOptions } from '../errors.js';
import { checkWait, type WaitOptions } from './limit.js';

/** How a lock is taken. */
export interface LockOptions extends WaitOptions {
  /** With the value that goes with the name: `lock.value`. False by default. */
  readonly value?: boolean | undefined;
  /**
   * With the whole value block and nothing of ours in it, for names that are shared with other programs than those
   * that use this package. Then `lock.value` is that block.
   */
  readonly raw?: boolean | undefined;
}

const LOCK_OPTIONS: Readonly<Record<keyof LockOptions, true>> = {
  signal: true,
  timeoutMs: true,
  value: true,
  raw: true,
};

/** Throws unless these are options of a lock. */
export function checkLockOptions(options: LockOptions): void {
  checkOptions<LockOptions>('options', options, LOCK_OPTIONS);
  checkWait('options', options);
  const { value, raw } = options;
  if (value !== undefined) checkBoolean('options.value', value);
  if (raw !== undefined) checkBoolean('options.raw', raw);
}
