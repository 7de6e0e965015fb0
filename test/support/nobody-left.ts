/** Waiting for what nothing tells of: processes of others, and threads that are still listed. */
import { setTimeout as pause } from 'node:timers/promises';

/** Between two looks. Without a pause those who look would keep a single processor from those who are to end. */
const PAUSE_MS = 10;

/** No host is so slow: this is for the message that names those who stay for ever. */
const DEADLINE_MS = 600_000;

/** Resolves once `look` finds nobody; after the deadline it rejects and names those who are still there. */
export async function nobodyLeft(look: () => readonly string[]): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS;
  for (;;) {
    const left = look();
    if (left.length === 0) return;
    if (performance.now() > deadline) throw new Error(`still there: ${left.join(', ')}`);
    await pause(PAUSE_MS);
  }
}
