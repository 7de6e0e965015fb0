/** One process at a time: a lock between processes of this host. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';

import { VmError } from './errors.js';

/**
 * Runs `work` while holding the lock that the file `path` stands for, waiting for it as long as
 * another process has it.
 *
 * The lock is `flock(2)`, held by a small child process for as long as its input stays open. So
 * it is free the moment this process ends, in whatever way, and there is nothing stale to judge.
 */
export async function withLock<T>(path: string, work: () => Promise<T>): Promise<T> {
  await mkdir(dirname(path), { recursive: true });
  const holder = spawn('flock', [path, 'sh', '-c', 'echo locked; exec cat'], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  const ended = once(holder, 'exit');
  try {
    await Promise.race([
      once(holder.stdout, 'data'),
      ended.then(() => Promise.reject(new VmError('build', `The file ${path} cannot be locked.`))),
    ]);
    return await work();
  } finally {
    holder.stdin.end();
    await ended;
  }
}
