/**
 * The emulation against the kernel's own o2dlm. Prints how far it is, every disagreement, shrunk, and the
 * seed; ends with 1 when there was one, or when it is undecided whether there is. With `--record FILE`
 * what the kernels did is kept in a file, and with `--check FILE` that is checked, without any cluster.
 */
import { parseArgs } from 'node:util';

import { Cluster, printingProgress } from '../../vm/index.js';
import { KernelCluster } from './kernel.js';
import { readRecording, startRecording } from './recording.js';
import { Checking, describe, run, shrink, type Progress, type RunResult } from './run.js';

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
    record: { type: 'string' },
    check: { type: 'string' },
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
  undecided,
  runs,
  seconds,
  checkSeconds,
}: Progress): string {
  return (
    `${sequences} sequences, ${commands} commands, ${runs} runs of the emulation, ` +
    `${disagreements} disagreements, ${undecided} undecided; ${seconds.toFixed(0)} s (checking ${checkSeconds.toFixed(0)} s)`
  );
}

function report(result: RunResult, more: string): void {
  console.log(line(result) + more);
  if (result.findings.length > 0) process.exitCode = 1;
}

async function checkRecording(path: string): Promise<void> {
  const checking = new Checking();
  for (const sequence of await readRecording(path)) {
    await checking.add([sequence]);
  }
  for (const finding of checking.findings) console.log(describe(finding));
  report({ ...checking.progress, findings: checking.findings }, '');
}

async function runOnCluster(): Promise<void> {
  const seed = values.seed === undefined ? Math.trunc(Math.random() * 2 ** 32) : number('seed', 0);
  const options = {
    seed,
    sequences: number('sequences', 1),
    commands: number('commands', 1),
    batch: number('batch', 1),
    deaths: number('deaths', 0),
    racing: number('racing', 0),
    recording: values.record,
  };
  if (values.record !== undefined) await startRecording(values.record);
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
    let shrunk = 0;
    for (const finding of result.findings) {
      const isWorthIt = finding.outcome === 'disagrees' && shrunk++ < MAX_SHRUNK;
      console.log(describe(isWorthIt ? await shrink(kernel, finding) : finding));
    }
    report(result, `; --seed ${seed}`);
  } finally {
    await cluster.close();
  }
}

await (values.check === undefined ? runOnCluster() : checkRecording(values.check));
