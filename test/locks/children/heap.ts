/**
 * Locks a million names, in all ways, and prints how much more of the heap is used than before: argument 1 is the
 * stack. Needs --expose-gc.
 */
import { openLockspace, type Lockspace } from '../../../lib/index.js';

const NAMES = 1_000_000;
const WARM_UP = 100_000;
const AT_ONCE = 100;

const [, , stack = 'o2cb'] = process.argv;

async function used(): Promise<number> {
  // What finalizers let go of goes with the next one.
  for (let round = 0; round < 4; round += 1) {
    global.gc?.();
    await new Promise(setImmediate);
  }
  return process.memoryUsage().heapUsed;
}

async function lockName(lockspace: Lockspace, name: string, index: number): Promise<void> {
  switch (index % 10) {
    case 0: {
      const controller = new AbortController();
      const waiting = lockspace.lock(name, 'EX', { signal: controller.signal });
      controller.abort();
      await waiting.then(
        (lock) => lock.release(),
        () => undefined,
      );
      return;
    }
    case 1:
      await lockspace.using(name, 'EX', { timeoutMs: 60_000 }, (lock) => lock.convert('NL'));
      return;
    case 2:
      await (await lockspace.tryLock(name, 'PR'))?.release();
      return;
    default:
      await (await lockspace.lock(name, 'EX')).release();
  }
}

async function lockNames(lockspace: Lockspace, prefix: string, count: number): Promise<void> {
  for (let from = 0; from < count; from += AT_ONCE) {
    const all = Array.from({ length: AT_ONCE }, (_, at) =>
      lockName(lockspace, `${prefix}-${from + at}`, from + at),
    );
    await Promise.all(all);
  }
}

const lockspace = await openLockspace('heap', { stack: stack as 'o2cb' });
await lockNames(lockspace, 'warm', WARM_UP);
const before = await used();
await lockNames(lockspace, 'name', NAMES);
const more = (await used()) - before;
const { withdrawals } = lockspace;
await lockspace.close();
console.log(JSON.stringify({ more, withdrawals }));
