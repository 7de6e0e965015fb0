/** Modes by name, and what they mean to each other: `__dlm_compat_matrix` of fs/dlm/lock.c. */
import { DLM_LOCK, type LockMode } from '../constants.js';
import { outOfRange } from '../errors.js';

/**
 * A lock's mode, weakest first. `EX` goes with nobody and `PR` with others that read; `NL` keeps a place
 * and protects nothing. Stack `o2cb` has these three only.
 */
export type Mode = keyof typeof DLM_LOCK;

/** The names at their numbers. */
export const MODE_NAMES: readonly Mode[] = ['NL', 'CR', 'CW', 'PR', 'PW', 'EX'];

/** Which modes go together: a bit for each. */
const TOGETHER: readonly number[] = [0b111111, 0b011111, 0b000111, 0b001011, 0b000011, 0b000001];

/** The modes that a stack has: their numbers by their names. */
export type ModeNumbers = ReadonlyMap<string, LockMode>;

/** Of the modes with these numbers. */
export function modeNumbers(numbers: readonly number[]): ModeNumbers {
  const modes = MODE_NAMES.filter((_, number) => numbers.includes(number));
  return new Map(modes.map((mode) => [mode, DLM_LOCK[mode]]));
}

/** The number of a mode. Throws for what is none, or not one of the stack's. */
export function modeNumber(mode: Mode, modes: ModeNumbers): LockMode {
  const number = modes.get(mode);
  if (number !== undefined) return number;
  throw outOfRange('mode', `one of ${[...modes.keys()].join(', ')} on this stack`, mode);
}

/** Whether two may be held at the same time. */
export function goTogether(a: LockMode, b: LockMode): boolean {
  return ((TOGETHER[a] ?? 0) & (1 << b)) !== 0;
}

/**
 * Whether a conversion from `held` to `wanted` is a step down: everything that goes with `held` goes with
 * `wanted`, so nobody can be in its way.
 */
export function isDown(held: LockMode, wanted: LockMode): boolean {
  return ((TOGETHER[held] ?? 0) & ~(TOGETHER[wanted] ?? 0)) === 0;
}

/** The strongest mode that is in both. Only PR and CW have neither in the other: CR is in both. */
export function weakerOf(a: LockMode, b: LockMode): LockMode {
  if (isDown(a, b)) return b;
  return isDown(b, a) ? a : DLM_LOCK.CR;
}
