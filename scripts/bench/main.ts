/** `npm run bench`: measures both stacks against what they are compared with, and prints tables. */
import { InvalidArgumentError } from 'commander';
import { writeFileSync } from 'node:fs';

import { commandLine, listOf, oneOf, positive, wholeFrom } from '../arguments.js';
import { printingProgress, whyNotHere } from '../vm/index.js';
import { FEW_LOCKS, needsClusters, runBenchmarks } from './benchmarks.js';
import { MODES, type Mode } from './contestant.js';
import { runCached } from './cached.js';
import { runEmbedded } from './embedded.js';
import { isNativeChosen, isNativeRow, LIMITS, runNative } from './native/native.js';
import { drawNative } from './native/plot.js';
import { whyNotNative } from './native/world.js';
import { formatRows, type Row } from './result.js';
import { runStart } from './start.js';

const ABOUT = `Measures locks of stack "user" against a C program on libdlm, on the host with a double of the
kernel's device ("native") and in virtual machines ("local", "remote", "giving up", "held"), and the engines and
stack "o2cb" against libraries for one process, on the host ("embedded", "cached"), and how long a program takes to
its first lock ("start").`;

interface Flags {
  readonly only: RegExp;
  readonly rounds: number;
  readonly seconds: number;
  readonly modes: readonly Mode[];
  readonly cpus: readonly number[];
  readonly locks: number;
  readonly kernel?: string;
  readonly json?: string;
}

function toPattern(text: string): RegExp {
  try {
    return new RegExp(text);
  } catch {
    throw new InvalidArgumentError('It is not a regular expression.');
  }
}

function parse(): Flags {
  const command = commandLine('npm run bench --')
    .description(ABOUT)
    .option(
      '--only <regex>',
      'only benchmarks whose names match, for example "remote" or "depth 64$"',
      toPattern,
      new RegExp(''),
    )
    .option('--rounds <n>', 'how often each contestant is measured', wholeFrom(1), 5)
    .option('--seconds <s>', 'how long each time', positive, 1.5)
    .option('--modes <list>', 'who makes the calls', listOf(oneOf(MODES)), [...MODES])
    .option(
      '--cpus <list>',
      'processors: the host\'s for "native", virtual ones for "local"',
      listOf(wholeFrom(1)),
      [1, 2],
    )
    .option(
      '--locks <n>',
      'how many locks are held where many are',
      wholeFrom(FEW_LOCKS + 1),
      100_000,
    )
    .option('--kernel <package>', 'Debian kernel package (linux-image-amd64)')
    .option('--json <file>', 'write the rows there, too, and drawings of "native" beside it');
  return command.parse().opts<Flags>();
}

async function main(): Promise<void> {
  const { cpus: vcpus, json, kernel, ...flags } = parse();
  const chosen = { ...flags, vcpus, kernel };
  const inClusters = needsClusters(chosen);
  const isNative = isNativeChosen(chosen);
  const reason =
    (inClusters ? await whyNotHere() : undefined) ?? (isNative ? whyNotNative() : undefined);
  if (reason !== undefined) {
    console.error(reason);
    process.exitCode = 1;
    return;
  }

  const rows: Row[] = [];
  const tell = (line: string): void => console.error(line);
  const progress = printingProgress(tell);
  const report = (row: Row): number => rows.push(row);
  await runNative({ ...chosen, progress, report, tell });
  await runStart({ ...chosen, progress, report });
  await runEmbedded({ ...chosen, progress, report });
  await runCached({ ...chosen, progress, report });
  if (inClusters) await runBenchmarks({ ...chosen, progress, report });
  if (rows.length === 0) {
    console.error(`No benchmark matches ${String(chosen.only)}.`);
    process.exitCode = 1;
    return;
  }
  console.log(`\n${formatRows(rows)}`);
  if (isNative) console.log(`${LIMITS}\n`);
  if (json !== undefined) {
    writeFileSync(json, `${JSON.stringify(rows, null, 2)}\n`);
    for (const { name, svg } of drawNative(rows.filter(isNativeRow))) {
      writeFileSync(`${json.replace(/\.json$/, '')}-${name}.svg`, svg);
    }
  }
}

await main();
