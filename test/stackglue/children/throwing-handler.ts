/**
 * Two calls of each handler, of which those of the kind that is named throw: an Error, then undefined.
 * Prints what became an uncaught exception and which calls there were. With "uncaught" nobody catches; with
 * "async" the handlers are async, and reject.
 */
import {
  clusterConnect,
  clusterDisconnect,
  createO2cbPlugin,
  DLM_LOCK,
  DlmLksb,
  dlmLock,
  dlmUnlock,
  killO2cbNode,
  setLockingProtocol,
  StackGlue,
} from '../../../lib/glue.js';
import { silentProtocol } from '../test-node.js';

const [throwing, mode] = process.argv.slice(2);
const thrown: string[] = [];
const calls: string[] = [];
if (mode !== 'uncaught') process.on('uncaughtException', (error) => thrown.push(String(error)));

let allCalled!: () => void;
const end = new Promise<void>((resolve) => (allCalled = resolve));

function called(kind: string): void {
  calls.push(kind);
  if (calls.length === 8) setImmediate(allCalled);
  if (kind !== throwing) return;
  if (calls.filter((call) => call === kind).length === 1) throw new Error(`from ${kind}`);
  // eslint-disable-next-line @typescript-eslint/only-throw-error -- that is what is tested
  throw undefined;
}

/** The handler of that kind. */
function handler(kind: string): () => void {
  if (mode !== 'async') return () => called(kind);
  // eslint-disable-next-line @typescript-eslint/no-misused-promises -- that is what is tested
  return async () => {
    await Promise.resolve();
    called(kind);
  };
}

setLockingProtocol({
  maxVersion: { major: 1, minor: 0 },
  lockAst: handler('lockAst'),
  blockingAst: handler('blockingAst'),
  unlockAst: handler('unlockAst'),
});
const connection = await clusterConnect({
  stackName: 'o2cb',
  group: 'g',
  recoveryHandler: handler('nodeDown'),
});

/** Another node, which stands in the way of ours and then dies. */
async function peer(node: number) {
  const glue = new StackGlue();
  glue.register(createO2cbPlugin({ node }));
  glue.setLockingProtocol(silentProtocol());
  const theirs = await glue.clusterConnect({
    stackName: 'o2cb',
    group: 'g',
    recoveryHandler: () => undefined,
  });
  return {
    block: (name: string) => glue.dlmLock(theirs, DLM_LOCK.EX, new DlmLksb(), 0, name),
    disconnect: () => glue.clusterDisconnect(theirs),
  };
}

const peers = [await peer(1), await peer(2)];
const locks = ['a', 'b'].map((name) => {
  const lksb = new DlmLksb();
  dlmLock(connection, DLM_LOCK.EX, lksb, 0, name);
  return lksb;
});
while (calls.length < 2) await new Promise(setImmediate);
// All of the rest in as few batches as it takes.
peers[0]?.block('a');
peers[0]?.block('b');
for (const lksb of locks) dlmUnlock(connection, lksb, 0);
killO2cbNode(1);
killO2cbNode(2);
await end;
for (const { disconnect } of peers) await disconnect();
await clusterDisconnect(connection);
console.log(JSON.stringify({ thrown, calls }));
