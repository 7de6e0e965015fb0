/** For specs in a guest: what its kernel has said, and what processes there are. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';

import { complaintsIn } from './kernel-log.js';
import { nobodyLeft } from './nobody-left.js';
import { foundIn } from './proc.js';

/** The complaints in the kernel's log. */
export function kernelComplaints(): string[] {
  return complaintsIn(execFileSync('dmesg', { encoding: 'utf8', maxBuffer: 2 ** 26 }));
}

/** Environment that marks a process and all that it starts. */
export function markOf(mark: string): Record<string, string> {
  return { STACKGLUE_TEST_MARK: mark };
}

function nameOf(path: string): string {
  return readFileSync(`${path}/comm`, 'latin1').trimEnd();
}

/** The processes with that mark that have not ended, with their names. */
export function markedProcesses(mark: string): string[] {
  const word = `STACKGLUE_TEST_MARK=${mark}`;
  return foundIn('/proc', (path) => {
    const isMarked = readFileSync(`${path}/environ`, 'latin1').split('\0').includes(word);
    return isMarked ? [`${basename(path)} ${nameOf(path)}`] : [];
  });
}

/** What `look` finds of each process of a program, by the first 15 bytes of its name. */
function ofProgram<T>(program: string, look: (path: string) => readonly T[]): T[] {
  return foundIn('/proc', (path) => (nameOf(path) === program.slice(0, 15) ? look(path) : []));
}

/** The processes of a program. */
export function processesOf(program: string): number[] {
  return ofProgram(program, (path) => [Number(basename(path))]);
}

const KEEPER = 'stackglue-keeper';

/** The keepers of lockspaces on this node: whose, by their titles. */
export function keepers(): string[] {
  return ofProgram(KEEPER, (path) => {
    const title = readFileSync(`${path}/cmdline`, 'latin1').replaceAll('\0', ' ').trim();
    return [`${basename(path)} ${title}`];
  });
}

/** The threads of a process that wait in the kernel, where no signal reaches them. */
function threadsInKernel(path: string): string[] {
  return foundIn(`${path}/task`, (thread) => {
    const stat = readFileSync(`${thread}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')')).startsWith(') D ') ? [thread] : [];
  });
}

/** Resolves once that many keepers wait in the kernel. */
export function keepersInKernel(count: number): Promise<void> {
  return nobodyLeft(() => {
    const waiting = ofProgram(KEEPER, (path) =>
      threadsInKernel(path).length > 0 ? [basename(path)] : [],
    );
    return waiting.length >= count ? [] : [`keepers elsewhere than ${waiting.join(' and ')}`];
  });
}

/** Resolves once that many keepers wait for their turn to create a lockspace or to give one up. */
export function keepersAwaitTurn(count: number): Promise<void> {
  return nobodyLeft(() => {
    const all = ofProgram(KEEPER, (path) => [basename(path)]);
    const waiting = readFileSync('/proc/locks', 'latin1')
      .split('\n')
      .map((line) => / -> FLOCK +\S+ +\S+ +(\d+) /.exec(line)?.[1] ?? '')
      .filter((pid) => all.includes(pid));
    return waiting.length >= count ? [] : [`keepers that wait for no turn: ${all.join(' and ')}`];
  });
}

/** Resolves once the only keepers left are these. */
export function keepersGone(but: readonly string[]): Promise<void> {
  return nobodyLeft(() => keepers().filter((keeper) => !but.includes(keeper)));
}

/** Resolves once no process with that mark is left; what they hold open is then closed as well. */
export function markedProcessesGone(mark: string): Promise<void> {
  return nobodyLeft(() => markedProcesses(mark));
}
