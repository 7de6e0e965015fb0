/** Where the threads of a guest's processes are in its kernel, as /proc tells it. */
import { setTimeout as pause } from 'node:timers/promises';

import type { GuestNode } from '../../scripts/vm/index.js';

/** A thread of a process in a guest, at one moment. */
export interface ThreadView {
  /** The thread's number; that of the main thread is its process's. */
  readonly tid: number;
  readonly name: string;
  /** One letter, as in proc(5): S sleeps, D sleeps and no signal reaches it, Z has ended. */
  readonly state: string;
  /** The functions of the kernel that it is in, the innermost first; none while it runs its own code. */
  readonly stack: readonly string[];
}

/** Between two looks. Without a pause they would keep a single processor from those who are looked at. */
const PAUSE_MS = 20;

/** The threads of a process; none when there is no such process. Rejects as `Node.run` does. */
export async function threadsOf(node: GuestNode, pid: number): Promise<ThreadView[]> {
  const folder = `/proc/${pid}/task`;
  // One program looks at them all: a thread that comes or goes meanwhile is listed in part or not at all.
  const { stdout } = await node.run(`grep -sH '' ${folder}/*/stat ${folder}/*/stack`);
  const lines = [...stdout.matchAll(/^\/proc\/\d+\/task\/(\d+)\/(stat|stack):(.*)$/gm)];
  return lines.flatMap(([, tid, file, text = '']) => {
    if (file !== 'stat') return [];
    const [, name = '', state = ''] = /\((.*)\) (\S)/.exec(text) ?? [];
    const stack = lines
      .filter((line) => line[1] === tid && line[2] === 'stack')
      .map((line) => (line[3] ?? '').replace('[<0>] ', ''));
    return [{ tid: Number(tid), name, state, stack }];
  });
}

/** Whether a thread waits in a call to the DLM that nothing but the DLM ends. */
export function waitsInDlm({ state, stack }: ThreadView): boolean {
  return state === 'D' && stack.some((entry) => entry.endsWith('[dlm]'));
}

/** What a process is, for {@link untilThreads}, when there is a thread of it that waits in the DLM. */
export const oneWaitsInDlm = (threads: readonly ThreadView[]): boolean => threads.some(waitsInDlm);

/** Resolves to a process's threads once they are as wanted; the test's own limit ends the wait. */
export async function untilThreads(
  node: GuestNode,
  pid: number,
  areAsWanted: (threads: readonly ThreadView[]) => boolean,
): Promise<ThreadView[]> {
  for (;;) {
    const threads = await threadsOf(node, pid);
    if (areAsWanted(threads)) return threads;
    await pause(PAUSE_MS);
  }
}

/** The process that keeps a lockspace, which one connection on the node has open. */
export async function keeperOf(node: GuestNode, lockspace: string): Promise<number> {
  const { stdout } = await node.exec(
    `ps -o pid,args | awk '$2 == "stackglue-keeper" && $3 == "${lockspace}" { print $1 }'`,
  );
  const [pid = '', ...others] = stdout.trim().split('\n');
  if (pid === '' || others.length > 0) throw new Error(`keepers of ${lockspace}: ${stdout}`);
  return Number(pid);
}
