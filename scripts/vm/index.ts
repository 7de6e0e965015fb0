/**
 * Clusters of virtual machines with the kernel's real DLM, for tests and for trying things out.
 * README.md says what runs where; `Cluster.boot` is where to start.
 */

import { architectureOf } from './architecture.js';
import { DEFAULT_KERNEL, missingHostPackages } from './packages.js';

export type { SpawnOptions, GuestProcess } from './agent-client.js';
export { Cluster, type ClusterOptions } from './cluster.js';
export type { DeviceManager } from './device-manager.js';
export { inTime } from './diagnosis.js';
export { VmError, type VmErrorCode } from './errors.js';
export type { LinkRule } from './hub.js';
export { prepareImage, type Image, type ImageOptions } from './image.js';
export type { EvictOptions, MembershipMode } from './membership.js';
export type { GuestNode } from './guest-node.js';
export { printingProgress, step, type Progress } from './progress.js';
export type { Accelerator } from './qemu.js';
export type { RunOptions, RunResult } from './run.js';
export { missingHostPackages };
export { architectureOf, isForeign, type Architecture } from './architecture.js';
export { callsBetweenMarks, type ThreadCalls } from './thread-calls.js';

/**
 * Why virtual machines cannot run on this host, as a sentence that says what to install; or
 * undefined when they can.
 *
 * @param kernel whose processor they are to have; see `ImageOptions.kernel`.
 */
export function whyNotHere(kernel?: string): Promise<string | undefined> {
  return Promise.resolve(reason(kernel));
}

function reason(kernel = process.env.STACKGLUE_VM_KERNEL ?? DEFAULT_KERNEL): string | undefined {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    return `Virtual machine clusters need Linux on x86-64; this is ${process.platform} on ${process.arch}.`;
  }
  const missing = missingHostPackages(architectureOf(kernel));
  if (missing.length === 0) return undefined;
  return `Virtual machine clusters need these Debian packages: apt-get install ${missing.join(' ')}.`;
}
