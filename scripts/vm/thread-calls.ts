/** The system calls of a thread in a guest, as the kernel's tracing tells them. */
import { VmError } from './errors.js';
import type { GuestNode } from './guest-node.js';

const TRACING = '/sys/kernel/tracing';

/** What is not a call's name: a write of eight bytes, by which Node.js wakes its loop for a task of V8's. */
const WAKE = 'wake';
/** What V8 asks the kernel for when it compiles or collects garbage, whatever a program does: memory, its own threads. */
const OF_V8 = ['brk', 'futex', 'getpid', 'madvise', 'mmap', 'mprotect', 'munmap', WAKE];

/** What a thread has called. */
export interface ThreadCalls {
  /** What V8 needs for itself. */
  readonly ofV8: readonly string[];
  readonly others: readonly string[];
}

/**
 * The calls that a thread makes while `work` is under way, between its two calls of the name `mark`.
 *
 * @throws {VmError} `command` if the thread does not make the two, or makes more.
 */
export async function callsBetweenMarks(
  node: GuestNode,
  tid: number,
  mark: string,
  work: () => Promise<unknown>,
): Promise<ThreadCalls> {
  await node.exec(
    `cd ${TRACING}; mountpoint -q . || mount -t tracefs tracefs ${TRACING}; cd ${TRACING}; ` +
      `echo > trace; echo ${tid} > set_event_pid; echo 1 > events/syscalls/enable`,
  );
  await work();
  const { stdout } = await node.exec(
    `cd ${TRACING}; echo 0 > events/syscalls/enable; echo > set_event_pid; cat trace`,
  );
  const calls = [...stdout.matchAll(/: sys_(\w+)\((.*)\)/g)].map(([, name = '', given = '']) =>
    name === 'write' && given.endsWith(' count: 8') ? WAKE : name,
  );
  const [begin, end, ...more] = calls.flatMap((call, at) => (call === mark ? [at] : []));
  if (begin === undefined || end === undefined || more.length > 0) {
    const seen = calls.slice(0, 50).join(' ');
    throw new VmError('command', `The thread did not call ${mark} twice, but: ${seen}`);
  }
  const between = calls.slice(begin + 1, end);
  const isOfV8 = (call: string): boolean => OF_V8.includes(call);
  return { ofV8: between.filter(isOfV8), others: between.filter((call) => !isOfV8(call)) };
}
