/** Connects once for each argument, the name of a stack; prints the warnings that came of it. */
import {
  clusterConnect,
  clusterDisconnect,
  defaultGlue,
  setLockingProtocol,
} from '../../../lib/glue.js';
import { silentProtocol } from '../test-node.js';

const warnings: object[] = [];
process.on('warning', ({ code, message }: Error & { code?: string }) => {
  warnings.push({ code, message });
});

setLockingProtocol(silentProtocol());
const scopes: string[] = [];
for (const stackName of process.argv.slice(2)) {
  if (stackName !== '') defaultGlue.clusterStack = stackName;
  const connection = await clusterConnect({
    stackName,
    group: 'g',
    recoveryHandler: () => undefined,
  });
  scopes.push(connection.scope);
  await clusterDisconnect(connection);
}
// Warnings are emitted on the next tick.
await new Promise(setImmediate);
console.log(JSON.stringify({ warnings, scopes }));
