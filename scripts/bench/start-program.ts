/** What start.ts times: from nothing to the first lock, and to the end. */
import { openLockspace } from '../../lib/index.js';

const lockspace = await openLockspace('bench', { stack: 'o2cb' });
const lock = await lockspace.lock('name', 'EX');
await lock.release();
await lockspace.close();
