/** What a process holds, to be compared before and after. Linux only, as we are. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { nobodyLeft } from './nobody-left.js';

/** Open descriptors of this process, without the one that lists them. */
export function countDescriptors(): number {
  return readdirSync('/proc/self/fd').length - 1;
}

/** What the open descriptors of this process are of. */
export function openFiles(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)];
    } catch {
      return []; // the one that lists them
    }
  });
}

/** How many threads of this process have that name, or any name. */
export function countThreads(name?: string): number {
  return readdirSync('/proc/self/task').filter((thread) => {
    try {
      const own = readFileSync(`/proc/self/task/${thread}/comm`, 'utf8').trim();
      return name === undefined || own === name;
    } catch {
      return false; // it has ended meanwhile
    }
  }).length;
}

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Resident memory of this process in KiB, after a collection. */
export function residentKiB(): number {
  collect();
  const status = readFileSync('/proc/self/status', 'utf8');
  return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]);
}

/** Resolves once no lockspace's thread is left: one that was joined is listed a moment longer. */
export function lockspaceThreadsGone(deadlineMs = 10_000): Promise<void> {
  const look = (): string[] => Array<string>(countThreads('dlm-lockspace')).fill('dlm-lockspace');
  return nobodyLeft(look, deadlineMs);
}
