/** A batch of random sequences on the kernels, and whether the emulation can do what they did. */
import { mix, Random } from '../../random.js';
import { runBatch, type Death } from './batch.js';
import { check, type Checkable, type Disagreement, type Verdict } from './checker.js';
import { describeCommand, type NodeNumber, type Step } from './commands.js';
import { Generator } from './generator.js';
import type { KernelCluster } from './kernel.js';
import type { Recorded } from './recording.js';

/** Sequences side by side: those of the same number, this many left out, are of the same batch. */
export const BATCH = 500;

const MAX_FILES = 8;
/** How likely a step has two commands for one file at once. */
const RACING = 0.1;

/** What to run. */
export interface Plan {
  readonly seed: number;
  /** The numbers of sequences of one batch. */
  readonly numbers: readonly number[];
  /** Commands of each sequence, those that end it not counted. */
  readonly commands: number;
}

/** A sequence on which the two disagree, or of which it is undecided. */
export interface Finding extends Recorded {
  readonly outcome: Exclude<Verdict['outcome'], 'agrees'>;
  readonly disagreement: Disagreement;
}

/** Runs a batch. The same plan gives the same sequences, as far as the kernels do the same. */
export async function runOnKernel(kernel: KernelCluster, plan: Plan): Promise<Recorded[]> {
  const { seed, numbers, commands } = plan;
  const { nodes } = kernel;
  const batch = Math.floor((numbers[0] ?? 0) / BATCH);
  const death = deathOf(new Random(mix(seed, batch)), nodes, batch, commands);
  const shapes = numbers.map((number) => {
    const own = mix(seed, number, 1);
    return { number, seed: own, files: 1 + new Random(own).below(MAX_FILES) };
  });
  const sources = shapes.map((shape) => {
    return new Generator(new Random(mix(shape.seed, 2)), {
      nodes,
      files: shape.files,
      commands,
      racing: RACING,
    });
  });
  const histories = await runBatch(kernel, `b${batch.toString(36)}`, sources, death);
  if (death) await kernel.restart(death.node);
  return shapes.map(({ number, files }, index) => {
    return { kernel: kernel.release, seed, number, files, nodes, steps: histories[index] ?? [] };
  });
}

/** What is said of sequences: those that the emulation cannot do, or of which it is not known. */
export interface Judgement<S> {
  readonly findings: readonly (S & Pick<Finding, 'outcome' | 'disagreement'>)[];
  /** How many files were looked at only up to a fault of the kernel's. */
  readonly cut: number;
}

export async function judge<S extends Checkable>(sequences: readonly S[]): Promise<Judgement<S>> {
  const verdicts = await check(sequences);
  const findings = sequences.flatMap((sequence, index) => {
    const { outcome = 'agrees', disagreement } = verdicts[index] ?? {};
    if (outcome === 'agrees' || disagreement === undefined) return [];
    return [{ ...sequence, outcome, disagreement }];
  });
  return { findings, cut: verdicts.reduce((sum, verdict) => sum + verdict.cut, 0) };
}

/** How many commands there are. */
export function commandsOf(steps: readonly Step[]): number {
  return steps.reduce((sum, { commands }) => sum + commands.length, 0);
}

/** In every second batch a node dies, at one step for all its sequences. */
function deathOf(
  random: Random,
  nodes: readonly NodeNumber[],
  batch: number,
  commands: number,
): Death | undefined {
  if (batch % 2 === 0) return undefined;
  return { step: 5 + random.below(Math.max(1, commands >> 1)), node: random.pick(nodes) };
}

/** A finding for people. */
export function describe({ seed, number, steps, outcome, disagreement }: Finding): string {
  const { file, step, kernel, engine } = disagreement;
  const lines = [`--seed ${seed} --first ${number}, file ${file} ${outcome}:`];
  for (const { commands } of steps.slice(0, step + 1)) {
    const mine = commands.filter((command) => command.kind === 'kill' || command.file === file);
    if (mine.length > 0) lines.push(`  ${mine.map(describeCommand).join('  and  ')}`);
  }
  const indented = (text: string): string => `    ${text.replaceAll('\n', '\n    ')}`;
  lines.push('  the kernel:', indented(kernel));
  for (const each of engine) lines.push('  the emulation:', indented(each));
  return lines.join('\n');
}
