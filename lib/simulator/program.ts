/** A life with its program, in the thread that it runs in: booted, called, ended. */
import { simulationRefusal } from './errors.js';
import type { NativeSimulatedEvent } from '../native.js';
import type { NodeProgram, ProgramMethods } from './node.js';
import { NodeLife } from './node-life.js';
import type { World } from './world.js';

/** One life of a node and what its program lets others call. */
export class ProgramLife {
  readonly life: NodeLife;
  readonly #world: World;
  readonly #program: NodeProgram | undefined;
  #methods: Promise<ProgramMethods> = Promise.resolve({});
  #hasEnded = false;

  constructor(world: World, number: number, program: NodeProgram | undefined) {
    this.life = new NodeLife(world, number);
    this.#world = world;
    this.#program = program;
  }

  /** Starts the program. That it fails is the simulation's failure, unless its node is down. */
  boot(): void {
    const program = this.#program;
    if (program === undefined) return;
    // An async function, so that what the program throws is a rejection however it throws.
    const start = async (): Promise<ProgramMethods> => (await program(this.life)) ?? {};
    this.#methods = start();
    this.#methods.catch((error: unknown) => {
      if (!this.#hasEnded) this.#world.fail(error);
    });
  }

  async call(name: string, args: readonly unknown[]): Promise<unknown> {
    const methods = await this.#methods;
    const method = Object.hasOwn(methods, name) ? methods[name] : undefined;
    if (typeof method !== 'function') {
      throw simulationRefusal(
        'ERR_DLM_SIMULATION_NODE',
        `The program of node ${this.life.number} has no "${name}" to call`,
      );
    }
    return (method as (...given: unknown[]) => unknown)(...args);
  }

  /** The end, with events of which the program hears last. */
  async fence(ends: readonly NativeSimulatedEvent[]): Promise<void> {
    this.#hasEnded = true;
    await this.life.fence(ends);
  }

  end(): void {
    this.#hasEnded = true;
    this.life.end();
  }
}
