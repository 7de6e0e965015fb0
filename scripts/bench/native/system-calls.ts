/**
 * How many system calls an operation takes, counted by strace in all threads of a program and of its
 * keeper. Exact where one thread works; strace makes each call slow, so threads and processes that
 * meet sleep and wake each other more often than they would without.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Contestant, Work } from '../contestant.js';
import { HostProgram } from '../host-program.js';
import type { Calls } from '../result.js';

/** The two turns whose difference is counted, so that what each turn begins and ends with is not. */
const FEW = 200;
const MANY = 2200;

/** strace may not watch other processes here. */
export class CannotCount extends Error {}

/**
 * The calls that a contestant makes for an operation.
 *
 * @param pids its processes.
 * @throws {CannotCount} where strace is not let.
 */
export async function countCalls(
  contestant: Contestant,
  pids: readonly number[],
  work: Work,
  prefix: string,
  depth: number,
): Promise<Calls> {
  const count = (operations: number): Promise<Counted> =>
    watch(pids, () => contestant.perform(work, prefix, depth, operations));
  const few = await count(FEW);
  const many = await count(MANY);
  const names = new Set([...few.calls.keys(), ...many.calls.keys()]);
  const perOperation = [...names].map((name): [string, number] => {
    const calls = (many.calls.get(name) ?? 0) - (few.calls.get(name) ?? 0);
    return [name, calls / (many.operations - few.operations)];
  });
  return Object.fromEntries(perOperation.filter(([, calls]) => calls !== 0));
}

interface Counted {
  readonly operations: number;
  readonly calls: ReadonlyMap<string, number>;
}

/** Counts the calls of processes while something is done. */
async function watch(pids: readonly number[], perform: () => Promise<number>): Promise<Counted> {
  const folder = await mkdtemp(join(tmpdir(), 'stackglue-strace-'));
  try {
    const file = join(folder, 'counts');
    const options = ['-f', '-c', '--summary-columns=calls,name', '-o', file];
    const strace = new HostProgram('sh', [
      '-c',
      // One stream, so that what it says can be waited for.
      `exec strace ${options.join(' ')} ${pids.map((pid) => `-p ${pid}`).join(' ')} 2>&1`,
    ]);
    for (let attached = 0; attached < pids.length;) {
      const next = await strace.lines.next();
      if (next.done === true || next.value.includes('attach: ptrace')) {
        strace.interrupt();
        await strace.exit;
        throw new CannotCount(`strace cannot count system calls here: ${String(next.value)}`);
      }
      if (next.value.includes(' attached')) attached += 1;
    }
    const operations = await perform();
    strace.interrupt();
    // Its last words are of no interest, but it ends only when they have been read.
    while ((await strace.lines.next()).done !== true);
    await strace.exit;
    return { operations, calls: parseCounts(await readFile(file, 'utf8')) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** strace's table: a number and a name in each line, between rules. */
function parseCounts(text: string): Map<string, number> {
  const lines = text.matchAll(/^\s*(\d+)\s+(\w+)\s*$/gm);
  const counts = new Map([...lines].map(([, count, name = '']) => [name, Number(count)]));
  counts.delete('total');
  return counts;
}
