/** For specs in a guest: what its kernel has said, and what processes there are. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

import { complaintsIn } from './kernel-log.js';
import { nobodyLeft } from './nobody-left.js';

/** The complaints in the kernel's log. */
export function kernelComplaints(): string[] {
  return complaintsIn(execFileSync('dmesg', { encoding: 'utf8', maxBuffer: 2 ** 26 }));
}

/** Environment that marks a process and all that it starts. */
export function markOf(mark: string): Record<string, string> {
  return { STACKGLUE_TEST_MARK: mark };
}

/** The processes with that mark that have not ended, with their names. */
export function markedProcesses(mark: string): string[] {
  const word = `STACKGLUE_TEST_MARK=${mark}`;
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const isMarked = readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').includes(word);
        return isMarked ? [`${pid} ${readFileSync(`/proc/${pid}/comm`, 'latin1').trim()}`] : [];
      } catch {
        return []; // it has ended meanwhile
      }
    });
}

/** The processes of a program, by the first 15 bytes of its name. */
export function processesOf(program: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/comm`, 'latin1').trimEnd() === program.slice(0, 15);
      } catch {
        return false; // it has ended meanwhile
      }
    })
    .map(Number);
}

/** The keepers of lockspaces on this node: whose, by their titles. */
export function keepers(): string[] {
  return processesOf('stackglue-keeper').flatMap((pid) => {
    try {
      const title = readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ').trim();
      return [`${pid} ${title}`];
    } catch {
      return []; // it has ended meanwhile
    }
  });
}

/** Whether a thread of the process waits in the kernel, where no signal reaches it. */
function waitsInKernel(pid: number): boolean {
  try {
    const threads = readdirSync(`/proc/${pid}/task`);
    return threads.some((thread) => {
      const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'latin1');
      return stat.slice(stat.lastIndexOf(')')).startsWith(') D ');
    });
  } catch {
    return false; // it has ended meanwhile
  }
}

/** Resolves once that many keepers wait in the kernel. */
export function keepersInKernel(count: number): Promise<void> {
  return nobodyLeft(() => {
    const waiting = processesOf('stackglue-keeper').filter(waitsInKernel);
    return waiting.length >= count ? [] : [`keepers elsewhere than ${waiting.join(' and ')}`];
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
