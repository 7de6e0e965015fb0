/**
 * Ends workers at the step that the first argument names, as often as the second says, half of them in
 * the midst of a turn of their event loop; the third is the stack. After each, this thread takes what the worker has held.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

import { createNode, type StackName } from './node.js';

/** What a worker is told. */
export interface WorkerOptions {
  readonly step: string;
  readonly blocks: boolean;
  readonly cluster: string;
  readonly stackName: StackName;
}

const [step = '', rounds = '1', stack = ''] = process.argv.slice(2);
const stackName: StackName = stack === 'pcmk' ? stack : 'o2cb';
const node = await createNode(2, 'workers', () => undefined, stackName);
for (let round = 0; round < Number(rounds); round += 1) {
  const worker = new Worker(new URL('worker-at-step.js', import.meta.url), {
    workerData: {
      step,
      blocks: round % 2 === 0,
      cluster: 'workers',
      stackName,
    } satisfies WorkerOptions,
  });
  // Rejects when the worker throws.
  const [message] = (await once(worker, 'message')) as [string];
  if (message !== step) throw new Error(`the worker is at ${message}`);
  await worker.terminate();
  for (const name of ['l', 'm']) {
    const { lksb, granted } = node.ask(name);
    await granted;
    await node.unlock(lksb);
  }
}
await node.disconnect();
