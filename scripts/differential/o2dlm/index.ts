/** Profile `o2dlm`: the engine against the kernel's own o2dlm, which dlmfs gives access to. */
import { Cluster } from '../../vm/index.js';
import { batchesOf, type Outcome, type ProfileOptions } from '../profile.js';
import { KernelCluster } from './kernel.js';
import { buildChecker } from './programs.js';
import { readRecording, record } from './recording.js';
import { BATCH, commandsOf, describe, judge, runOnKernel } from './run.js';
import { shrink } from './shrink.js';

const NODES = 3;

/** Runs sequences on one kernel. */
export async function runO2dlm(options: ProfileOptions): Promise<Outcome> {
  const { seed, sequences, commands, shrinks, first = 0, say, progress, recording } = options;
  await buildChecker();
  let agreed = 0;
  let undecided = 0;
  let given = 0;
  let milliseconds = 0;
  const disagreements: string[] = [];
  for (const numbers of batchesOf(first, sequences, BATCH)) {
    // Opens that sleep for ever keep their files busy, and an unlink that waits for one keeps the
    // directory. So nothing is left over from one batch to the next.
    const cluster = await Cluster.boot({
      nodes: NODES,
      membership: 'o2cb',
      kernel: options.kernel,
      progress,
    });
    try {
      const kernel = await KernelCluster.start(cluster);
      const t0 = performance.now();
      const done = await runOnKernel(kernel, { seed, numbers, commands });
      const t1 = performance.now();
      if (recording !== undefined) await record(recording, done);
      const { findings, cut } = await judge(done);
      const t2 = performance.now();
      agreed += done.length - findings.length;
      given += done.reduce((sum, { steps }) => sum + commandsOf(steps), 0);
      let shrunk = 0;
      for (const finding of findings) {
        if (finding.outcome === 'undecided') {
          undecided++;
          say(describe(finding));
          continue;
        }
        const text = describe(shrunk++ < shrinks ? await shrink(kernel, finding) : finding);
        say(text);
        disagreements.push(text);
      }
      const seconds = [t1 - t0, t2 - t1].map((ms) => (ms / 1000).toFixed(1));
      say(
        `${agreed} agree, ${disagreements.length} do not, ${undecided} are undecided` +
          ` (kernel ${seconds[0]} s, comparison ${seconds[1]} s)`,
      );
      if (cut > 0) say(describeCut(cut));
      milliseconds += performance.now() - t0;
    } finally {
      await cluster.close();
    }
  }
  return { agreed, commands: given, disagreements, undecided, seconds: milliseconds / 1000 };
}

/** Judges a recording, without any kernel. */
export async function checkRecording(path: string, say: (line: string) => void): Promise<Outcome> {
  await buildChecker();
  const started = performance.now();
  const sequences = await readRecording(path);
  const { findings, cut } = await judge(sequences);
  if (cut > 0) say(describeCut(cut));
  for (const finding of findings) say(describe(finding));
  const disagreements = findings.filter(({ outcome }) => outcome === 'disagrees').map(describe);
  return {
    agreed: sequences.length - findings.length,
    undecided: findings.length - disagreements.length,
    commands: sequences.reduce((sum, { steps }) => sum + commandsOf(steps), 0),
    disagreements,
    seconds: (performance.now() - started) / 1000,
  };
}

const describeCut = (files: number): string =>
  `${files} ${files === 1 ? 'file is' : 'files are'} compared up to an EACCES only`;
