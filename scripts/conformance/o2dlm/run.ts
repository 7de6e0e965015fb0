/** The differential run: sequences on the kernels, checked against the emulation. */
import { performance } from 'node:perf_hooks';

import { mix, Random } from '../../random.js';
import { runBatch, type Death } from './batch.js';
import { check, type Disagreement, type Verdict } from './checker.js';
import { describeCommand, type Step } from './commands.js';
import { Generator, Replay, type Source } from './generator.js';
import type { KernelCluster } from './kernel.js';
import { record, type Recorded } from './recording.js';

/** What to run. */
export interface RunOptions {
  readonly sequences: number;
  /** Commands of each sequence, those that end it not counted. */
  readonly commands: number;
  readonly seed: number;
  /** Sequences side by side. */
  readonly batch: number;
  /** How likely it is that a node dies in a batch. */
  readonly deaths: number;
  /** How likely a step has two commands for one file at once. */
  readonly racing: number;
  /** A file to which all sequences are added. */
  readonly recording?: string | undefined;
  readonly onBatch?: ((done: Progress) => void) | undefined;
}

/** How far a run is. */
export interface Progress {
  readonly sequences: number;
  readonly commands: number;
  readonly disagreements: number;
  /** Sequences that were too much for the search. */
  readonly undecided: number;
  /** Runs of the emulation: more than sequences, where the first order was not the kernel's. */
  readonly runs: number;
  readonly seconds: number;
  readonly checkSeconds: number;
}

/** A sequence on which the two disagree, or of which it is undecided. */
export interface Finding extends Recorded {
  readonly outcome: Verdict['outcome'];
  readonly disagreement: Disagreement;
}

/** What a run has found. */
export interface RunResult extends Progress {
  readonly findings: readonly Finding[];
}

type Commands = Step['commands'];

const MAX_FILES = 8;

/** Checks sequences as they come, and counts. */
export class Checking {
  readonly findings: Finding[] = [];
  readonly #started = performance.now();
  readonly #total = { sequences: 0, commands: 0, runs: 0, checkMs: 0 };

  get progress(): Progress {
    const { sequences, commands, runs, checkMs } = this.#total;
    const undecided = this.findings.filter(({ outcome }) => outcome === 'undecided').length;
    return {
      sequences,
      commands,
      disagreements: this.findings.length - undecided,
      undecided,
      runs,
      seconds: (performance.now() - this.#started) / 1000,
      checkSeconds: checkMs / 1000,
    };
  }

  /** Checks these. */
  async add(sequences: readonly Recorded[]): Promise<void> {
    const started = performance.now();
    const verdicts = await check(sequences);
    for (const [index, { outcome, disagreement, runs }] of verdicts.entries()) {
      const sequence = sequences[index];
      if (sequence === undefined) continue;
      this.#total.runs += runs;
      this.#total.commands += commandsOf(sequence.steps);
      if (disagreement) this.findings.push({ ...sequence, outcome, disagreement });
    }
    this.#total.sequences += sequences.length;
    this.#total.checkMs += performance.now() - started;
  }
}

/** Runs sequences and checks them. The same seed gives the same sequences, races apart. */
export async function run(kernel: KernelCluster, options: RunOptions): Promise<RunResult> {
  const checking = new Checking();
  const nodes = kernel.nodes;
  let lastCheck: Promise<void> = Promise.resolve();
  for (let first = 0; first < options.sequences; first += options.batch) {
    const count = Math.min(options.batch, options.sequences - first);
    const random = new Random(mix(options.seed, first));
    const death: Death | undefined = random.chance(options.deaths)
      ? { step: 5 + random.below(Math.max(1, options.commands >> 1)), node: random.pick(nodes) }
      : undefined;
    const shapes = Array.from({ length: count }, (_, index) => {
      const seed = mix(options.seed, first + index, 1);
      return { seed, files: 1 + new Random(seed).below(MAX_FILES) };
    });
    const sources = shapes.map(({ seed, files }) => {
      const { commands, racing } = options;
      return new Generator(new Random(mix(seed, 2)), { nodes, files, commands, racing });
    });
    const histories = await runBatch(kernel, `b${first.toString(36)}`, sources, death);
    const sequences = shapes.map((shape, index) => {
      return { ...shape, kernel: kernel.release, nodes, steps: histories[index] ?? [] };
    });
    if (options.recording !== undefined) await record(options.recording, sequences);
    if (death) await kernel.restart(death.node);
    await kernel.tidy();
    await lastCheck;
    lastCheck = checking.add(sequences).then(() => options.onBatch?.(checking.progress));
  }
  await lastCheck;
  return { ...checking.progress, findings: checking.findings };
}

/**
 * Looks for a shorter sequence on which the two disagree: each round runs the sequence without each of its
 * steps, all side by side, and goes on with one that still disagrees.
 */
export async function shrink(kernel: KernelCluster, finding: Finding): Promise<Finding> {
  const nodes = kernel.nodes;
  let best = finding;
  for (let round = 0; ; round++) {
    const steps = best.steps.slice(0, best.disagreement.step + 1);
    const death = deathOf(steps);
    const plans = candidates(
      steps.map(({ commands }) => commands),
      best.disagreement.file,
    );
    const sources: Source[] = plans.map((plan) => new Replay(plan));
    const histories = await runBatch(kernel, `s${best.seed.toString(36)}r${round}`, sources, death);
    if (death) await kernel.restart(death.node);
    await kernel.tidy();
    let shorter: Finding | undefined;
    for (const history of histories) {
      const { outcome, disagreement } = await check(nodes, best.files, history);
      const length = commandsOf(history);
      if (outcome === 'disagrees' && disagreement && length < commandsOf(shorter?.steps ?? steps)) {
        shorter = { ...best, steps: history, disagreement };
      }
    }
    if (shorter === undefined) return { ...best, steps };
    best = shorter;
  }
}

function commandsOf(steps: readonly Step[]): number {
  return steps.reduce((sum, { commands }) => sum + commands.length, 0);
}

function deathOf(steps: readonly Step[]): Death | undefined {
  const step = steps.findIndex(({ commands }) => commands.some(({ kind }) => kind === 'kill'));
  const node = steps[step]?.commands[0]?.node;
  return node === undefined ? undefined : { step, node };
}

/** The steps without a part of them, as long as before: what is left keeps its place. */
function candidates(steps: readonly Commands[], file: number): Commands[][] {
  const ofFile: Commands[] = steps.map((commands) =>
    commands.filter((command) => command.kind === 'kill' || command.file === file),
  );
  const without = (from: number, to: number): Commands[] =>
    ofFile.map((commands, at) => (at >= from && at < to ? [] : commands));
  const plans = [ofFile];
  for (let size = ofFile.length >> 1; size >= 1; size >>= 1) {
    for (let from = 0; from < ofFile.length; from += size) plans.push(without(from, from + size));
  }
  return plans;
}

/** A finding for people. */
export function describe({ seed, steps, outcome, disagreement }: Finding): string {
  const { file, step, kernel, engine } = disagreement;
  const lines = [`seed ${seed}, file ${file} ${outcome}:`];
  for (const { commands } of steps.slice(0, step + 1)) {
    const mine = commands.filter((command) => command.kind === 'kill' || command.file === file);
    if (mine.length > 0) lines.push(`  ${mine.map(describeCommand).join('  and  ')}`);
  }
  const indented = (text: string): string => `    ${text.replaceAll('\n', '\n    ')}`;
  lines.push('  the kernel:', indented(kernel));
  for (const each of engine) lines.push('  the emulation:', indented(each));
  return lines.join('\n');
}
