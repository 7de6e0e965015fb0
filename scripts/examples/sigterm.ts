/** SIGTERM: the work is ended, the lock given up, and then the program ends by itself. */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';

import { openLockspace } from 'stackglue';

const ls = await openLockspace('example-sigterm', { stack: 'user' });
const stopping = new AbortController();
const ended = once(process, 'SIGTERM').then(() => {
  stopping.abort(new Error('SIGTERM'));
});

await ls
  .using('inode/42', 'EX', { signal: stopping.signal }, async (_, signal) => {
    console.log('working');
    // Aborted by SIGTERM, and when the lock is lost.
    while (!signal.aborted) await sleep(60_000, undefined, { signal }).catch(() => undefined);
  })
  .catch((error: unknown) => {
    // It was still waiting for the lock.
    if (error !== stopping.signal.reason) throw error;
  });
await ended;
await ls.close();
console.log('given up');
