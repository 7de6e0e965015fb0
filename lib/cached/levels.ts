/** The levels of a cached lock, and what others' wishes leave of them. */
import { DLM_LOCK } from '../constants.js';
import { goTogether, type Mode } from '../locks/modes.js';

/** The modes in which a cached lock is held: `PR` to read, `EX` to write. */
export type CachedMode = 'PR' | 'EX';

/** What a process has of a name, weakest first. */
export type Level = 0 | 1 | 2;

/** `NL`: nothing. */
export const NONE = 0;
/** `PR`. */
export const READ = 1;
/** `EX`. */
export const WRITE = 2;

/**
 * What a hold has: a level; `EX` beside others of its kind; or `PR` inside `EX`, which counts as `EX` until it ends.
 */
export type HoldKind = typeof READ | typeof WRITE | typeof SHARED_WRITE | typeof READ_INSIDE_WRITE;
export const SHARED_WRITE = 3;
export const READ_INSIDE_WRITE = 4;

/** The modes of levels and of kinds of holds. */
export const LEVEL_MODES = ['NL', 'PR', 'EX', 'EX', 'PR'] as const;

/** The level that a kind of hold takes. */
export function levelOf(kind: HoldKind): Level {
  return kind === READ ? READ : WRITE;
}

/** The highest level that goes with a mode that somebody else wants: `ocfs2_highest_compat_lock_level`. */
export function highestBeside(mode: Mode): Level {
  const wanted = DLM_LOCK[mode];
  if (goTogether(wanted, DLM_LOCK.EX)) return WRITE;
  return goTogether(wanted, DLM_LOCK.PR) ? READ : NONE;
}
