/**
 * What a DLM itself says of its locks: the kernel by debugfs, the emulation by `fsdlmInspect`. The specs
 * of stack `user` look at it, wherever they run.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

import { DLM_LOCK } from '../../lib/glue.js';
import { native } from '../../lib/native.js';
import { emulatedCluster } from './user-plugin.js';

/** A lock as the DLM has it. */
export interface LockView {
  readonly id: string;
  readonly pid: number;
  readonly transactionId: bigint;
  readonly flags: number;
  readonly queue: 'waiting' | 'granted' | 'converting';
  /** "PR"; of a lock that waits or converts the mode that it wants comes after it: "PR>EX", ">EX". */
  readonly mode: string;
}

const QUEUES = { 1: 'waiting', 2: 'granted', 3: 'converting' } as const;
const MODE_NAMES = new Map<number, string>(
  Object.entries(DLM_LOCK).map(([name, mode]) => [mode, name]),
);

function modeText(queue: LockView['queue'], granted: number, wanted: number): string {
  const grantedName = MODE_NAMES.get(granted) ?? '';
  return queue === 'granted' ? grantedName : `${grantedName}>${MODE_NAMES.get(wanted) ?? ''}`;
}

/** By /sys/kernel/debug/dlm. */
function locksOfKernel(group: string, resource: string): LockView[] {
  const lines = readFileSync(`/sys/kernel/debug/dlm/${group}_locks`, 'utf8').split('\n');
  return lines.flatMap((line) => {
    // id nodeid remid pid xid exflags flags sts grmode rqmode time_us r_nodeid r_len "name"
    const fields = line.split(' ');
    if (fields.slice(13).join(' ') !== `"${resource}"`) return [];
    const [id = '', , , pid, xid = '', flags = '', , status, granted, wanted] = fields;
    const queue = QUEUES[Number(status) as keyof typeof QUEUES];
    return {
      id,
      pid: Number(pid),
      transactionId: BigInt(xid),
      flags: Number.parseInt(flags, 16),
      queue,
      mode: modeText(queue, Number(granted), Number(wanted)),
    };
  });
}

function locksOfEmulation(cluster: string, group: string, resource: string): LockView[] {
  return native()
    .fsdlmInspect(cluster, group)
    .filter((lock) => lock.resource === resource)
    .map(({ id, pid, transactionId, flags, queue, granted, wanted }) => {
      const mode = modeText(queue, granted, wanted);
      return { id: String(id), pid, transactionId, flags, queue, mode };
    });
}

/** The locks on a resource, in the order of the queues: granted, converting, waiting. */
export function locksOf(group: string, resource: string): LockView[] {
  const cluster = emulatedCluster();
  return cluster === undefined
    ? locksOfKernel(group, resource)
    : locksOfEmulation(cluster, group, resource);
}

/** Their modes. */
export function modesOf(group: string, resource: string): string[] {
  return locksOf(group, resource).map(({ mode }) => mode);
}

/** The log that the kernel's DLM complains in; the emulation has nothing to complain in. */
export function dlmLog(): string {
  if (emulatedCluster() !== undefined) return '';
  return execFileSync('dmesg', { encoding: 'utf8', maxBuffer: 2 ** 26 });
}
