/**
 * A service on stack `user` that is in the state that its arguments name when it ends: `group state name`,
 * where its locks have that name and a number, and options of the plugin as JSON. Commands are lines, and so
 * are the answers:
 *
 *   go      get into the state, as far as the lockspace lets it                   -> "there"
 *   exit    process.exit
 *
 * Once its standard input has ended, only what it has open keeps it. The states:
 *
 *   idle, held      connected when it starts, with locks in the second
 *   pending         has asked for locks and for unlocks
 *   waiting         has done so in the turn in which the lockspace was stopped, by itself
 *   connecting, disconnecting    in these calls; what they come to is a line, "ok" or an error's code, and
 *                   after how many milliseconds
 *
 * It says "ready PID" when it can be told to go.
 */
import { constants, openSync, writeSync } from 'node:fs';
import { createInterface } from 'node:readline';

import { DlmError, type UserStackOptions } from '../../lib/glue.js';
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

function askForAll(): void {
  for (const lock of locks) {
    void client.unlock(lock);
    client.ask(`${name} more ${locks.indexOf(lock)}`);
  }
}

async function tell(outcome: Promise<void>): Promise<void> {
  const began = performance.now();
  const said = await outcome.then(
    () => 'ok',
    (error: unknown) => (error instanceof DlmError ? error.code : String(error)),
  );
  console.log(`${said} ${Math.round(performance.now() - began)}`);
}

function go(): void {
  switch (state) {
    case 'pending':
      askForAll();
      return;
    case 'waiting':
      // As dlm_controld does it: not truncated, which those who watch the file would hear of.
      writeSync(openSync(`/sys/kernel/dlm/${group}/control`, constants.O_WRONLY), '0');
      askForAll();
      return;
    case 'connecting':
      void tell(client.connect(group));
      return;
    case 'disconnecting':
      void tell(client.disconnect());
      return;
  }
}

await prepare();
console.log(`ready ${process.pid}`);
for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'go') {
    console.log('there');
    go();
  }
  if (line === 'exit') process.exit(0);
}
