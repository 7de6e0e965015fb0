/** Compiles the benchmarks' C programs. */
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { PROJECT_ROOT } from '../vm/paths.js';

const FLAGS = ['-std=gnu11', '-Wall', '-Wextra', '-Werror', '-O2'];

/**
 * Makes `build/bench/<output>` of `scripts/bench/<source>`. What the compiler says goes to standard
 * error, and if it fails this throws.
 *
 * @param more flags and libraries.
 * @returns the path, from the project's folder.
 */
export function compile(source: string, output: string, more: readonly string[] = []): string {
  mkdirSync(join(PROJECT_ROOT, 'build/bench'), { recursive: true });
  const program = `build/bench/${output}`;
  execFileSync('gcc', [...FLAGS, '-o', program, `scripts/bench/${source}`, ...more], {
    cwd: PROJECT_ROOT,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  return program;
}
