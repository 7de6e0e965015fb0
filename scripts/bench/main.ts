/** `npm run bench`: measures both stacks against what they are compared with, and prints tables. */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

import { printingProgress, whyNotHere } from '../vm/index.js';
import { FEW_LOCKS, needsClusters, runBenchmarks } from './benchmarks.js';
import { MODES, type Mode } from './contestant.js';
import { runEmbedded } from './embedded.js';
import { isNativeChosen, isNativeRow, LIMITS, runNative } from './native/native.js';
import { drawNative } from './native/plot.js';
import { whyNotNative } from './native/world.js';
import { formatRows, type Row } from './result.js';

const USAGE = `Measures locks of stack "user" against a C program on libdlm, on the host with a double of the
kernel's device ("native") and in virtual machines ("local", "remote", "giving up", "held"), and the engines and
stack "o2cb" against libraries for one process, on the host ("embedded").

  npm run bench -- [options]
      --only <regex>       only benchmarks whose names match, for example "remote" or "depth 64$"
      --rounds <n>         how often each contestant is measured (5)
      --seconds <s>        how long each time (1.5)
      --modes <list>       who makes the calls: ${MODES.join(',')} (all)
      --cpus <list>        processors: the host's for "native", virtual ones for "local" (1,2)
      --locks <n>          how many locks are held where many are (100000)
      --kernel <package>   Debian kernel package (linux-image-amd64)
      --json <file>        write the rows there, too, and drawings of "native" beside it
`;

class UsageError extends Error {}

function positive(text: string, flag: string): number {
  const value = Number(text);
  if (value > 0 && Number.isFinite(value)) return value;
  throw new UsageError(`${flag} must be a positive number, not "${text}".`);
}

function positiveInteger(text: string, flag: string): number {
  const value = positive(text, flag);
  if (Number.isInteger(value)) return value;
  throw new UsageError(`${flag} must be a whole number, not "${text}".`);
}

function toMode(text: string): Mode {
  const mode = MODES.find((each) => each === text);
  if (mode !== undefined) return mode;
  throw new UsageError(`--modes can be ${MODES.join(', ')}, not "${text}".`);
}

function toPattern(text: string): RegExp {
  try {
    return new RegExp(text);
  } catch (error) {
    throw new UsageError(`--only is not a regular expression: ${String(error)}`);
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      only: { type: 'string', default: '' },
      rounds: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '1.5' },
      modes: { type: 'string', default: MODES.join(',') },
      cpus: { type: 'string', default: '1,2' },
      locks: { type: 'string', default: '100000' },
      kernel: { type: 'string' },
      json: { type: 'string' },
    },
  });
  const chosen = {
    only: toPattern(values.only),
    rounds: positiveInteger(values.rounds, '--rounds'),
    seconds: positive(values.seconds, '--seconds'),
    modes: values.modes.split(',').map(toMode),
    vcpus: values.cpus.split(',').map((text) => positiveInteger(text, '--cpus')),
    locks: positiveInteger(values.locks, '--locks'),
    kernel: values.kernel,
  };
  if (chosen.locks <= FEW_LOCKS) throw new UsageError(`--locks must be above ${FEW_LOCKS}.`);
  const inClusters = needsClusters(chosen);
  const reason = inClusters ? await whyNotHere() : undefined;
  if (reason !== undefined) throw new UsageError(reason);
  const isNative = isNativeChosen(chosen);
  const notNative = isNative ? whyNotNative() : undefined;
  if (notNative !== undefined) throw new UsageError(notNative);

  const rows: Row[] = [];
  const tell = (line: string): void => console.error(line);
  const progress = printingProgress(tell);
  const report = (row: Row): number => rows.push(row);
  await runNative({ ...chosen, progress, report, tell });
  await runEmbedded({ ...chosen, progress, report });
  if (inClusters) await runBenchmarks({ ...chosen, progress, report });
  if (rows.length === 0) throw new UsageError(`No benchmark matches "${values.only}".`);
  console.log(`\n${formatRows(rows)}`);
  if (isNative) console.log(`${LIMITS}\n`);
  if (values.json !== undefined) {
    writeFileSync(values.json, `${JSON.stringify(rows, null, 2)}\n`);
    for (const { name, svg } of drawNative(rows.filter(isNativeRow))) {
      writeFileSync(`${values.json.replace(/\.json$/, '')}-${name}.svg`, svg);
    }
  }
}

function isUsageError(error: unknown): error is Error {
  return (
    error instanceof UsageError ||
    (error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE'))
  );
}

try {
  await main();
} catch (error) {
  if (!isUsageError(error)) throw error;
  console.error(`${error.message}\n\n${USAGE}`);
  process.exitCode = 2;
}
