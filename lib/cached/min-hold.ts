/** How long a lock is kept although others want it: `gfs2_glock_update_hold_time`, in milliseconds from the grant. */

/** What it adapts within, and where it begins. */
export const MIN_HOLD = Object.freeze({ START: 50, MIN: 10, MAX: 200 });

const UP = 50;
const DOWN = 25;

/** Who waits longer than this for a grant keeps the next one longer. */
const LONG_WAIT_MS = 1000;

/** After a grant that somebody has waited for so long. */
export function afterWait(minHold: number, waitedMs: number): number {
  return waitedMs > LONG_WAIT_MS ? Math.min(MIN_HOLD.MAX, minHold + UP) : minHold;
}

/** After a lock was kept for nobody. */
export function afterNoUse(minHold: number): number {
  return Math.max(MIN_HOLD.MIN, minHold - DOWN);
}
