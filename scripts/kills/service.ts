/**
 * A program on a node that locks with tokens and does what it is told, line by line: `group submit`. Each line gets
 * one answer, or the code of an error:
 *
 *   take NAME     -> EX: "NAME TOKEN STATE [TEXT]", with how far to trust the value, and the value
 *   share NAME    -> PR: "NAME - STATE [TEXT]"
 *   raise NAME    -> from PR to EX: as take
 *   lower NAME    -> from EX to PR: "lowered"
 *   write NAME    -> "wrote NAME TEXT": its token, and which write under that it was
 *   release NAME  -> "released NAME"
 *   pin NAME      -> "pinned"
 *   pid           -> the number of its process
 *   late NAME     -> looks that it holds the lock, says "held", and stops by SIGSTOP; when it goes on: "late TOKEN"
 *
 * It says "ready" first.
 */
import { createInterface } from 'node:readline';

import type { UserStackOptions } from '../../lib/glue.js';
import { DlmError, openLockspace, type Lock } from '../../lib/index.js';

const [group = '', submit = 'thread'] = process.argv.slice(2);
const ls = await openLockspace(group, {
  stack: 'user',
  submit: submit as NonNullable<UserStackOptions['submit']>,
  tokens: true,
});
const locks = new Map<string, Lock>();
/** How often something was written under a token. */
const writes = new Map<bigint, number>();

function lockOf(name: string): Lock {
  const lock = locks.get(name);
  if (lock === undefined) throw new Error(`there is no lock on ${name}`);
  return lock;
}

function describe(name: string, { valueState, value }: Lock, token: string): string {
  const text = value.toString('utf8').replace(/\0+$/, '');
  return `${name} ${token} ${valueState} ${text}`.trimEnd();
}

async function obey(what: string, name: string): Promise<string> {
  switch (what) {
    case 'take':
    case 'share': {
      const lock = await ls.lock(name, what === 'take' ? 'EX' : 'PR', { value: true });
      locks.set(name, lock);
      return describe(name, lock, what === 'take' ? String(lock.token) : '-');
    }
    case 'raise': {
      const lock = lockOf(name);
      await lock.convert('EX');
      return describe(name, lock, String(lock.token));
    }
    case 'lower':
      await lockOf(name).convert('PR');
      return 'lowered';
    case 'write': {
      const lock = lockOf(name);
      const count = (writes.get(lock.token) ?? 0) + 1;
      writes.set(lock.token, count);
      const text = `${lock.token}.${count}`;
      lock.value = Buffer.from(text);
      await lock.writeValue();
      return `wrote ${name} ${text}`;
    }
    case 'release':
      await lockOf(name).release();
      return `released ${name}`;
    case 'pin':
      await ls.pin(name);
      return 'pinned';
    case 'pid':
      return String(process.pid);
    case 'late': {
      const lock = lockOf(name);
      console.log(lock.held ? 'held' : 'lost');
      // Between a look at the lock and what is done for it there is always such a moment.
      process.kill(process.pid, 'SIGSTOP');
      return `late ${lock.token}`;
    }
    default:
      throw new Error(`unknown command ${what}`);
  }
}

console.log('ready');
for await (const line of createInterface({ input: process.stdin })) {
  const [what = '', name = ''] = line.split(' ');
  const answer = await obey(what, name).catch((error: unknown) => {
    if (error instanceof DlmError) return error.code;
    throw error;
  });
  console.log(answer);
}
await ls.close();
