/** A lock, one that is busy, and two at once. `await using` releases at the end of a block. */
import { openLockspace } from 'stackglue';

await using ls = await openLockspace('example-first-lock', { stack: 'user' });

{
  await using lock = await ls.lock('inode/42', 'EX', { timeoutMs: 10_000 });
  console.log(`node ${ls.thisNode} has ${lock.mode} on ${String(lock.name)}`);

  const busy = await ls.tryLock('inode/42', 'PR');
  console.log(busy === null ? 'somebody is in the way: this program itself' : 'free');
}

await using both = await ls.lockAll(['inode/2', 'inode/1'], 'EX');
console.log(`both at once: ${both.locks.map(({ name }) => String(name)).join(', ')}`);
