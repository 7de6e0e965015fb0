/**
 * Two nodes take a name from each other again and again, and prints how much more of the heap is used than before: argument
 * 1 is the stack, argument 2 how often. Needs --expose-gc.
 */
import { openLockspace, type CachedLock } from '../../../lib/index.js';

const [, , stack = 'o2cb', count = '20000'] = process.argv;
const NAMES = 10;

async function used(): Promise<number> {
  // What finalizers let go of goes with the next one.
  for (let round = 0; round < 4; round += 1) {
    global.gc?.();
    await new Promise(setImmediate);
  }
  return process.memoryUsage().heapUsed;
}

const lockspaces = await Promise.all(
  [1, 2].map((node) => openLockspace('heap', { stack: stack as 'o2cb' | 'emulated', node })),
);
let revoked = 0;
const names = Array.from({ length: NAMES }, (_, index) =>
  lockspaces.map((lockspace) =>
    lockspace.cached(`n${index}`, { minHoldMs: 0, onRevoke: () => void (revoked += 1) }),
  ),
);

async function fight(locks: readonly CachedLock[], rounds: number): Promise<void> {
  for (let round = 0; round < rounds; round += 1) {
    for (const cached of locks) {
      const hold = await cached.hold(round % 5 === 0 ? 'PR' : 'EX');
      if (hold.lost.aborted) throw new Error('it was lost');
      hold.release();
    }
  }
}

const work = async (rounds: number): Promise<void> => {
  await Promise.all(names.map((locks) => fight(locks, rounds)));
};

await work(500);
const before = await used();
revoked = 0;
await work(Number(count) / NAMES / 2);
const more = (await used()) - before;
const [under] = lockspaces.map((lockspace) => lockspace.revocations().length);
for (const lockspace of lockspaces) await lockspace.close();
console.log(JSON.stringify({ more, revoked, under }));
