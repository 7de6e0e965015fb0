/**
 * The steps of a simulation: who makes them, how far, and what ends them. One thing happens at a time; what it
 * starts in a program has run as far as it can before the next happens.
 */
import type { NativeOccurrence, NativeSimulation as Native } from '../native.js';
import { SimulationError, simulationRefusal } from './errors.js';
import { History } from './history.js';
import { drained } from './world.js';

/** What a step brought goes to whom it concerns. */
type Dispatch = (occurrence: NativeOccurrence) => Promise<void> | undefined;

/**
 * What makes a simulation's steps. After the end all but `fail` and `close` throw `ERR_DLM_SIMULATION_CLOSED`, or
 * reject with it.
 */
export class Steps {
  readonly #native: Native;
  readonly #follows: boolean;
  readonly #dispatch: Dispatch;
  #isStepping = false;
  #isClosed = false;
  #failure: { readonly cause: unknown } | undefined;

  /** `follows`: an earlier history is replayed. */
  constructor(native: Native, follows: boolean, dispatch: Dispatch) {
    this.#native = native;
    this.#follows = follows;
    this.#dispatch = dispatch;
  }

  /** `Simulation.fail`. */
  fail(error: unknown): void {
    this.#failure ??= { cause: error };
  }

  /** `Simulation.step`. */
  one(): Promise<boolean> {
    return this.#exclusively(() => this.#step());
  }

  /** Calls `start` and makes steps until what it returned has settled, at most `maxSteps`. */
  async until<T>(start: () => Promise<T>, maxSteps: number): Promise<T> {
    return this.#exclusively(async () => {
      const promise = start();
      const outcome = { isThere: false };
      const settle = (): void => {
        outcome.isThere = true;
      };
      promise.then(settle, settle);
      await drained();
      this.checkSound();
      for (let steps = 0; !outcome.isThere; steps += 1) {
        this.#checkLimit(steps, maxSteps);
        if (!(await this.#step())) throw this.#stuck();
      }
      return promise;
    });
  }

  /** `Simulation.settle`. */
  async settle(maxSteps: number): Promise<void> {
    await this.#exclusively(async () => {
      await drained();
      this.checkSound();
      let steps = 0;
      do {
        this.#checkLimit(steps, maxSteps);
        steps += 1;
      } while (await this.#step());
    });
  }

  /** The end. Whether it has not come before. */
  close(): boolean {
    const isFirst = !this.#isClosed;
    this.#isClosed = true;
    return isFirst;
  }

  /** That no program has failed, and no replay left its history. */
  checkSound(): void {
    if (this.#follows) {
      const divergence = this.#native.divergence();
      if (divergence !== undefined) {
        const [line, expected, actual] = divergence;
        throw new SimulationError(
          'ERR_DLM_SIMULATION_DIVERGED',
          `The replay has left its history at line ${line}:\n  history: ${
            expected === '' ? '(ends before)' : expected
          }\n  replay:  ${actual}`,
          new History(this.#native.history()),
        );
      }
    }
    if (this.#failure !== undefined) throw this.#failure.cause;
    // It may have been closed meanwhile.
    this.checkOpen();
  }

  /** That the end has not come. */
  checkOpen(): void {
    if (!this.#isClosed) return;
    throw simulationRefusal('ERR_DLM_SIMULATION_CLOSED', 'The simulation is closed');
  }

  async #exclusively<T>(body: () => Promise<T>): Promise<T> {
    this.checkOpen();
    if (this.#isStepping) {
      throw simulationRefusal(
        'ERR_DLM_SIMULATION_BUSY',
        'The simulation is being run already, and only one may make its steps',
      );
    }
    this.#isStepping = true;
    try {
      return await body();
    } finally {
      this.#isStepping = false;
    }
  }

  async #step(): Promise<boolean> {
    const occurrences = this.#native.step();
    if (occurrences !== undefined && occurrences.length > 0) {
      for (const occurrence of occurrences) await this.#dispatch(occurrence);
      await drained();
    }
    this.checkSound();
    return occurrences !== undefined;
  }

  #stuck(): SimulationError {
    const waiting = this.#native.waiting();
    return new SimulationError(
      'ERR_DLM_SIMULATION_STUCK',
      'Nothing is due any more, and what is waited for has not come (what is not the simulation’s, ' +
        `such as a file or a real timer, is not waited for).\n${
          waiting === '' ? 'No lock is waited for.' : `Who waits for what:\n${waiting.trimEnd()}`
        }`,
      new History(this.#native.history()),
    );
  }

  #checkLimit(steps: number, maxSteps: number): void {
    if (steps < maxSteps) return;
    throw new SimulationError(
      'ERR_DLM_SIMULATION_LIMIT',
      `The simulation has not ended within ${maxSteps} steps`,
      new History(this.#native.history()),
    );
  }
}
