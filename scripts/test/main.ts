/** `npm test`: chooses files and has mocha run them, as often as asked. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { PROJECT_ROOT } from '../vm/paths.js';
import { keepBusy } from './busy.js';
import { filesOf, parse, type Options } from './command-line.js';

/** What the reporter tells of a run. */
interface Result {
  readonly passes: number;
  readonly failures: number;
  readonly pending: number;
  /** Titles. */
  readonly failed: readonly string[];
}

const MOCHA = join('node_modules', 'mocha', 'bin', 'mocha.js');

function mochaArguments(options: Options, files: readonly string[]): string[] {
  const { grep, bail, jobs } = options;
  // Side by side, a file's results are shown when it has ended; one alone tells them as they come.
  const parallel = files.length > 1 ? ['--jobs', String(jobs)] : ['--no-parallel'];
  return [
    MOCHA,
    ...parallel,
    ...(grep === undefined ? [] : ['--grep', grep]),
    ...(bail ? ['--bail'] : []),
    ...files,
  ];
}

/** Has mocha run once; resolves to its exit code and, unless it died, what the reporter told. */
async function runMocha(
  args: readonly string[],
  isBrief: boolean,
): Promise<{ code: number; result: Result | undefined }> {
  const folder = await mkdtemp(join(tmpdir(), 'stackglue-test-'));
  const resultPath = join(folder, 'result.json');
  const env = {
    ...process.env,
    STACKGLUE_TEST_RESULT: resultPath,
    STACKGLUE_TEST_TIMES: join(folder, 'times'),
    ...(isBrief && { STACKGLUE_TEST_BRIEF: '1' }),
  };
  const child = spawn(process.execPath, args, { cwd: PROJECT_ROOT, stdio: 'inherit', env });
  const forward = (signal: NodeJS.Signals): void => void child.kill(signal);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, forward);
  const [code] = (await once(child, 'exit')) as [number | null];
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, forward);
  const result = existsSync(resultPath)
    ? (JSON.parse(readFileSync(resultPath, 'utf8')) as Result)
    : undefined;
  await rm(folder, { recursive: true });
  return { code: code ?? 1, result };
}

async function runOften(options: Options, args: readonly string[]): Promise<number> {
  const total = { passes: 0, failures: 0, pending: 0 };
  const failed = new Map<string, number[]>();
  let worst = 0;
  for (let run = 1; run <= options.repeat; run += 1) {
    const began = performance.now();
    const { code, result } = await runMocha(args, true);
    const took = ((performance.now() - began) / 1000).toFixed(1);
    worst = Math.max(worst, code);
    for (const title of result?.failed ?? [`(mocha ended with code ${code})`]) {
      if (code !== 0) failed.set(title, [...(failed.get(title) ?? []), run]);
    }
    total.passes += result?.passes ?? 0;
    total.failures += result?.failures ?? 1;
    total.pending += result?.pending ?? 0;
    const counts = `${result?.passes ?? 0} passed, ${result?.failures ?? 1} failed`;
    console.log(`  run ${run} of ${options.repeat}: ${counts} in ${took} s`);
    if (options.bail && code !== 0) break;
  }
  for (const [title, runs] of failed) console.log(`  failed in run ${runs.join(', ')}: ${title}`);
  const skipped = total.pending > 0 ? `, ${total.pending} skipped` : '';
  console.log(`${total.passes} passed, ${total.failures} failed${skipped}`);
  return worst;
}

async function main(): Promise<number> {
  const options = parse(process.argv.slice(2));
  const { files, leftOut } = filesOf(options);
  const sayLeftOut = (): void => {
    for (const sentence of leftOut) console.log(`Left out: ${sentence}`);
  };
  sayLeftOut();
  const rest = options.busy ? keepBusy() : undefined;
  try {
    const args = mochaArguments(options, files);
    const code =
      options.repeat > 1 ? await runOften(options, args) : (await runMocha(args, false)).code;
    sayLeftOut();
    return code;
  } finally {
    await rest?.();
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof RangeError)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}
