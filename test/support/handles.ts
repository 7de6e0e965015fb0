/** What a process holds, to be compared before and after. Linux only, as we are. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { nobodyLeft } from './nobody-left.js';
import { foundIn } from './proc.js';

/** Open descriptors of this process, without the one that lists them. */
export function countDescriptors(): number {
  return readdirSync('/proc/self/fd').length - 1;
}

/** What the open descriptors of this process are of. */
export function openFiles(): string[] {
  // The one that lists them is gone.
  return foundIn('/proc/self/fd', (path) => [readlinkSync(path)]);
}

/** The names of this process's threads. */
function threadNames(): string[] {
  return foundIn('/proc/self/task', (path) => [readFileSync(`${path}/comm`, 'utf8').trim()]);
}

/** How many threads of this process have that name, or any name. */
export function countThreads(name?: string): number {
  return threadNames().filter((own) => name === undefined || own === name).length;
}

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Mappings of this process that are shared: memory by which it speaks to others. */
export function countSharedMappings(): number {
  const lines = readFileSync('/proc/self/maps', 'latin1').split('\n');
  return lines.filter((line) => line.split(' ')[1]?.endsWith('s')).length;
}

/** Resolves once nothing refers to these any more; what native code holds on to is never collected. */
export function collected(objects: readonly WeakRef<object>[]): Promise<void> {
  return nobodyLeft(() => {
    collect();
    return objects.flatMap((object) => object.deref()?.constructor.name ?? []);
  });
}

/** Resolves once no lockspace's thread is left: one that was joined is listed a moment longer. */
export function lockspaceThreadsGone(): Promise<void> {
  return nobodyLeft(() => threadNames().filter((name) => name === 'dlm-lockspace'));
}
