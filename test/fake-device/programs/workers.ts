/**
 * Worker threads that connect to stack `user` again and again, and are terminated at any step, three at a
 * time: `seed workers`. Then this thread has a life of its own: what the workers had does it no harm.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

import { Random } from '../../support/random.js';
import { UserClient } from '../../support/user-client.js';
import { MachineControl } from '../machine.js';

const [seed = '0', workers = '12'] = process.argv.slice(2);
const random = new Random(Number(seed));
const machine = await MachineControl.open(process.env.STACKGLUE_FAKE_MACHINE ?? '');
const GROUP = 'workers';

/** A life of a worker takes 23 steps; the longest of these is in its second. */
const STEPS_MAX = 40;

async function endOne(number: number): Promise<void> {
  const worker = new Worker(new URL('../../guest/restless-worker.js', import.meta.url), {
    workerData: {
      group: GROUP,
      seed: random.below(2 ** 31),
      steps: 1 + random.below(STEPS_MAX),
      blocks: random.chance(0.5),
      own: `own ${number}`,
    },
  });
  // Rejects when the worker throws.
  await once(worker, 'message');
  await worker.terminate();
}

await machine.tell(`random ${random.below(2 ** 31)}`);
for (let ended = 0; ended < Number(workers); ended += 3) {
  await Promise.all([endOne(ended), endOne(ended + 1), endOne(ended + 2)]);
}
const client = new UserClient();
await client.connect(GROUP);
await client.unlock(await client.lock('after'));
await client.disconnect();
machine.close();
