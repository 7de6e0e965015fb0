/** The same scenario under many seeds, until one shows that something is wrong. */
import { checkFunction, checkInteger, checkOptions, invalidType } from '../errors.js';
import { SimulationError } from './errors.js';
import type { History } from './history.js';
import { RUN_OPTIONS, SETTINGS, type RunOptions, type SimulationOptions } from './options.js';
import { Simulation } from './simulation.js';

/** What is run, and how often. */
export interface ExploreOptions extends Omit<SimulationOptions, 'seed' | 'replay'>, RunOptions {
  /** The seeds, or how many: 1 to that number. 100 by default. */
  readonly seeds?: number | Iterable<number>;
  /** Called once for each seed, with a simulation of its own. It rejects when something is wrong. */
  readonly run: (simulation: Simulation) => unknown;
}

const EXPLORE_OPTIONS: Readonly<Record<keyof ExploreOptions, true>> = {
  ...SETTINGS,
  ...RUN_OPTIONS,
  seeds: true,
  run: true,
};

/** Counts from 1. */
function* count(to: number): Generator<number> {
  for (let seed = 1; seed <= to; seed += 1) yield seed;
}

function seedsOf(seeds: unknown): Iterable<number> {
  if (typeof seeds === 'number') {
    checkInteger('options.seeds', seeds, 1, Number.MAX_SAFE_INTEGER);
    return count(seeds);
  }
  if (typeof seeds === 'object' && seeds !== null && Symbol.iterator in seeds) {
    return seeds as Iterable<number>;
  }
  throw invalidType('options.seeds', 'a number or an iterable of numbers', seeds);
}

/**
 * Runs the scenario under each seed. Resolves to how many there were; at the first one that fails it
 * rejects with a `SimulationError`, `ERR_DLM_SIMULATION_FAILED`, that has the seed, the history and, as
 * its cause, what was wrong.
 */
export async function explore(options: ExploreOptions): Promise<number> {
  checkOptions<ExploreOptions>('options', options, EXPLORE_OPTIONS);
  const { seeds = 100, run, maxSteps, ...simulationOptions } = options;
  checkFunction('options.run', run);
  let runs = 0;
  for (const seed of seedsOf(seeds)) {
    const simulation = new Simulation({ ...simulationOptions, seed });
    try {
      await simulation.run(() => run(simulation), maxSteps === undefined ? {} : { maxSteps });
    } catch (error) {
      throw failure(simulation.history, error);
    } finally {
      await simulation.close();
    }
    runs += 1;
  }
  return runs;
}

function failure(history: History, error: unknown): SimulationError {
  const text = error instanceof Error ? error.message : String(error);
  // Ours show the end of the history themselves.
  const [what] =
    error instanceof SimulationError ? text.split('\nThe last of what happened') : [text];
  return new SimulationError(
    'ERR_DLM_SIMULATION_FAILED',
    `Seed ${history.seed} shows it: ${what ?? text}`,
    history,
    error,
  );
}

/**
 * Runs a scenario once more, choice by choice as in its history. Rejects with what the scenario then
 * rejects with, which is what it did before; or with `ERR_DLM_SIMULATION_DIVERGED`, naming the line,
 * because the program or the scenario is another.
 */
export async function replay(
  history: History | string,
  run: (simulation: Simulation) => unknown,
  options: RunOptions = {},
): Promise<void> {
  checkFunction('run', run);
  checkOptions<RunOptions>('options', options, RUN_OPTIONS);
  const simulation = new Simulation({ replay: history });
  try {
    await simulation.run(() => run(simulation), options);
    simulation.checkReplayed();
  } finally {
    await simulation.close();
  }
}
