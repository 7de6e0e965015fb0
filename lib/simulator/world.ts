/**
 * What a node's programs ask of the simulation. In the thread that simulates, the native object does
 * it; in a worker thread, calls to that thread do (attach.ts).
 */
import type { NativeSimulation } from '../native.js';
import type { Profile } from './history.js';

/** The calls of a node; see `NativeSimulation`. */
export interface World extends Pick<
  NativeSimulation,
  | 'nowUs'
  | 'join'
  | 'leave'
  | 'lock'
  | 'convert'
  | 'unlock'
  | 'deadlockCancel'
  | 'purge'
  | 'ownerPid'
  | 'members'
  | 'membership'
  | 'startTimer'
  | 'stopTimer'
  | 'choose'
  | 'note'
> {
  readonly profile: Profile;
  /** The simulation has failed: a handler or a program threw this. */
  fail(error: unknown): void;
}

/** The calls of a {@link World} that go to the thread that simulates. */
export const WORLD_CALLS = [
  'join',
  'leave',
  'lock',
  'convert',
  'unlock',
  'deadlockCancel',
  'purge',
  'ownerPid',
  'members',
  'membership',
  'startTimer',
  'stopTimer',
  'choose',
  'note',
] as const satisfies readonly (keyof World)[];

/**
 * Resolves when what was started has run as far as it can: all promise jobs and `process.nextTick`
 * callbacks, and one round of the `setImmediate` callbacks that were asked for before.
 */
export function drained(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
