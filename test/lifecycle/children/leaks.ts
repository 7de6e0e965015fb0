/**
 * Connects and disconnects many times (run with --expose-gc) and ends when the process holds no more than
 * it did after the warm-up.
 */
import { queryObjects } from 'node:v8';

import { ClusterConnection, createUserPlugin, DlmLksb, StackGlue } from '../../../lib/glue.js';
import { native } from '../../../lib/native.js';
import { silentProtocol } from '../../stackglue/test-node.js';
import { countDescriptors, countThreads } from '../../support/handles.js';
import { nobodyLeft } from '../../support/nobody-left.js';
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

const { NativeFsdlmConnection, NativeO2dlmConnection, NativeUserConnection } = native();

const CLASSES = {
  ClusterConnection,
  DlmLksb,
  NativeFsdlmConnection,
  NativeO2dlmConnection,
  NativeUserConnection,
  // The batches of events.
  SharedArrayBuffer,
};

/** What the process holds, in numbers that are the same whenever it holds the same. */
function holdings(): Map<string, number> {
  const { libuv } = process.report.getReport() as unknown as { libuv: unknown[] };
  const objects = Object.entries(CLASSES).map(
    ([name, each]) => [name, queryObjects(each, { format: 'count' })] as const,
  );
  return new Map([
    ['descriptor', countDescriptors()],
    ['thread', countThreads()],
    ['handle of the event loop', libuv.length],
    ...objects,
  ]);
}

await repeat(Number(warmUp));
const before = holdings();
await repeat(Number(rounds));
// The last thread and handle of a connect that failed may take a moment to go.
await nobodyLeft(() =>
  [...holdings()].flatMap(([what, count]) => {
    const more = count - (before.get(what) ?? 0);
    return more > 0 ? [`${more} × ${what}`] : [];
  }),
);
