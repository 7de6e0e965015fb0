/** The differential run: sequences on the kernels, checked against the emulation. */
import { performance } from 'node:perf_hooks';

import { mix, Random } from '../random.js';
import { runBatch, type Death } from './batch.js';
import { check, type Disagreement } from './checker.js';
import { describeCommand, type Step } from './commands.js';
import { Generator, Replay, type Source } from './generator.js';
import type { KernelCluster } from './kernel.js';

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
  readonly onBatch?: ((done: Progress) => void) | undefined;
}

/** How far a run is. */
export interface Progress {
  readonly sequences: number;
  readonly commands: number;
  readonly disagreements: number;
  /** Runs of the emulation: more than sequences, where the first order was not the kernel's. */
  readonly runs: number;
  readonly seconds: number;
  readonly checkSeconds: number;
}

/** A sequence on which the two disagree. */
export interface Finding {
  readonly seed: number;
  readonly files: number;
  readonly steps: readonly Step[];
  readonly disagreement: Disagreement;
}

/** What a run has found. */
export interface RunResult extends Progress {
  readonly findings: readonly Finding[];
}

type Commands = Step['commands'];

const MAX_FILES = 8;
/** As many are checked at the same time. */
const CHECKS = 25;

/** Runs sequences and checks them. The same seed gives the same sequences, races apart. */
export async function run(kernel: KernelCluster, options: RunOptions): Promise<RunResult> {
  const started = performance.now();
  const findings: Finding[] = [];
  const total = { sequences: 0, commands: 0, runs: 0, checkMs: 0 };
  const progress = (): Progress => ({
    sequences: total.sequences,
    commands: total.commands,
    disagreements: findings.length,
    runs: total.runs,
    seconds: (performance.now() - started) / 1000,
    checkSeconds: total.checkMs / 1000,
  });
  const allNodes = kernel.nodes;
  let checking: Promise<void> = Promise.resolve();
  for (let first = 0; first < options.sequences; first += options.batch) {
    const count = Math.min(options.batch, options.sequences - first);
    const random = new Random(mix(options.seed, first));
    const death: Death | undefined = random.chance(options.deaths)
      ? { step: 5 + random.below(Math.max(1, options.commands >> 1)), node: random.pick(allNodes) }
      : undefined;
    const shapes = Array.from({ length: count }, (_, index) => {
      const seed = mix(options.seed, first + index, 1);
      return { seed, files: 1 + new Random(seed).below(MAX_FILES) };
    });
    const sources = shapes.map(({ seed, files }) => {
      const { commands, racing } = options;
      return new Generator(new Random(mix(seed, 2)), { nodes: allNodes, files, commands, racing });
    });
    const histories = await runBatch(kernel, `b${first.toString(36)}`, sources, death);
    if (death) await kernel.restart(death.node);
    await kernel.tidy();
    await checking;
    checking = (async () => {
      const checkStarted = performance.now();
      for (let from = 0; from < count; from += CHECKS) {
        await Promise.all(
          shapes.slice(from, from + CHECKS).map(async ({ seed, files }, index) => {
            const steps = histories[from + index] ?? [];
            const { disagreement, runs } = await check(allNodes, files, steps);
            total.runs += runs;
            total.commands += steps.reduce((sum, { commands }) => sum + commands.length, 0);
            if (disagreement) findings.push({ seed, files, steps, disagreement });
          }),
        );
      }
      total.sequences += count;
      total.checkMs += performance.now() - checkStarted;
      options.onBatch?.(progress());
    })();
  }
  await checking;
  return { ...progress(), findings };
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
      const { disagreement } = await check(nodes, best.files, history);
      const length = commandsOf(history);
      if (disagreement && length < commandsOf(shorter?.steps ?? steps)) {
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
export function describe({ seed, steps, disagreement }: Finding): string {
  const { file, step, kernel, engine } = disagreement;
  const lines = [`seed ${seed}, file ${file}:`];
  for (const { commands } of steps.slice(0, step + 1)) {
    const mine = commands.filter((command) => command.kind === 'kill' || command.file === file);
    if (mine.length > 0) lines.push(`  ${mine.map(describeCommand).join('  and  ')}`);
  }
  const indented = (text: string): string => `    ${text.replaceAll('\n', '\n    ')}`;
  lines.push('  the kernel:', indented(kernel));
  for (const each of engine) lines.push('  the emulation:', indented(each));
  return lines.join('\n');
}
