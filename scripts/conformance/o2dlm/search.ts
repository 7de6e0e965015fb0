/**
 * Looks for a run of the emulation that sees, step by step, what was seen on a cluster. It goes through the
 * states that can be reached, depth first: from a state that has been met before it does not go on, so what
 * it takes grows with the number of different states and not with that of orders. A run cannot be taken
 * back, so to go on from a state a new one is made that takes the same decisions.
 */
import { Abandoned, type Choices } from './choices.js';
import { linesOf, type Command, type NodeNumber } from './commands.js';
import { Model } from './model.js';

/** One file's part of a step, and what was seen of it on the cluster. */
export interface FileStep {
  readonly commands: readonly Command[];
  readonly seen: string;
  /** Its number in the sequence. */
  readonly number: number;
}

/** What to look for. */
export interface SearchOptions {
  readonly nodes: readonly NodeNumber[];
  /** See `ModelOptions`. */
  readonly recoveryOrder: readonly NodeNumber[];
  readonly file: number;
  /** Of this file alone, which is what makes the states few. */
  readonly steps: readonly FileStep[];
  /** As many runs before it is given up. */
  readonly maxRuns: number;
}

/** See the top of this file. */
export class Search implements Choices {
  readonly #options: SearchOptions;
  /** The states that decisions were taken in, by step. */
  readonly #met: Set<string>[];
  /** Decisions that lead to states from which nobody has gone on, by the step of the last of them. */
  readonly #open: number[][][];
  readonly #furthest = { step: 0, kernel: '', engine: new Set<string>() };
  #runs = 0;
  #step = 0;
  /** What this run has decided so far, and how much of it was given. */
  #decided: number[] = [];
  #given: readonly number[] = [];

  constructor(options: SearchOptions) {
    this.#options = options;
    this.#met = options.steps.map(() => new Set());
    this.#open = options.steps.map(() => []);
  }

  /** How many runs there were. */
  get runs(): number {
    return this.#runs;
  }

  /** The step that no run has got past, and what they saw there. */
  get furthest(): Readonly<{ step: number; kernel: string; engine: ReadonlySet<string> }> {
    return this.#furthest;
  }

  /** Looks. */
  async run(): Promise<'agrees' | 'disagrees' | 'undecided'> {
    let next: readonly number[] | undefined = [];
    while (next !== undefined) {
      if (this.#runs >= this.#options.maxRuns) return 'undecided';
      if (await this.#agrees(next)) return 'agrees';
      next = this.#open.findLast((each) => each.length > 0)?.pop();
    }
    return 'disagrees';
  }

  choose(count: number, state: () => string): number {
    const at = this.#decided.length;
    const given = this.#given[at];
    if (given !== undefined) {
      this.#decided.push(given);
      return given;
    }
    const met = this.#met[this.#step];
    const words = state();
    if (met === undefined || met.has(words)) throw new Abandoned();
    met.add(words);
    for (let other = count - 1; other > 0; other--) {
      this.#open[this.#step]?.push([...this.#decided, other]);
    }
    this.#decided.push(0);
    return 0;
  }

  /** Runs the model with these decisions first, as far as it sees what it should. */
  async #agrees(given: readonly number[]): Promise<boolean> {
    const { nodes, recoveryOrder, file, steps } = this.#options;
    this.#runs += 1;
    this.#given = given;
    this.#decided = [];
    const model = await Model.start({ nodes, choices: this, recoveryOrder });
    try {
      for (const [step, { commands, seen, number }] of steps.entries()) {
        this.#step = step;
        const observed = linesOf(await model.step(commands), file);
        if (observed === seen) continue;
        this.#missed(number, seen, observed);
        return false;
      }
      return true;
    } catch (error) {
      if (error instanceof Abandoned) return false;
      throw error;
    } finally {
      await model.close();
    }
  }

  #missed(step: number, kernel: string, engine: string): void {
    const furthest = this.#furthest;
    if (step > furthest.step || furthest.engine.size === 0) {
      Object.assign(furthest, { step, kernel, engine: new Set() });
    }
    if (step === furthest.step) furthest.engine.add(engine);
  }
}
