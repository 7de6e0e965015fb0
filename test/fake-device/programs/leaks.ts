/**
 * Everything that allocates, once or a few times, to the natural end of the process: a connection that is
 * given up in order, one that is refused, one in the middle of its requests, in this thread and in a worker.
 */
import { once } from 'node:events';
import { isMainThread, Worker } from 'node:worker_threads';

import { createUserPlugin, StackGlue } from '../../../lib/glue.js';
import { silentProtocol } from '../../stackglue/test-node.js';
import { UserClient } from '../../support/user-client.js';

async function beRefused(): Promise<void> {
  const glue = new StackGlue();
  glue.register(createUserPlugin({ library: '/nonexistent/libdlm.so.3' }));
  glue.setLockingProtocol(silentProtocol());
  glue.clusterStack = 'pcmk';
  const options = { stackName: 'pcmk', group: 'none', recoveryHandler: () => undefined };
  await glue.clusterConnect(options).then(
    () => Promise.reject(new Error('there is a libdlm')),
    () => undefined,
  );
}

async function live(): Promise<void> {
  for (let round = 0; round < 3; round += 1) {
    await beRefused();
    const client = new UserClient();
    await client.connect('leaks');
    await client.unlock(await client.lock('short'));
    await client.lock('held');
    client.ask('in flight');
    await client.disconnect();
  }
}

await live();
if (isMainThread) {
  const worker = new Worker(new URL(import.meta.url));
  await once(worker, 'exit');
}
