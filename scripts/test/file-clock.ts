/**
 * Mocha's root hooks that time each file of tests, in the process that runs it. The times go, a line of JSON
 * for each file, into the file that STACKGLUE_TEST_TIMES names; without it nothing is written.
 */
import { appendFileSync } from 'node:fs';
import { relative } from 'node:path';

import { PROJECT_ROOT } from '../vm/paths.js';
import { takeBootTimes } from '../vm/boot-times.js';

/** What a file took. */
export interface FileTime {
  /** Relative to the project. */
  readonly file: string;
  readonly ms: number;
  /** Each boot of machines in it, in milliseconds. */
  readonly bootsMs: readonly number[];
}

let began = 0;

/** Each file has a process's mocha for itself, one file after the other. */
export const mochaHooks = {
  beforeAll(): void {
    began = performance.now();
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
      bootsMs: takeBootTimes(),
    };
    appendFileSync(record, `${JSON.stringify(time)}\n`);
  },
};
