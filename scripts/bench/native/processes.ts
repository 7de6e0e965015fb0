/** The processes of a program that is measured: its own, and its keeper, which is nobody's child. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';

/** All processes with that in their environment, by number. */
export function processesWith(variable: string, value: string): number[] {
  const wanted = `${variable}=${value}`;
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((number) => read(`/proc/${number}/environ`).split('\0').includes(wanted))
    .map(Number);
}

/** Whether this kernel tells the times that {@link processorSeconds} is about. */
export const HAS_PROCESSOR_TIMES = existsSync('/proc/self/schedstat');

/** How long the threads of these processes have had a processor for, in seconds. */
export function processorSeconds(pids: readonly number[]): number {
  const threads = pids.flatMap((pid) =>
    readdirSync(`/proc/${pid}/task`).map((thread) => `/proc/${pid}/task/${thread}/schedstat`),
  );
  return threads.reduce((sum, path) => sum + Number(read(path).split(' ')[0]), 0) / 1e9;
}

/** What a file has, or nothing when its process is gone, or another user's. */
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
