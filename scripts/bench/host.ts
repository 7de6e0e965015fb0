/** The host, for benchmarks that need no virtual machines. */
import { cpus, release } from 'node:os';

import type { Machine } from './result.js';

/** This host, as a machine of which so many processors are used. */
export function thisMachine(processors: number): Machine {
  const all = cpus();
  return {
    cpu: all[0]?.model.trim() ?? 'unknown',
    cores: all.length,
    accelerator: 'none',
    kernel: release(),
    vcpus: processors,
    nodes: 0,
    node: process.version,
  };
}
