/** For specs in a guest: what its kernel has said, and what processes there are. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

/** Words with which a kernel says that it is broken, or holds somebody else to be. */
const COMPLAINT =
  /BUG:|WARNING:|Oops|general protection|Call Trace|refcount_t|hung_task|blocked for/;

/** The lines of the kernel's log that are complaints. */
export function kernelComplaints(): string[] {
  const log = execFileSync('dmesg', { encoding: 'utf8', maxBuffer: 2 ** 26 });
  return log.split('\n').filter((line) => COMPLAINT.test(line));
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

/** Resolves once no process with that mark is left; what they hold open is then closed as well. */
export async function markedProcessesGone(mark: string, deadlineMs = 10_000): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    const left = markedProcesses(mark);
    if (left.length === 0) return;
    if (performance.now() > deadline) throw new Error(`still there: ${left.join(', ')}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
