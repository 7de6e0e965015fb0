/** The test runner, whichever it is. */

/** The four functions of a test runner that the suite calls. */
export interface Runner {
  readonly describe: (title: string, define: () => void) => unknown;
  readonly it: (title: string, run: () => Promise<void>) => unknown;
  /** Runs once before the tests of the `describe` that it is called in; `beforeAll` of some runners. */
  readonly before: (run: () => Promise<void>) => unknown;
  /** The same after them; `afterAll` of some runners. */
  readonly after: (run: () => Promise<void>) => unknown;
}

const NAMES = ['describe', 'it', 'before', 'after'] as const satisfies (keyof Runner)[];

/** The runner whose functions are global, as mocha's are. Throws where there is none. */
export function globalRunner(): Runner {
  const found = globalThis as unknown as Partial<Runner>;
  const missing = NAMES.filter((name) => typeof found[name] !== 'function');
  if (missing.length > 0) {
    throw new TypeError(
      `There is no global ${missing.join(', ')}: give the test runner's functions as the option "runner"`,
    );
  }
  const { describe, it, before, after } = found as Runner;
  return { describe, it, before, after };
}
