/** What a node that no longer does its work has to say about why. */

import { HANG_MS, withDeadline } from './deadline.js';
import { messageOf, VmError } from './errors.js';
import type { GuestNode } from './guest-node.js';

/** A node that is beyond answering must not keep those waiting who ask. */
const ASK_MS = 120_000;

/**
 * Lockspaces and their locks, who waits in the kernel and where, who keeps a lockspace, and the kernel's
 * last words.
 */
const QUESTIONS = [
  'for f in /sys/kernel/dlm/*/recover_status; do [ -e $f ] && echo $f $(cat $f); done',
  'ls /sys/kernel/config/dlm/cluster/comms /sys/kernel/config/dlm/cluster/spaces/* /dev/misc 2>/dev/null | tr "\\n" " "; echo',
  'ps -o pid,stat,args | grep -v "\\[" | tail -30',
  'for p in /proc/[0-9]*/task/*; do grep -q "^State:.D" $p/status && echo $p $(cat $p/comm) && cat $p/stack; done',
  'grep -s . /sys/kernel/debug/dlm/*_locks /sys/kernel/debug/dlm/*_waiters | head -60',
  // Without what the keeper tries again and again, which would leave no room for anything else.
  'dmesg | grep -v "release_lockspace no remove -16" | tail -25',
  '[ -n "$(pidof dlm_controld)" ] && dlm_tool ls -n && dlm_tool dump | tail -60',
  'true',
].join('; ');

/** Never rejects, and takes two minutes at most: a node may be beyond answering. */
export async function diagnose(node: GuestNode): Promise<string> {
  try {
    const { stdout, stderr } = await node.run(QUESTIONS, { timeoutMs: ASK_MS });
    return `${stdout}${stderr}`;
  } catch (error) {
    return `${messageOf(error)}\n${node.consoleTail()}`;
  }
}

/**
 * What `work` resolves to, unless the node hangs.
 *
 * @param what what the node does meanwhile, e.g. "no answer".
 * @throws {VmError} `timeout`, which tells what the node waits for.
 */
export async function inTime<T>(node: GuestNode, what: string, work: Promise<T>): Promise<T> {
  const describe = (): string => `Node ${node.id}: ${what} for ${HANG_MS / 1000} s.`;
  try {
    return await withDeadline(work, HANG_MS, describe);
  } catch (error) {
    if (!(error instanceof VmError) || error.code !== 'timeout') throw error;
    throw new VmError('timeout', `${error.message}\n${await diagnose(node)}`, { cause: error });
  }
}
