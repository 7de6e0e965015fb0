/** `npm run kills`: kills nodes and processes that hold locks, on real kernels, and judges tokens and values. */
import { randomInt } from 'node:crypto';

import { commandLine, wholeFrom } from '../arguments.js';
import { Cluster, printingProgress, VmError, whyNotHere } from '../vm/index.js';
import { describeOutcome, runKills } from './kills.js';

const KERNELS = ['linux-image-amd64', 'linux-image-6.12-amd64'];

interface Flags {
  readonly kernel?: readonly string[];
  readonly kills: number;
  readonly seed?: number;
}

function parse(): Flags {
  return commandLine('npm run kills --')
    .description(
      'Kills nodes and processes that hold locks, and judges the tokens and values after.',
    )
    .option(
      '--kernel <package>',
      `a Debian kernel package, more than once for several (${KERNELS.join(' and ')})`,
      (text: string, before: readonly string[] | undefined) => [...(before ?? []), text],
    )
    .option('--kills <n>', 'how many on each kernel', wholeFrom(1), 250)
    .option('--seed <n>', 'of a run that is to be repeated, as far as chance decides', wholeFrom(0))
    .parse()
    .opts<Flags>();
}

/** SIGTERM ends in good order. SIGINT cannot: a terminal gives it to the virtual machines, too. */
const stopping = new AbortController();
process.once('SIGTERM', () => stopping.abort());

const say = (line: string): void => console.log(line);

async function main(): Promise<void> {
  const flags = parse();
  const reason = await whyNotHere();
  if (reason !== undefined) throw new VmError('unsupported', reason);
  const seed = flags.seed ?? randomInt(2 ** 31);
  say(`seed ${seed}`);
  for (const kernel of flags.kernel ?? KERNELS) {
    if (stopping.signal.aborted) break;
    const progress = printingProgress(say);
    const cluster = await Cluster.boot({ nodes: 3, membership: 'host', kernel, progress });
    try {
      const began = performance.now();
      const { kills } = flags;
      const outcome = await runKills({ cluster, kills, seed, say, signal: stopping.signal });
      const seconds = (performance.now() - began) / 1000;
      say(`\n${kernel}, ${seconds.toFixed(0)} s: ${describeOutcome(outcome)}`);
    } finally {
      await cluster.close();
    }
  }
}

try {
  await main();
} catch (error) {
  // A cluster that cannot be had, on a busy machine mostly: where in here makes no difference.
  if (!(error instanceof VmError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
