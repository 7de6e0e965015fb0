/**
 * Gets into the state that the first argument names, and says by IPC what keeps it alive then: the types
 * of the event loop's handles. The IPC channel does not: only what it has open does. "disconnect" by IPC
 * ends all connections; a process that should wait for that, and ends before, has exit code 3.
 */
import {
  clusterConnect,
  clusterDisconnect,
  createUserPlugin,
  setLockingProtocol,
  StackGlue,
} from '../../../lib/glue.js';
import { silentProtocol } from '../../stackglue/test-node.js';
import { createNode } from './node.js';

const state = process.argv[2] ?? '';

/** States that last until the disconnect. */
const LASTING = ['connected', 'unref ref'];
let isToldToEnd = !LASTING.includes(state);

process.on('message', () => {
  isToldToEnd = true;
  void Promise.all(nodes.map((node) => node.disconnect()));
});
process.channel?.unref();
process.on('beforeExit', () => {
  if (!isToldToEnd) process.exitCode = 3;
});

/** The types of the handles for which the event loop goes on. */
function keptBy(): string[] {
  const { libuv } = process.report.getReport() as unknown as {
    libuv: { type: string; is_active: boolean; is_referenced: boolean }[];
  };
  return libuv.filter((handle) => handle.is_active && handle.is_referenced).map(({ type }) => type);
}

if (state === 'imported') process.exitCode = 0;
if (state === 'failed connect') {
  const glue = new StackGlue();
  glue.register(createUserPlugin({ library: '/nonexistent/libdlm.so.3' }));
  glue.setLockingProtocol(silentProtocol());
  glue.clusterStack = 'pcmk';
  const options = { stackName: 'pcmk', group: 'g', recoveryHandler: () => undefined };
  const failed = await glue.clusterConnect(options).then(
    () => false,
    () => true,
  );
  if (!failed) process.exit(1);
}
if (state === 'default glue') {
  setLockingProtocol(silentProtocol());
  const options = { stackName: 'o2cb', group: 'g', recoveryHandler: () => undefined };
  await clusterDisconnect(await clusterConnect(options));
}

const hasNodes = !['imported', 'failed connect', 'default glue'].includes(state);
const nodes = hasNodes ? [await createNode(1, 'c'), await createNode(2, 'c')] : [];
const [first, second] = nodes;
if (first !== undefined && second !== undefined) {
  const held = first.ask('l');
  await held.granted;
  second.ask('l');
  await held.blocking;
  if (state === 'unlocked') await first.unlock(held.lksb);
  if (state === 'unlocked' || state === 'disconnected') {
    for (const node of nodes) await node.disconnect();
  }
  if (state.includes('unref')) for (const { connection } of nodes) connection.unref();
  if (state === 'unref ref') second.connection.ref();
  // Requests whose events nobody has taken yet.
  if (state === 'exit' || state === 'throw' || state === 'reject') {
    first.ask('in flight');
    void first.unlock(held.lksb);
  }
}
if (state === 'exit') process.exit(7);
if (state === 'throw') {
  setImmediate(() => {
    throw new Error('uncaught, with locks held');
  });
}
if (state === 'reject') void Promise.reject(new Error('unhandled, with locks held'));
process.send?.(keptBy());
