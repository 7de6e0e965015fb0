/**
 * A mocha reporter for guest-mocha.ts: each event is a line of standard output, a mark and JSON,
 * written at once, so that the host knows how far a run came that never ended.
 */

import mocha from 'mocha';

/** What sets the reporter's lines apart from what tests print. */
const MARK = '@@stackglue-mocha ';

/** An error in words. What an assertion has compared is said whole; its message may be cut short. */
export interface ErrorReport {
  readonly message: string;
  readonly stack: string;
  readonly compared?: { readonly actual: string; readonly expected: string } | undefined;
}

/** What became of a test. A failed hook is reported like a test, with `hook` set. */
export interface TestReport {
  readonly outcome: 'passed' | 'failed' | 'skipped';
  /** Titles of the test and of the suites around it, the outermost first. */
  readonly path: readonly string[];
  readonly hook: boolean;
  readonly error?: ErrorReport | undefined;
}

/** The report in a line of output, or undefined when the line has none. */
export function parseReport(line: string): TestReport | undefined {
  const at = line.indexOf(MARK);
  return at < 0 ? undefined : (JSON.parse(line.slice(at + MARK.length)) as TestReport);
}

type Reported = Mocha.Test | Mocha.Hook;

function reportOf(thrown: unknown): ErrorReport {
  const error: Error & { actual?: unknown; expected?: unknown; showDiff?: boolean } =
    thrown instanceof Error ? thrown : new Error(String(thrown));
  const { message, stack = message, actual, expected, showDiff } = error;
  const { stringify } = mocha.utils;
  const compared = showDiff
    ? { actual: stringify(actual), expected: stringify(expected) }
    : undefined;
  return { message, stack, compared };
}

function write(test: Reported, outcome: TestReport['outcome'], error?: unknown): void {
  const report: TestReport = {
    outcome,
    path: test.titlePath(),
    hook: test.type === 'hook',
    error: outcome === 'failed' ? reportOf(error) : undefined,
  };
  // Standard output is a pipe, and on Linux Node.js writes to pipes synchronously.
  process.stdout.write(`\n${MARK}${JSON.stringify(report)}\n`);
}

/** What mocha constructs, with or without `new`. */
export default function GuestReporter(runner: Mocha.Runner): void {
  runner.on('pass', (test) => write(test, 'passed'));
  runner.on('pending', (test) => write(test, 'skipped'));
  runner.on('fail', (test: Reported, error: unknown) => write(test, 'failed', error));
}
