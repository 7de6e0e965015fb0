/**
 * A program that does by `stackglue` what it is told, line by line: `group submit`. Each line gets one answer:
 *
 *   lock NAME MODE [timeoutMs]      -> "granted", or the error's code
 *   keep NAME MODE VALUE            -> "granted": persistently, and the value is written
 *   adopt NAME MODE                 -> the value's state and the value, "none", or the error's code
 *   resume NAME MODE                -> the same, as soon as there is one
 *   purge [PID]                     -> "purged", or the error's code
 *   pid                             -> the number of the owner of its locks
 *   try NAME MODE                   -> "granted" or "busy"
 *   value NAME MODE [timeoutMs]     -> as lock, with the value
 *   put NAME TEXT                   -> "put"
 *   write NAME                      -> "written", or the error's code
 *   see NAME                        -> how far to trust the value, and the value
 *   convert NAME MODE [timeoutMs]   -> "granted", or the error's code
 *   release NAME                    -> "released", or the error's code
 *   health                          -> state and reason
 *   withdrawals                     -> how many
 *   told                            -> what it was told since it was asked last, in order, with commas
 *   wait WHAT                       -> WHAT, when it has been told
 *
 * It says "ready NODE" first.
 */
import { createInterface } from 'node:readline';

import { DlmError, openLockspace, type Lock, type Mode } from '../../lib/index.js';
import type { UserStackOptions } from '../../lib/glue.js';

const [group = '', submit = 'thread'] = process.argv.slice(2);
const ls = await openLockspace(group, {
  stack: 'user',
  submit: submit as NonNullable<UserStackOptions['submit']>,
});
const locks = new Map<string, Lock>();
let told: string[] = [];
let heard: () => void = () => undefined;

function tell(what: string): void {
  told.push(what);
  heard();
}

ls.on('health', ({ state, reason }) => tell(`${state} ${reason}`));
ls.on('memberFailed', (node) => tell(`failed ${node}`));
ls.on('memberLeft', (node) => tell(`left ${node}`));

async function waitFor(what: string): Promise<string> {
  while (!told.includes(what)) await new Promise<void>((resolve) => (heard = resolve));
  return what;
}

function lockOf(name: string): Lock {
  const lock = locks.get(name);
  if (lock === undefined) throw new Error(`there is no lock on ${name}`);
  return lock;
}

/** How far to trust a lock's value, and the value. */
function seen({ valueState, value }: Lock): string {
  return `${valueState} ${value.toString('utf8').replace(/\0+$/, '')}`.trimEnd();
}

async function obey([what = '', name = '', mode = '', ms]: string[]): Promise<string> {
  const limit = ms === undefined ? {} : { timeoutMs: Number(ms) };
  switch (what) {
    case 'lock': {
      const lock = await ls.lock(name, mode as Mode, limit);
      locks.set(name, lock);
      lock.lost.addEventListener('abort', () => tell(`lost ${name}`));
      tell(`granted ${name}`);
      return 'granted';
    }
    case 'value':
      locks.set(name, await ls.lock(name, mode as Mode, { ...limit, value: true }));
      return 'granted';
    case 'put':
      lockOf(name).value = Buffer.from(mode);
      return 'put';
    case 'write':
      await lockOf(name).writeValue();
      return 'written';
    case 'see':
      return seen(lockOf(name));
    case 'keep': {
      const lock = await ls.lock(name, mode as Mode, { persistent: true, value: true });
      locks.set(name, lock);
      lock.value = Buffer.from(ms ?? '');
      await lock.writeValue();
      return 'granted';
    }
    case 'adopt':
    case 'resume': {
      let lock = await ls.adopt(name, mode as Mode, { persistent: true, value: true });
      // The keeper of the process that has ended closes the device, and only then is there an orphan.
      while (lock === null && what === 'resume') {
        lock = await ls.adopt(name, mode as Mode, { persistent: true, value: true });
      }
      if (lock === null) return 'none';
      locks.set(name, lock);
      return seen(lock);
    }
    case 'purge':
      await ls.purge(name === '' ? {} : { pid: Number(name) });
      return 'purged';
    case 'pid':
      return String(ls.ownPid);
    case 'try': {
      const lock = await ls.tryLock(name, mode as Mode);
      if (lock !== null) locks.set(name, lock);
      return lock === null ? 'busy' : 'granted';
    }
    case 'convert':
      await lockOf(name).convert(mode as Mode, limit);
      return 'granted';
    case 'release':
      await lockOf(name).release();
      return 'released';
    case 'health':
      return `${ls.health.state} ${ls.health.reason}`;
    case 'withdrawals':
      return String(ls.withdrawals);
    case 'told': {
      const all = told.join(',');
      told = [];
      return all;
    }
    case 'wait':
      return waitFor([name, mode].join(' ').trim());
    default:
      throw new Error(`unknown command ${what}`);
  }
}

console.log(`ready ${ls.thisNode}`);
for await (const line of createInterface({ input: process.stdin })) {
  const answer = await obey(line.split(' ')).catch((error: unknown) => {
    if (error instanceof DlmError) return error.code;
    throw error;
  });
  console.log(answer);
}
await ls.close();
