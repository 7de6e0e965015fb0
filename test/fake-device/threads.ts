/** What the threads of other processes are at, for programs that stand still themselves and cannot be told. */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';

import { foundIn } from '../support/proc.js';

/** The one letter of proc(5) for each thread: R runs or could, S sleeps, T was stopped. */
export function statesOf(pid: number): string[] {
  return foundIn(`/proc/${pid}/task`, (path) => [stateIn(readFileSync(`${path}/stat`, 'utf8'))]);
}

function stateIn(stat: string): string {
  return stat.slice(stat.lastIndexOf(')') + 2)[0] ?? '';
}

/** How often each thread has given a processor away, or undefined where one does not sleep. */
function sleepsOf(pid: number): string | undefined {
  if (!statesOf(pid).every((state) => state === 'S')) return undefined;
  return foundIn(`/proc/${pid}/task`, (path) => {
    const lines = readFileSync(`${path}/status`, 'utf8').match(/^\w*voluntary_ctxt_switches:.*$/gm);
    return [`${basename(path)} ${lines?.join(' ') ?? ''}`];
  }).join(';');
}

/**
 * Whether all of these processes slept at one moment, which was after the call had begun: so nothing is on its way
 * from one of them to another.
 */
export function haveSlept(pids: readonly number[]): boolean {
  const before = pids.map(sleepsOf);
  const after = pids.map(sleepsOf);
  return pids.every((_, at) => before[at] !== undefined && before[at] === after[at]);
}
