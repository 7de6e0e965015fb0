/**
 * The program of a node: a worker thread, since the emulation is of one process. It locks, and writes into a store
 * that is elsewhere; it does nothing wrong.
 */
import { parentPort, workerData } from 'node:worker_threads';

import { openLockspace, type Lock } from '../../../lib/index.js';
import type { Command, ServiceData, ServiceEvent } from './messages.js';

const { node, cluster, tokensAbove, gate } = workerData as ServiceData;
const say = (event: ServiceEvent): void => parentPort?.postMessage(event);

const ls = await openLockspace('backups', {
  stack: 'emulated',
  node,
  cluster,
  tokens: true,
  tokensAbove,
});
ls.on('memberFailed', (dead) => say({ kind: 'heard of a death', node: dead }));
let lock: Lock | undefined;

async function take(): Promise<void> {
  lock = await ls.lock('volume-7', 'EX');
  lock.lost.addEventListener('abort', () => say({ kind: 'lost' }));
  say({ kind: 'granted', token: lock.token });
}

/** In one go, as it would be between a look at the lock and the system call that sends the write. */
function write(text: string, standsStill: boolean): void {
  if (lock?.held !== true) return;
  if (standsStill) {
    say({ kind: 'stands still', held: lock.held });
    Atomics.wait(gate, 0, 0);
  }
  say({ kind: 'writes', token: lock.token, text });
}

parentPort?.on('message', (command: Command) => {
  switch (command.do) {
    case 'lock':
      void take();
      return;
    case 'write':
      write(command.text, command.standsStill);
      return;
    case 'leave':
      parentPort?.close();
      void ls.close();
      return;
  }
});
say({ kind: 'joined' });
