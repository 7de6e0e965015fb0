/**
 * Mocha's root hooks that time each file of tests, in the process that runs it. The times go, a line of JSON
 * for each file, into the file that STACKGLUE_TEST_TIMES names; without it nothing is written.
 */
import { appendFileSync, readFileSync } from 'node:fs';
import { relative } from 'node:path';

import { PROJECT_ROOT } from '../vm/paths.js';
import { takeBootTimes } from '../vm/boot-times.js';

/** What a file took. */
export interface FileTime {
  /** Relative to the project. */
  readonly file: string;
  readonly ms: number;
  /** Of processors: of this process, and of those that it started and that have ended. */
  readonly processorMs: number;
  /** Each boot of machines in it, in milliseconds. */
  readonly bootsMs: readonly number[];
}

let began = 0;
let processorBegan = 0;

/** Linux counts it in hundredths of a second, for programs of every kernel. */
const MS_PER_TICK = 10;

/** What this process and its children have used, in milliseconds. */
function processorMs(): number {
  const stat = readFileSync('/proc/self/stat', 'utf8');
  // Behind the program's name: utime, stime, cutime and cstime are the 14th to 17th word of all.
  const words = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = words.slice(11, 15).reduce((sum, word) => sum + Number(word), 0);
  return ticks * MS_PER_TICK;
}

/** Each file has a process's mocha for itself, one file after the other. */
export const mochaHooks = {
  beforeAll(): void {
    began = performance.now();
    processorBegan = processorMs();
    takeBootTimes();
  },

  afterAll(this: Mocha.Context): void {
    const record = process.env.STACKGLUE_TEST_TIMES;
    // A hook of all tests is in the suite around all suites.
    const path = (this.test?.parent?.suites ?? []).find(({ file }) => file !== undefined)?.file;
    if (record === undefined || path === undefined) return;
    const time: FileTime = {
      file: relative(PROJECT_ROOT, path),
      ms: performance.now() - began,
      processorMs: processorMs() - processorBegan,
      bootsMs: takeBootTimes(),
    };
    appendFileSync(record, `${JSON.stringify(time)}\n`);
  },
};
