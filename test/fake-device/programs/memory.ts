/**
 * Connects to a stack (`user`, `emulated` or `o2cb`) again and again, and each time another allocation of the
 * addon fails, until there is none left to fail. Each connects or rejects with an error that says why.
 */
import { createRequire } from 'node:module';
import { constants } from 'node:os';

import {
  createEmulatedUserPlugin,
  createO2cbPlugin,
  DlmError,
  StackGlue,
  type StackPlugin,
} from '../../../lib/glue.js';
import { silentProtocol } from '../../stackglue/test-node.js';
import { createTestPlugin } from '../../support/user-plugin.js';

const { failAt } = createRequire(import.meta.url)('../../../../build/Release/memory.node') as {
  failAt: (count: number) => number;
};
const CLUSTER = 'memory';
const PLUGINS: Record<string, () => StackPlugin> = {
  user: () => createTestPlugin({}),
  emulated: () => createEmulatedUserPlugin({ node: 1, cluster: CLUSTER }),
  o2cb: () => createO2cbPlugin({ node: 1, cluster: CLUSTER }),
};

/** Why the connection was not made, or undefined. It is given up again. */
async function connect(count: number): Promise<Error | undefined> {
  const glue = new StackGlue();
  const plugin = PLUGINS[process.argv[2] ?? '']!();
  const stackName = plugin.name === 'o2cb' ? 'o2cb' : 'pcmk';
  glue.register(plugin);
  glue.setLockingProtocol(silentProtocol());
  glue.clusterStack = stackName;
  const options = { stackName, group: 'memory', recoveryHandler: () => undefined };
  const connecting = (async () => {
    failAt(count);
    return glue.clusterConnect(options);
  })();
  try {
    const connection = await connecting;
    left = failAt(0);
    await glue.clusterDisconnect(connection);
    return undefined;
  } catch (error) {
    left = failAt(0);
    return error as Error;
  }
}

let left = 0;
// The addon is loaded at its first use, which is node's own affair.
await connect(0);
let count = 1;
for (; ; count += 1) {
  const error = await connect(count);
  if (left > 0) {
    // None was left to fail.
    if (error !== undefined) throw error;
    break;
  }
  if (error === undefined) continue;
  if (!(error instanceof DlmError) || error.errno !== constants.errno.ENOMEM) throw error;
}
if (count === 1) throw new Error('no allocation of the addon was seen');
console.log(`${count - 1} allocations have failed`);
