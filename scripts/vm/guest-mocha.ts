/**
 * Mocha tests that run in a guest and are reported on the host: the same titles in the same suites,
 * each passing, failing or skipping as it did there.
 */

import { relative, resolve } from 'node:path';

import { HANG_MS } from './deadline.js';
import { diagnose } from './diagnosis.js';
import { VmError, messageOf } from './errors.js';
import { MOCHA, REPORTER, listTests } from './guest-listing.js';
import { parseReport, type TestReport } from './guest-reporter.js';
import type { GuestNode } from './guest-node.js';
import { PROJECT_ROOT } from './paths.js';

/** How the guest runs the tests. */
export interface GuestMochaOptions {
  /** Time for each test and hook in the guest, in milliseconds. The default is ten minutes. */
  testTimeoutMs?: number;
  /** Time for all of them together, the start of Node.js included. The default is an hour. */
  runTimeoutMs?: number;
  /** More environment variables for the guest's mocha. */
  env?: Readonly<Record<string, string>>;
}

const RUN_MS = 6 * HANG_MS;
const TAIL_LENGTH = 8000;

/**
 * Declares a suite with the tests of another mocha file, which run in a guest.
 *
 * While mocha loads the calling file, the tests are listed by a dry run on the host: the file is
 * loaded here as well, and must not need a cluster for that. When the suite is run, the guest's
 * mocha runs once, all of the file; tests that `--grep` leaves out on the host still run there.
 * A run that dies fails all tests that it has not reported, with the end of its output.
 *
 * The guest has STACKGLUE_GUEST=1 and its number in STACKGLUE_NODE_ID; the dry run has the first.
 *
 * @param getNode is called when the suite starts, after all `before` hooks around it.
 * @param specFile the compiled file, absolute or relative to the project's root.
 */
export function describeInGuest(
  title: string,
  getNode: () => GuestNode,
  specFile: string,
  options: GuestMochaOptions = {},
): void {
  const spec = relative(PROJECT_ROOT, resolve(PROJECT_ROOT, specFile));
  const tests = withKeys(listTests(spec));
  describe(title, function () {
    this.timeout(0); // the guest's mocha knows the limits, and the run as a whole has one
    const run = new GuestRun(tests);
    before(function () {
      run.start(getNode(), spec, options);
    });
    declare(nest(tests, 0), run);
    after(() => run.finished());
  });
}

/**
 * The machines on which a run had to be ended, by the process ids of their QEMUs. What held it up is
 * there still, and every other run would wait for it as long.
 */
const givenUp = new Set<number | undefined>();

/** A test and its place among those of the same path. */
interface ListedTest {
  readonly path: readonly string[];
  readonly key: string;
}

function withKeys(paths: readonly (readonly string[])[]): ListedTest[] {
  const count = new KeyCounter();
  return paths.map((path) => ({ path, key: count.next(path) }));
}

/** Tells tests of the same titles apart by their order. */
class KeyCounter {
  readonly #seen = new Map<string, number>();

  next(path: readonly string[]): string {
    const titles = JSON.stringify(path);
    const count = (this.#seen.get(titles) ?? 0) + 1;
    this.#seen.set(titles, count);
    return `${titles}#${count}`;
  }
}

/** Tests and suites in their order. */
type Entry =
  | { readonly title: string; readonly test: ListedTest }
  | { readonly title: string; readonly entries: readonly Entry[] };

function nest(tests: readonly ListedTest[], depth: number): Entry[] {
  const entries: Entry[] = [];
  const suites = new Map<string, ListedTest[]>();
  for (const test of tests) {
    const title = test.path[depth] ?? '';
    if (test.path.length === depth + 1) entries.push({ title, test });
    else suites.set(title, [...(suites.get(title) ?? []), test]);
  }
  // Mocha, too, runs a suite's own tests before those of the suites in it.
  for (const [title, inside] of suites) entries.push({ title, entries: nest(inside, depth + 1) });
  return entries;
}

function declare(entries: readonly Entry[], run: GuestRun): void {
  for (const entry of entries) {
    if ('entries' in entry) {
      describe(entry.title, () => {
        declare(entry.entries, run);
      });
      continue;
    }
    it(entry.title, async function () {
      const report = await run.report(entry.test);
      if (report.outcome === 'skipped') this.skip();
      if (report.outcome === 'failed') throw guestError(report);
    });
  }
}

function guestError(report: TestReport): Error {
  const error = new Error(report.error?.message ?? 'The test failed in the guest.');
  if (!report.error) return error;
  const { stack, compared } = report.error;
  // What mocha looks for to show how the two differ.
  return Object.assign(error, { stack }, compared && { ...compared, showDiff: true });
}

/** One run of the guest's mocha, and what it has reported so far. */
class GuestRun {
  readonly #waiting = new Map<string, (report: TestReport) => void>();
  readonly #reports = new Map<string, Promise<TestReport>>();
  readonly #count = new KeyCounter();
  readonly #hookFailures: TestReport[] = [];
  /** Tests and hooks that failed: the exit code of mocha. */
  #failed = 0;
  #problem: string | undefined;
  #tail = '';
  #running: Promise<void> = Promise.resolve();

  constructor(tests: readonly ListedTest[]) {
    for (const { key } of tests) {
      const report = new Promise<TestReport>((resolve) => this.#waiting.set(key, resolve));
      this.#reports.set(key, report);
    }
  }

  start(node: GuestNode, spec: string, options: GuestMochaOptions): void {
    this.#running = this.#run(node, spec, options).then(
      (code) => {
        this.#end(
          `The guest's mocha ended with code ${code}`,
          code === Math.min(this.#failed, 255),
        );
      },
      (error: unknown) => {
        this.#end(`The guest's mocha did not end: ${messageOf(error)}`, false);
      },
    );
  }

  async report(test: ListedTest): Promise<TestReport> {
    const report = this.#reports.get(test.key);
    if (!report) throw new VmError('usage', `No test was listed as ${test.key}.`);
    return report;
  }

  /**
   * Waits for the end of the run.
   *
   * @throws {VmError} `command` when it ended in a way that the tests' results do not explain: a
   * hook failed after the last test, or the process died or would not end.
   */
  async finished(): Promise<void> {
    await this.#running;
    if (this.#problem !== undefined) throw new VmError('command', this.#problem);
  }

  async #run(node: GuestNode, spec: string, options: GuestMochaOptions): Promise<number> {
    const assignments = Object.entries(options.env ?? {}).map(
      ([name, value]) => `${name}=${quote(value)}`,
    );
    const timeout = String(options.testTimeoutMs ?? HANG_MS);
    const args = [
      ...[node.nodeBinary, '--enable-source-maps', MOCHA, '--no-config', '--timeout', timeout],
      ...['--reporter', REPORTER, spec],
    ];
    const { pid } = node;
    if (givenUp.has(pid)) throw new VmError('gone', 'An earlier run on this node did not end.');
    const child = node.spawn([...assignments, 'exec', ...args.map(quote)].join(' '));
    child.stdin.end();
    child.stderr.on('data', (chunk: Buffer) => {
      this.#keep(chunk.toString());
    });
    const limit = options.runTimeoutMs ?? RUN_MS;
    const giveUp = async (): Promise<void> => {
      givenUp.add(pid);
      this.#keep(`\n(the harness ended the run after ${limit} ms)\n${await diagnose(node)}`);
      child.disconnect();
    };
    const deadline = setTimeout(() => void giveUp(), limit);
    try {
      for await (const line of child.lines) this.#take(line);
      return await child.exit;
    } finally {
      clearTimeout(deadline);
    }
  }

  #take(line: string): void {
    const report = parseReport(line);
    if (!report) {
      if (line) this.#keep(`${line}\n`);
      return;
    }
    if (report.outcome === 'failed') this.#failed++;
    if (report.hook) {
      this.#hookFailures.push(report);
    } else {
      this.#settle(this.#count.next(report.path), report);
    }
  }

  #settle(key: string, report: TestReport): void {
    this.#waiting.get(key)?.(report);
    this.#waiting.delete(key);
  }

  /** Fails what was not reported, by the hook that kept it from running or else for `reason`. */
  #end(reason: string, isExplained: boolean): void {
    const guilty = new Set<TestReport>();
    const why = `${reason}. The end of its output:\n${this.#tail.trim() || '(nothing)'}`;
    for (const key of [...this.#waiting.keys()]) {
      const path = JSON.parse(key.slice(0, key.lastIndexOf('#'))) as string[];
      const hook = this.#hookFailures.find((failure) => isAround(failure.path, path));
      if (hook) guilty.add(hook);
      const message = hook ? hookMessage(hook) : `This test was not reported. ${why}`;
      this.#settle(key, {
        outcome: 'failed',
        path,
        hook: false,
        error: { message, stack: message },
      });
    }
    const unheard = this.#hookFailures.find((failure) => !guilty.has(failure));
    if (unheard) this.#problem = hookMessage(unheard);
    else if (!isExplained) this.#problem = why;
  }

  #keep(text: string): void {
    this.#tail = (this.#tail + text).slice(-TAIL_LENGTH);
  }
}

function hookMessage(hook: TestReport): string {
  return `${hook.path.at(-1) ?? 'A hook'} failed in the guest: ${hook.error?.stack ?? ''}`;
}

/** Whether a hook's suite is one that the test is in. */
function isAround(hookPath: readonly string[], testPath: readonly string[]): boolean {
  return hookPath.slice(0, -1).every((title, depth) => testPath[depth] === title);
}

/** A word for the shell. */
function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
