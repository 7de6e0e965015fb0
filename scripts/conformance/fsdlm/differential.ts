/** Runs sequences on the engine and on a kernel, and finds those of which the two disagree. */
import { mix, Random } from '../random.js';
import { at, programSource, runBatch, type BatchResult } from './batch.js';
import { EngineWorld } from './engine-world.js';
import { Generator } from './generator.js';
import type { KernelLab } from './kernel-world.js';
import { firstDifference, linesByResource, masterOrders, orders } from './outcomes.js';
import type { CallbackRules } from './callbacks.js';
import { withCrossings } from './crossings.js';
import { NODES, projectOnto, type Death, type Program, type Step } from './program.js';
import { Tracker } from './tracker.js';

/** Sequences that run side by side. */
export const BATCH = 500;

/** A resource of a sequence of which the kernel did what no allowed order of things leads to. */
export interface Disagreement {
  /** The sequence, reduced to that resource. */
  readonly program: Program;
  readonly resource: number;
  /** What the kernel did, and what comes closest to it of what the engine allows, step by step. */
  readonly kernel: readonly string[];
  readonly engine: readonly string[];
  /** How many different things the engine allows. */
  readonly outcomes: number;
}

/** Every second batch has a death. */
function deathOf(seed: number, batch: number, commands: number): Death | undefined {
  if (batch % 2 === 0) return undefined;
  const random = new Random(mix(seed, batch, 2));
  const step = Math.floor(commands / 4) + random.below(Math.ceil(commands / 2));
  return { step, node: 1 + random.below(NODES) };
}

/** Generates sequences by running them on the engine. */
export async function generate(
  seed: number,
  numbers: readonly number[],
  commands: number,
  batch: number,
): Promise<{ programs: Program[]; result: BatchResult }> {
  const death = deathOf(seed, batch, commands);
  const sequences = numbers.map((number) => {
    const tracker = new Tracker();
    const generator = new Generator(new Random(mix(seed, number, 1)), tracker);
    return { number, tracker, generator, steps: [] as Step[], count: 0 };
  });
  const world = await EngineWorld.open();
  const result = await runBatch(world, {
    runs: numbers.length,
    death,
    next: (run) => {
      const sequence = sequences[run];
      if (sequence === undefined || sequence.count >= commands) return undefined;
      const step = sequence.generator.step();
      sequence.steps.push(step);
      sequence.count += step.length;
      return step;
    },
    see: (run, lock, event) => sequences[run]?.tracker.see(lock, event),
    die: (node) => {
      for (const { generator } of sequences) generator.die(node);
    },
  });
  await world.close();
  const programs = sequences.map(({ number, steps }) => ({
    name: `${seed}/${number}`,
    steps,
    ...(death === undefined ? {} : { death }),
  }));
  return { programs, result };
}

/** Runs programs, all with the same death or none, on a kernel. */
export async function runOnKernel(
  lab: KernelLab,
  programs: readonly Program[],
): Promise<BatchResult> {
  const world = await lab.open();
  const random = new Random(mix(programs.length, 3));
  const source = programSource(programs, programs[0]?.death);
  const result = await runBatch(world, source, (list) => random.shuffle(list));
  await world.close();
  return result;
}

/** Compares what a kernel did with all that the engine allows. */
export async function judge(
  programs: readonly Program[],
  kernel: BatchResult,
  rules: CallbackRules,
  first?: BatchResult,
): Promise<Disagreement[]> {
  const death = programs[0]?.death;
  const open: Disagreement[] = [];
  programs.forEach((program, run) => {
    const seen = linesByResource(program, at(kernel.histories, run), '6.1');
    const expected = first && linesByResource(program, at(first.histories, run), rules);
    for (const [resource, lines] of seen) {
      const likely = expected?.get(resource);
      if (likely !== undefined && firstDifference(lines, likely) < 0) continue;
      open.push({
        program: projectOnto(program, resource),
        resource,
        kernel: lines,
        engine: [],
        outcomes: 0,
      });
    }
  });
  const without = await stillOpen(open, death, rules, false);
  return stillOpen(without, death, rules, true);
}

/** Those of which no allowed outcome is the kernel's; `withPauses`: see `orders`. */
async function stillOpen(
  open: readonly Disagreement[],
  death: Death | undefined,
  rules: CallbackRules,
  withPauses: boolean,
): Promise<Disagreement[]> {
  if (open.length === 0) return [];
  const variants = open.flatMap((item, of) =>
    orders(item.program, withPauses).map((program) => ({ of, program })),
  );
  const allowed: string[][][] = open.map(() => []);
  for (const order of masterOrders(death)) {
    const world = await EngineWorld.open(order);
    const source = programSource(
      variants.map(({ program }) => program),
      death,
    );
    const result = await runBatch(world, source);
    await world.close();
    variants.forEach(({ of, program }, run) => {
      for (const history of withCrossings(program, at(result.histories, run))) {
        const lines = linesByResource(program, history, rules);
        at(allowed, of).push(lines.get(at(open, of).resource) ?? []);
      }
    });
  }
  return open.flatMap((disagreement, of) => {
    const { kernel } = disagreement;
    const outcomes = at(allowed, of);
    const agreeUntil = (outcome: string[]): number => firstDifference(kernel, outcome);
    if (outcomes.some((outcome) => agreeUntil(outcome) < 0)) return [];
    const engine = outcomes.reduce((a, b) => (agreeUntil(b) > agreeUntil(a) ? b : a));
    const different = new Set(outcomes.map((outcome) => outcome.join('\n'))).size;
    return [{ ...disagreement, engine, outcomes: different }];
  });
}
