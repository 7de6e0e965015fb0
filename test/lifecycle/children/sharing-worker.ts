/** A worker with one node, that does as it is told and tells what happens. */
import { parentPort, workerData } from 'node:worker_threads';

import type { DlmLksb } from '../../../lib/glue.js';
import { createNode } from './node.js';

const { number, cluster } = workerData as { number: number; cluster: string };
const node = await createNode(number, cluster, (event) => parentPort?.postMessage(event));
let lksb: DlmLksb | undefined;

parentPort?.on('message', (message) => {
  if (message === 'lock') lksb = node.ask('shared').lksb;
  if (message === 'unlock' && lksb !== undefined) void node.unlock(lksb);
  if (message === 'disconnect') void node.disconnect().then(() => parentPort?.close());
});
parentPort?.postMessage('ready');
