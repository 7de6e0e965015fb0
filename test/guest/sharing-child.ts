/**
 * A child with an IPC channel, by fork or as a worker of `cluster`. It tells what it has inherited, then
 * asks for EX on stack `user` if the arguments name a group and a resource, says "asked" and "held", and
 * gives it up and ends when it is told to.
 */
import { once } from 'node:events';

import { openFiles } from '../support/handles.js';
import { UserClient } from '../support/user-client.js';

const [group, resource = ''] = process.argv.slice(2);
process.send?.(openFiles());
if (group !== undefined) {
  const client = new UserClient();
  await client.connect(group);
  const told = once(process, 'message');
  const lock = client.ask(resource);
  process.send?.('asked');
  if ((await lock.completed) !== 0) process.exit(3);
  process.send?.('held');
  await told;
  await client.unlock(lock);
  await client.disconnect();
}
process.disconnect();
