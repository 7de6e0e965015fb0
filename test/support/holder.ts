/**
 * A program of its own that takes a lock: a process to the kernel's DLM, a worker thread to the
 * emulation, which has its processes in one.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

import { keepers, keepersGone } from './guest-host.js';
import { emulatedCluster } from './user-plugin.js';

/**
 * Runs a program with these arguments that takes its lock, prints "held" and ends; with `kill` it is
 * killed once it holds. Rejects when it does not come to that. When this resolves it has ended.
 */
export async function runHolder(program: URL, args: string[], kill: boolean): Promise<void> {
  if (emulatedCluster() === undefined) await runProcess(program, args, kill);
  else await runWorker(program, args, kill);
}

async function runProcess(program: URL, args: string[], kill: boolean): Promise<void> {
  const before = keepers();
  const child = spawn(process.execPath, [program.pathname, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  if (line.toString() !== 'held\n') throw new Error(`the program says ${line.toString()}`);
  const exit = once(child, 'exit');
  if (kill) child.kill('SIGKILL');
  await exit;
  // Whose close of the device is the last, and makes orphans of what was held.
  await keepersGone(before);
}

async function runWorker(program: URL, args: string[], kill: boolean): Promise<void> {
  const worker = new Worker(program, { argv: args, stdout: true });
  const exit = once(worker, 'exit');
  if (kill) {
    const [first] = (await Promise.race([once(worker.stdout, 'data'), exit])) as [Buffer | number];
    if (typeof first === 'number') throw new Error(`the program ended with code ${first}`);
    await worker.terminate();
    return;
  }
  // What it prints is lost when it exits at once; it exits with another code when it holds nothing.
  worker.stdout.resume();
  const [code] = (await exit) as [number];
  if (code !== 0) throw new Error(`the program ended with code ${code}`);
}
