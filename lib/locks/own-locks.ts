/** The locks that tokens stand on: on names of ours, with their whole block. No program hears of them. */
import { DLM_LKF, DLM_LOCK } from '../constants.js';
import type { OwnLimit, OwnLock, OwnLocks, OwnMode } from '../tokens/locks.js';
import { LockBlock, type BlockShape } from './block.js';
import type { Requests } from './requests.js';
import type { Rules } from './rules.js';

/** @param raw the shape of a whole block. */
export function ownLocks(requests: Requests, rules: Rules, raw: BlockShape): OwnLocks {
  const ask = async (
    name: string,
    mode: OwnMode,
    flags: number,
    limit: OwnLimit | undefined,
  ): Promise<OwnLock | null> => {
    return requests.lock(name, DLM_LOCK[mode], flags, limit, new LockBlock(raw), true);
  };
  return {
    hasConcurrentWrite: rules.modes.has('CW'),
    flagsBlocks: rules.flagsBlocks,
    lock: (name, mode, limit) => ask(name, mode, 0, limit) as Promise<OwnLock>,
    tryLock: (name, mode, limit) => ask(name, mode, DLM_LKF.NOQUEUE, limit),
  };
}
