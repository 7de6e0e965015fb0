/**
 * The o2dlm half of `npm run conformance`: the emulation against the kernel's own o2dlm. Prints how far it
 * is, every disagreement, shrunk, and the seed; ends with 1 when there was one.
 */
import { parseArgs } from 'node:util';

import { Cluster, printingProgress } from '../../vm/index.js';
import { KernelCluster } from './kernel.js';
import { describe, run, shrink, type Progress } from './run.js';

const NODES = 3;
/** As many disagreements are shrunk; more of them are mostly more of the same. */
const MAX_SHRUNK = 3;

const { values } = parseArgs({
  options: {
    kernel: { type: 'string' },
    sequences: { type: 'string', default: '1000' },
    commands: { type: 'string', default: '50' },
    seed: { type: 'string' },
    batch: { type: 'string', default: '100' },
    deaths: { type: 'string', default: '0.25' },
    racing: { type: 'string', default: '0.1' },
  },
});

function number(name: keyof typeof values, least: number): number {
  const value = Number(values[name]);
  if (Number.isFinite(value) && value >= least) return value;
  throw new RangeError(`--${name} must be a number from ${least}, not "${values[name]}"`);
}

function line({
  sequences,
  commands,
  disagreements,
  runs,
  seconds,
  checkSeconds,
}: Progress): string {
  return (
    `${sequences} sequences, ${commands} commands, ${runs} runs of the emulation, ` +
    `${disagreements} disagreements; ${seconds.toFixed(0)} s (checking ${checkSeconds.toFixed(0)} s)`
  );
}

const seed = values.seed === undefined ? Math.trunc(Math.random() * 2 ** 32) : number('seed', 0);
const options = {
  seed,
  sequences: number('sequences', 1),
  commands: number('commands', 1),
  batch: number('batch', 1),
  deaths: number('deaths', 0),
  racing: number('racing', 0),
};
const cluster = await Cluster.boot({
  nodes: NODES,
  membership: 'o2cb',
  kernel: values.kernel,
  progress: printingProgress((text) => {
    console.log(text);
  }),
});
try {
  const kernel = await KernelCluster.start(cluster);
  console.log(`profile o2dlm on ${kernel.release}, --seed ${seed}`);
  const result = await run(kernel, {
    ...options,
    onBatch: (progress) => {
      console.log(line(progress));
    },
  });
  for (const [index, finding] of result.findings.entries()) {
    console.log(describe(index < MAX_SHRUNK ? await shrink(kernel, finding) : finding));
  }
  console.log(`${line(result)}; --seed ${seed}`);
  if (result.findings.length > 0) process.exitCode = 1;
} finally {
  await cluster.close();
}
