/**
 * A service that answers HTTP and uses stack `user`, for a test that watches its threads while its
 * lockspace stands still: `group submit`. Commands are lines, and so are the answers:
 *
 *   fall in       wait, without a turn of the loop, until the lockspace is stopped, so that nobody here has
 *                 heard of it; then ask for locks and unlocks        -> "waiting", "asked" after the calls
 *   ask again     more of them                                       -> "asked" after the calls
 *   completions   of what was asked for                              -> how many there were
 *
 * It says "ready PID PORT" when it holds its first locks.
 */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';

import type { UserStackOptions } from '../../lib/glue.js';
import { UserClient, type UserLock } from '../support/user-client.js';

/** Locks that it holds, and gives up half of with each command that asks. */
const LOCKS = 20;

/** Between two looks at a lockspace, for the others on a machine with one processor. */
const PAUSE_MS = 20;

const [group = '', submit = ''] = process.argv.slice(2);
const client = new UserClient({ submit } as UserStackOptions);
const held: UserLock[] = [];
let asked = 0;
let completions = 0;

function ask(): void {
  const completed = (): void => void (completions += 1);
  for (const lock of held.splice(0, LOCKS / 2)) {
    asked += 1;
    void client.ask(`new ${asked}`).completed.then(completed);
    void client.unlock(lock).then(completed);
  }
  console.log('asked');
}

/** A lockspace has no step of a recovery done from the moment when it is stopped. */
function isStopped(): boolean {
  return Number(`0x${readFileSync(`/sys/kernel/dlm/${group}/recover_status`, 'latin1')}`) === 0;
}

function fallIn(): void {
  const nothing = new Int32Array(new SharedArrayBuffer(4));
  while (!isStopped()) Atomics.wait(nothing, 0, 0, PAUSE_MS);
  ask();
}

const server = createServer((_request, response) => response.end('here'));
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
await client.connect(group);
for (let i = 0; i < LOCKS; i += 1) held.push(await client.lock(`held ${i}`));
console.log(`ready ${process.pid} ${(server.address() as AddressInfo).port}`);

for await (const line of createInterface({ input: process.stdin })) {
  switch (line) {
    case 'fall in':
      console.log('waiting');
      fallIn();
      break;
    case 'ask again':
      ask();
      break;
    case 'completions':
      console.log(String(completions));
      break;
  }
}
