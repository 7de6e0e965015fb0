/**
 * A program that takes many locks at once. Commands are lines, and so are the answers:
 *
 *   lock COUNT     ask for EX on so many resources   -> "granted COUNT" when the last is granted
 *   blocking       -> "blocking COUNT" when somebody has come to wait for each of them
 */
import { createInterface } from 'node:readline';

import { UserClient, type UserLock } from '../support/user-client.js';

const [group = ''] = process.argv.slice(2);
const client = new UserClient();
await client.connect(group);
console.log('connected');
let locks: UserLock[] = [];
for await (const line of createInterface({ input: process.stdin })) {
  const [command = '', count = ''] = line.split(' ');
  if (command === 'lock') {
    locks = Array.from({ length: Number(count) }, (_, i) => client.ask(`bulk ${i}`));
    // Not awaited: other commands may come while it waits.
    void Promise.all(locks.map(({ completed }) => completed)).then((statuses) => {
      console.log(`granted ${statuses.filter((status) => status === 0).length}`);
    });
  } else if (command === 'blocking') {
    await Promise.all(locks.map(({ blocking }) => blocking));
    console.log(`blocking ${locks.length}`);
  }
}
