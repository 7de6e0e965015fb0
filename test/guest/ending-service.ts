/**
 * A service on stack `user` that is in the state that its arguments name when it ends: `group state name`,
 * where its locks have that name and a number, and options of the plugin as JSON. Commands are lines, and so are the answers:
 *
 *   go      get into the state, if the lockspace lets it                          -> "there"
 *   exit    process.exit
 *
 * The states: "idle", "held" and "pending" are connected when they start, and so say "ready PID" first;
 * "held" holds locks, "pending" has asked for some and for unlocks as well; "connecting" and
 * "disconnecting" are in these calls.
 */
import { createInterface } from 'node:readline';

import type { UserStackOptions } from '../../lib/index.js';
import { UserClient, type UserLock } from '../support/user-client.js';

const CALLS = 20;

const [group = '', state = '', name = '', options = '{}'] = process.argv.slice(2);
const client = new UserClient(JSON.parse(options) as UserStackOptions);
const locks: UserLock[] = [];

async function prepare(): Promise<void> {
  if (state === 'connecting') return;
  await client.connect(group);
  if (state === 'idle') return;
  for (let i = 0; i < CALLS; i += 1) locks.push(await client.lock(`${name} ${i}`));
}

function go(): void {
  switch (state) {
    case 'pending':
      for (const lock of locks) {
        void client.unlock(lock);
        client.ask(`${name} more ${locks.indexOf(lock)}`);
      }
      return;
    case 'connecting':
      void client.connect(group);
      return;
    case 'disconnecting':
      void client.disconnect();
      return;
  }
}

await prepare();
console.log(`ready ${process.pid}`);
for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'go') {
    go();
    console.log('there');
  }
  if (line === 'exit') process.exit(0);
}
