/** Runs sequences on the engine and on a kernel, and finds those of which the two disagree. */
import { mix, Random } from '../../random.js';
import { at, programSource, runBatch, type BatchResult } from './batch.js';
import { EngineWorld } from './engine-world.js';
import { Generator } from './generator.js';
import type { KernelLab } from './kernel-world.js';
import {
  before,
  firstDifference,
  linesByResource,
  linesOf,
  masterOrders,
  racesOf,
  waysOfRace,
} from './outcomes.js';
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
  /** How many different things the engine allows until the first race behind the difference. */
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
  return followAll(open, death, rules);
}

/** One way in which things may have gone so far. */
interface Path {
  readonly order: readonly number[];
  readonly program: Program;
}

/**
 * Follows what the kernel did through the choices that it had, race by race: all ways that agree until
 * the next race are kept. Those that none of them leads to the end are disagreements.
 */
async function followAll(
  open: readonly Disagreement[],
  death: Death | undefined,
  rules: CallbackRules,
): Promise<Disagreement[]> {
  const found: Disagreement[] = [];
  const masters = masterOrders(death);
  let going = open.map((disagreement) => ({
    disagreement,
    races: racesOf(disagreement.program),
    paths: masters.map((order): Path => ({ order, program: disagreement.program })),
  }));
  for (let round = 0; going.length > 0; round++) {
    const tried = going.map(({ disagreement, races, paths }) => {
      const race = races[round];
      const ways =
        race === undefined
          ? paths
          : paths.flatMap(({ order, program }) =>
              waysOfRace(program, race).map((way) => ({ order, program: way })),
            );
      const end = races[round + 1] ?? disagreement.program.steps.length;
      return { disagreement, races, end, ways };
    });
    const outcomes = await outcomesOf(
      tried.flatMap(({ end, ways }) =>
        ways.map(({ order, program }) => ({ order, program: before(program, end) })),
      ),
      death,
      rules,
    );
    going = tried.flatMap(({ disagreement, races, end, ways }) => {
      const { kernel } = disagreement;
      const until = kernel.slice(0, 2 * end);
      const seen = ways.map((way) => ({ way, lines: outcomes.shift() ?? [] }));
      const agreeing = seen.filter(({ lines }) =>
        lines.some((each) => firstDifference(until, each) < 0),
      );
      if (agreeing.length === 0) {
        const all = seen.flatMap(({ lines }) => lines);
        const agreesUntil = (each: string[]): number => firstDifference(until, each);
        const engine = all.reduce((a, b) => (agreesUntil(b) > agreesUntil(a) ? b : a));
        const different = new Set(all.map((each) => each.join('\n'))).size;
        found.push({ ...disagreement, engine, outcomes: different });
        return [];
      }
      const isOver = end === disagreement.program.steps.length;
      return isOver ? [] : [{ disagreement, races, paths: agreeing.map(({ way }) => way) }];
    });
  }
  return found;
}

/** What the engine and the messages that cross make of each path: one or more histories, as lines. */
async function outcomesOf(
  paths: readonly Path[],
  death: Death | undefined,
  rules: CallbackRules,
): Promise<string[][][]> {
  const outcomes: string[][][] = paths.map(() => []);
  for (const order of new Set(paths.map((path) => path.order))) {
    const own = [...paths.entries()].filter(([, path]) => path.order === order);
    const programs = own.map(([, { program }]) => program);
    const world = await EngineWorld.open(order);
    const result = await runBatch(world, programSource(programs, death));
    await world.close();
    own.forEach(([index, { program }], run) => {
      const histories = withCrossings(program, at(result.histories, run));
      outcomes[index] = histories.map((history) => linesOf(program, history, rules));
    });
  }
  return outcomes;
}
