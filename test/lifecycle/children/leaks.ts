/**
 * Connects and disconnects many times (run with --expose-gc) and prints what the process holds after the
 * warm-up and at the end.
 */
import { queryObjects } from 'node:v8';

import { ClusterConnection, createUserPlugin, DlmLksb, StackGlue } from '../../../lib/index.js';
import {
  NativeFsdlmConnection,
  NativeO2dlmConnection,
  NativeUserConnection,
} from '../../../lib/native.js';
import { silentProtocol } from '../../stackglue/test-node.js';
import { countDescriptors, countThreads, lockspaceThreadsGone } from '../../support/handles.js';
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

/** What the process holds, in numbers that are the same whenever it holds the same. */
export interface Holdings {
  readonly descriptors: number;
  readonly threads: number;
  /** The types of the event loop's handles: a native connection has some. */
  readonly handles: readonly string[];
  /** By their class. A native object goes with the one that JavaScript has; batches are in shared memory. */
  readonly objects: Readonly<Record<string, number>>;
}

const CLASSES = {
  ClusterConnection,
  DlmLksb,
  NativeFsdlmConnection,
  NativeO2dlmConnection,
  NativeUserConnection,
  SharedArrayBuffer,
};

function handleTypes(): string[] {
  const { libuv } = process.report.getReport() as unknown as { libuv: { type: string }[] };
  return libuv.map(({ type }) => type).sort();
}

const handlesAtFirst = handleTypes();

/** Those that were not there at first: a connect that fails does not wait until the last has closed. */
function newHandles(): string[] {
  const known = [...handlesAtFirst];
  return handleTypes().filter((type) => {
    const at = known.indexOf(type);
    if (at >= 0) known.splice(at, 1);
    return at < 0;
  });
}

async function holdings(): Promise<Holdings> {
  await lockspaceThreadsGone();
  await nobodyLeft(newHandles);
  return {
    descriptors: countDescriptors(),
    threads: countThreads(),
    handles: handleTypes(),
    objects: Object.fromEntries(
      Object.entries(CLASSES).map(([name, each]) => [
        name,
        queryObjects(each, { format: 'count' }),
      ]),
    ),
  };
}

await repeat(Number(warmUp));
const before = await holdings();
await repeat(Number(rounds));
const after = await holdings();
console.log(JSON.stringify({ before, after }));
