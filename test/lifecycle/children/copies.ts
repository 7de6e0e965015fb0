/**
 * Two copies of the package in one process, the second in the folder of the first argument, with nodes
 * of one cluster: the lock of one must block the other.
 */
import { pathToFileURL } from 'node:url';

import * as first from '../../../lib/glue.js';

const copy = new URL('dist/lib/glue.js', pathToFileURL(`${process.argv[2] ?? ''}/`));
const second = (await import(copy.href)) as typeof first;
if (second.StackGlue === first.StackGlue) throw new Error('they are the same copy');

async function connect(
  { StackGlue, createO2cbPlugin }: typeof first,
  node: number,
  handlers: { lockAst(): void; blockingAst(): void },
) {
  const glue = new StackGlue();
  glue.register(createO2cbPlugin({ node, cluster: 'copies' }));
  glue.setLockingProtocol({
    maxVersion: { major: 1, minor: 0 },
    unlockAst: () => undefined,
    ...handlers,
  });
  const options = { stackName: 'o2cb', group: 'g', recoveryHandler: () => undefined };
  return { glue, connection: await glue.clusterConnect(options) };
}

const seen: string[] = [];
let finish!: () => void;
const end = new Promise<void>((resolve) => (finish = resolve));
const holding = new first.DlmLksb();
const a = await connect(first, 1, {
  lockAst: () => {
    seen.push('granted to the first');
    b.glue.dlmLock(b.connection, first.DLM_LOCK.EX, new second.DlmLksb(), 0, 'l');
  },
  blockingAst: () => {
    seen.push('blocking');
    a.glue.dlmUnlock(a.connection, holding, 0);
  },
});
const b = await connect(second, 2, {
  lockAst: () => {
    seen.push('granted to the second');
    finish();
  },
  blockingAst: () => undefined,
});
a.glue.dlmLock(a.connection, first.DLM_LOCK.EX, holding, 0, 'l');
await end;
await a.glue.clusterDisconnect(a.connection);
await b.glue.clusterDisconnect(b.connection);
console.log(JSON.stringify(seen));
