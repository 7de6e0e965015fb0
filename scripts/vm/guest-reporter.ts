/**
 * A mocha reporter for guest-mocha.ts: each event is a line of standard output, a mark and JSON,
 * written at once, so that the host knows how far a run came that never ended.
 */

/** What sets the reporter's lines apart from what tests print. */
const MARK = '@@stackglue-mocha ';

/** What became of a test. A failed hook is reported like a test, with `hook` set. */
export interface TestReport {
  readonly outcome: 'passed' | 'failed' | 'skipped';
  /** Titles of the test and of the suites around it, the outermost first. */
  readonly path: readonly string[];
  readonly hook: boolean;
  readonly error?: { readonly message: string; readonly stack: string } | undefined;
}

/** The report in a line of output, or undefined when the line has none. */
export function parseReport(line: string): TestReport | undefined {
  const at = line.indexOf(MARK);
  return at < 0 ? undefined : (JSON.parse(line.slice(at + MARK.length)) as TestReport);
}

type Reported = Mocha.Test | Mocha.Hook;

function write(test: Reported, outcome: TestReport['outcome'], error?: unknown): void {
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  const report: TestReport = {
    outcome,
    path: test.titlePath(),
    hook: test.type === 'hook',
    error: outcome === 'failed' ? { message, stack: stack ?? message } : undefined,
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
