/**
 * Connects and disconnects many times (run with --expose-gc) and prints what the process holds after the
 * warm-up and at the end.
 */
import { readdirSync } from 'node:fs';

import { createUserPlugin, StackGlue } from '../../../lib/index.js';
import { silentProtocol } from '../../stackglue/test-node.js';
import { createNode, type StackName } from './node.js';

const [stack = '', warmUp = '0', rounds = '0'] = process.argv.slice(2);

/** A whole life: two nodes, a grant, a waiter that is left, disconnect. */
async function emulatedRound(stackName: StackName): Promise<void> {
  const [first, second] = [
    await createNode(1, 'leaks', () => undefined, stackName),
    await createNode(2, 'leaks', () => undefined, stackName),
  ];
  const held = first.ask('l');
  await held.granted;
  second.ask('l');
  await held.blocking;
  await first.disconnect();
  await second.disconnect();
}

const userGlue = new StackGlue();
userGlue.register(createUserPlugin({ library: '/nonexistent/libdlm.so.3' }));
userGlue.setLockingProtocol(silentProtocol());
userGlue.clusterStack = 'pcmk';

/** A connect that fails, after the thread of its lockspace was started. */
async function userRound(): Promise<void> {
  const options = { stackName: 'pcmk', group: 'g', recoveryHandler: () => undefined };
  await userGlue.clusterConnect(options).then(
    () => Promise.reject(new Error('there is a libdlm')),
    () => undefined,
  );
}

async function repeat(count: number): Promise<void> {
  for (let round = 0; round < count; round += 1) {
    await (stack === 'o2cb' || stack === 'pcmk' ? emulatedRound(stack) : userRound());
  }
  // Objects that a finalizer frees go in the turn after the collection.
  for (let pass = 0; pass < 3; pass += 1) {
    globalThis.gc?.();
    await new Promise(setImmediate);
  }
}

function holdings() {
  return {
    descriptors: readdirSync('/proc/self/fd').length,
    threads: readdirSync('/proc/self/task').length,
    rss: process.memoryUsage.rss(),
  };
}

await repeat(Number(warmUp));
const before = holdings();
await repeat(Number(rounds));
const after = holdings();
console.log(JSON.stringify({ before, after }));
