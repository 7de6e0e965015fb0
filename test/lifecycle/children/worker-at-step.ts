/**
 * A worker that says when it has come to a step, and there either waits for ever without turning its
 * event loop, or goes on.
 */
import { parentPort, workerData } from 'node:worker_threads';

import type { WorkerOptions } from './workers.js';

const { step, blocks, cluster, stackName } = workerData as WorkerOptions;

function reach(name: string): void {
  if (name !== step) return;
  parentPort?.postMessage(name);
  if (blocks) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}

reach('loading');
const { createUserPlugin, StackGlue } = await import('../../../lib/glue.js');
const { createGlue, createNode } = await import('./node.js');
reach('loaded');

if (step.startsWith('user')) {
  const glue = new StackGlue();
  glue.register(createUserPlugin({ library: '/nonexistent/libdlm.so.3' }));
  glue.setMaxProtoVersion({ major: 1, minor: 0 });
  glue.clusterStack = 'pcmk';
  for (;;) {
    const connecting = glue.clusterConnect({
      stackName: 'pcmk',
      group: 'g',
      protocol: {
        maxVersion: { major: 1, minor: 0 },
        lockAst: () => undefined,
        blockingAst: () => undefined,
        unlockAst: () => undefined,
      },
      recoveryHandler: () => undefined,
    });
    reach('user connecting');
    await connecting.catch(() => undefined);
    reach('user failed');
  }
}

const early = createGlue(1, cluster, () => undefined, stackName);
const connecting = early.clusterConnect({
  stackName,
  group: 'domain',
  recoveryHandler: () => undefined,
});
reach('connecting');
await early.clusterDisconnect(await connecting);

const node = await createNode(1, cluster, (event) => reach(`inside ${event}`), stackName);
reach('connected');
const lock = node.ask('l');
reach('lock in flight');
await lock.granted;
reach('locked');
node.ask('l');
reach('blocked');
await lock.blocking;
void node.unlock(lock.lksb);
reach('unlock in flight');
const other = node.ask('m');
await other.granted;
await node.unlock(other.lksb);
reach('unlocked');
const disconnecting = node.disconnect();
reach('disconnecting');
await disconnecting;
reach('disconnected');
