/** In plain JavaScript: `using()` releases, whatever becomes of the work. */
import { openLockspace } from 'stackglue';

const ls = await openLockspace('example-plain', { stack: 'user' });

const size = await ls.using('inode/42', 'EX', { timeoutMs: 10_000 }, async (lock, signal) => {
  console.log(`node ${ls.thisNode} has ${lock.mode} on ${lock.name}`);
  signal.throwIfAborted(); // aborted when the lock is lost
  return 7;
});
console.log(`the work returned ${size}`);

await ls
  .using('inode/42', 'EX', async () => {
    throw new Error('the work failed');
  })
  .catch((error) => console.log(`${error.message}, and the lock is free again`));

await ls.close();
