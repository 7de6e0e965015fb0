/** A level on its way down: for those who ask what takes so long. */
import type { LockName } from '../locks/rules.js';

/**
 * Why a level goes.
 *
 * - `wanted`: another process wants the name.
 * - `idle`: nobody here has used it, and it is given back (`idleMs`, `maxIdle`, `trim()`).
 * - `closed`: the lockspace is being closed.
 * - `lost`: the lock manager has taken it away. What was not stored may be somebody else's by now.
 */
export type RevokeReason = 'wanted' | 'idle' | 'closed' | 'lost';

/**
 * Called before a level is given away, when no hold needs it any more: stores what was changed under `EX`, and with `NL`
 * forgets what was cached. Others wait until it has returned, or its promise is fulfilled. What it throws, or its promise
 * rejects with, keeps the lock here: it is called again, after 100 ms, then twice as long each time, 30 s at most; one that
 * was to go because nobody used it stays.
 *
 * With `closed` holds may be there still: `hold.lost` of each has been aborted. It must not wait for `close()`, nor for a hold of
 * its own name: they wait for it.
 */
export type RevokeHandler = (to: 'PR' | 'NL', reason: RevokeReason) => unknown;

/**
 * What a revocation waits for.
 *
 * - `holds`: holds of this process that go with nothing less.
 * - `onRevoke`: its handlers.
 * - `retry`: they have failed, and are called again.
 * - `cluster`: the lock manager's answer.
 */
export type RevocationState = 'holds' | 'onRevoke' | 'retry' | 'cluster';

/** One that is under way: `lockspace.revocations()`. */
export interface Revocation {
  readonly name: LockName;
  /** The level that is held, and the one that it becomes. */
  readonly from: 'EX' | 'PR';
  readonly to: 'PR' | 'NL';
  readonly reason: RevokeReason;
  readonly state: RevocationState;
  /** By the lockspace's clock, in milliseconds: compare with `clock.now()`. */
  readonly since: number;
  /** How many holds of this process there are, by mode. */
  readonly holds: { readonly PR: number; readonly EX: number };
  /** How many of this process wait for a hold. */
  readonly waiting: number;
  /** How often handlers have failed, and with what the last time. */
  readonly failures: number;
  readonly error: unknown;
}

/** After what time handlers that have failed are called again, milliseconds. */
const AGAIN_MS = 100;
const AGAIN_MAX_MS = 30_000;

/** How long to wait after so many failures. */
export function againAfter(failures: number): number {
  return Math.min(AGAIN_MAX_MS, AGAIN_MS * 2 ** (failures - 1));
}

const NOTHING = Promise.resolve();

/** A handler that has failed, and with what. */
export interface Failure {
  readonly handler: RevokeHandler;
  readonly error: unknown;
}

/** Calls handlers, each from a job of its own, and waits for all. Resolves to those that failed. */
export async function callAll(
  handlers: readonly RevokeHandler[],
  to: 'PR' | 'NL',
  reason: RevokeReason,
): Promise<Failure[]> {
  const failed: Failure[] = [];
  await Promise.all(
    handlers.map(async (handler) => {
      // Who caused it may be in the middle of something.
      await NOTHING;
      try {
        await handler(to, reason);
      } catch (error) {
        failed.push({ handler, error });
      }
    }),
  );
  return failed;
}
