/** For tests of `npm run bench`: they run it in a small size, and no verdict is about its figures. */
import { expect } from 'chai';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { PROJECT_ROOT } from '../../scripts/vm/paths.js';

/** That something was measured: how much is up to the host. */
export function expectMeasured(...values: (number | undefined)[]): void {
  for (const value of values) expect(value).to.satisfy(Number.isFinite);
}

/** Runs the benchmarks' command line to its end. */
export function bench(...args: string[]): Promise<{ stdout: string; stderr: string }> {
  const program = join(PROJECT_ROOT, 'dist/scripts/bench/main.js');
  return promisify(execFile)(process.execPath, [program, ...args]);
}
