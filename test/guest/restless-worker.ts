/**
 * A worker thread that connects to stack `user`, takes, waits for and unlocks locks, disconnects, and
 * begins again, until it has gone so many steps. There it says so and goes no further: it either
 * stands still in the midst of a turn of its event loop, or lets the loop turn.
 */
import { parentPort, workerData } from 'node:worker_threads';

const { group, seed, steps, blocks, own } = workerData as {
  group: string;
  seed: number;
  steps: number;
  blocks: boolean;
  own: string;
};

let gone = 0;
async function step(): Promise<void> {
  gone += 1;
  if (gone < steps) return;
  parentPort?.postMessage('there');
  if (blocks) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  return new Promise(() => undefined);
}

await step();
const { DLM_LKF, DLM_LOCK } = await import('../../lib/glue.js');
const { Random } = await import('../support/random.js');
const { UserClient } = await import('../support/user-client.js');
const random = new Random(seed);
const modes = Object.values(DLM_LOCK);

for (;;) {
  const client = new UserClient();
  await step();
  const connecting = client.connect(group);
  await step();
  await connecting;
  for (let i = 0; i < 3; i += 1) {
    await step();
    const first = client.ask(own, DLM_LOCK.EX, random.pick([0, DLM_LKF.VALBLK]));
    await step();
    await first.completed;
    // Waits for the first, or does not; of others it has to wait for nobody who may stand still.
    const second = client.ask(own, random.pick(modes));
    const shared = client.ask('shared', random.pick(modes), DLM_LKF.NOQUEUE);
    await step();
    const isShared = (await shared.completed) === 0;
    await step();
    const unlocking = [client.unlock(first), ...(isShared ? [client.unlock(shared)] : [])];
    await step();
    await Promise.all([...unlocking, second.completed]);
    await client.unlock(second);
  }
  await step();
  const disconnecting = client.disconnect();
  await step();
  await disconnecting;
}
