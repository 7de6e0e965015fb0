/**
 * A service that crashes in the middle of its work, is started again, and takes its lock up where it was; nobody else
 * gets in between. Here it is a worker thread, so that the emulation shows it, too; a process does the same.
 */
import { once } from 'node:events';
import { isMainThread, Worker } from 'node:worker_threads';

import { DlmError, openLockspace, type Lock, type Lockspace } from 'stackglue';

const GROUP = 'example-resume';
const VOLUME = 'volume-7';
const STEPS = 3;
const KEPT = { persistent: true, value: true } as const;

/** The lock that was left, or a new one. */
async function resume(ls: Lockspace, name: string): Promise<Lock> {
  for (;;) {
    const left = await ls.adopt(name, 'EX', KEPT);
    if (left !== null) return left;
    try {
      // With a limit: a service that has just died may leave its lock now, and that would never be granted.
      return await ls.lock(name, 'EX', { ...KEPT, timeoutMs: 1000 });
    } catch (error) {
      if (!(error instanceof DlmError && error.kind === 'timeout')) throw error;
    }
  }
}

async function serve(): Promise<void> {
  await using ls = await openLockspace(GROUP, { stack: 'user' });
  const lock = await resume(ls, VOLUME);
  const done = lock.value[0] ?? 0;
  if (done > 0) console.log(`goes on after step ${done}`);
  for (let step = done + 1; step <= STEPS; step += 1) {
    // The work of a step. Then others may know of it, the next life of this service too.
    lock.value[0] = step;
    await lock.writeValue();
    if (done === 0 && step === 2) process.exit(1);
  }
  lock.value[0] = 0;
  await lock.release();
}

async function supervise(): Promise<void> {
  await using ls = await openLockspace(GROUP, { stack: 'user' });
  for (;;) {
    const service = new Worker(new URL(import.meta.url));
    const [code] = (await once(service, 'exit')) as [number];
    const lock = await ls.tryLock(VOLUME, 'PR');
    console.log(
      `the service has ended with ${code}; others are ${lock === null ? 'kept out' : 'let in'}`,
    );
    await lock?.release();
    if (code === 0) return;
  }
}

await (isMainThread ? supervise() : serve());
