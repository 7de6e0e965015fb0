/**
 * A process that goes step by step through the life of a lock on stack `user`, and at the step that
 * its arguments name ends in the way that they name: `group resource step ending`. With the ending
 * "wait" it says where it is and stands still; with "worker" a worker thread of it does, and is
 * terminated. It holds `resource`, and waits for `resource barrier`.
 */
import { once } from 'node:events';
import { writeSync } from 'node:fs';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

const [group = '', resource = '', step = '', ending = ''] = isMainThread
  ? process.argv.slice(2)
  : (workerData as string[]);

const never = new Promise<void>(() => undefined);

/** Returns when this is not the step. */
async function reach(name: string): Promise<void> {
  if (name !== step) return;
  switch (ending) {
    case 'exit':
      process.exit(7);
    case 'throw':
      process.nextTick(() => {
        throw new Error('on purpose');
      });
      return never;
    case 'wait':
      writeSync(1, `${name}\n`);
      break;
    case 'worker':
      parentPort?.postMessage(name);
      break;
  }
  // The step must not be left: no event may come through.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}

async function live(): Promise<void> {
  await reach('loading');
  const { UserClient } = await import('../support/user-client.js');
  const client = new UserClient();
  const connecting = client.connect(group);
  await reach('connecting');
  await connecting;
  await reach('connected');
  const lock = client.ask(resource);
  await reach('lock in flight');
  await lock.completed;
  await reach('held');
  client.ask(`${resource} barrier`);
  // An answer to what was asked later: the kernel has the request, and lets it wait.
  await client.lock(`${resource} beside`);
  await reach('blocked');
  const unlocking = client.unlock(lock);
  await reach('unlock in flight');
  await unlocking;
  await client.lock(resource);
  const disconnecting = client.disconnect();
  await reach('disconnecting');
  await disconnecting;
  throw new Error(`there is no step ${step}`);
}

if (isMainThread && ending === 'worker') {
  const worker = new Worker(new URL(import.meta.url), {
    workerData: [group, resource, step, ending],
  });
  const [reached] = (await once(worker, 'message')) as [string];
  await worker.terminate();
  // Whatever the worker has held is free before this process ends.
  writeSync(1, `${reached}\n`);
  await once(process.stdin.resume(), 'end');
} else {
  await live();
}
