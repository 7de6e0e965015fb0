/** One more process of a simulated node: it ends by itself, or with its node. */
import { checkString } from '../errors.js';
import type { StackPlugin } from '../stackglue/plugin.js';
import { simulationRefusal } from './errors.js';
import type { NodeHost } from './node.js';
import type { NodeContext } from './node-life.js';

/** A process of a node, made by `node.spawn()`. It runs until it or its node ends, and never again. */
export class SimulatedProcess {
  /** The number of its node. */
  readonly node: number;
  /** Its own: 1 for the first one of its node. */
  readonly number: number;
  readonly #host: NodeHost;
  readonly #end: () => void;
  #hasEnded = false;

  constructor(node: number, number: number, host: NodeHost, end: () => void) {
    this.node = node;
    this.number = number;
    this.#host = host;
    this.#end = end;
  }

  get state(): 'running' | 'ended' {
    return this.#hasEnded ? 'ended' : 'running';
  }

  /**
   * What its programs have: clock, chance and plugin. Throws `ERR_DLM_SIMULATION_NODE` when it has ended,
   * and for one in a worker thread, whose program has it there.
   */
  get context(): NodeContext {
    const { context } = this.#host;
    if (context !== undefined) return context;
    throw simulationRefusal(
      'ERR_DLM_SIMULATION_NODE',
      `Process ${this.number} of node ${this.node} has no context in this thread: it has ended, or is in a worker`,
    );
  }

  /** `context.plugin`: to be registered in the glue of the service under test. */
  get plugin(): StackPlugin {
    return this.context.plugin;
  }

  /**
   * The process ends as if it were killed: its programs are told nothing, and nothing of them goes on. The
   * lock manager drops its locks; with the rules of fs/dlm those with `PERSISTENT` stay as orphans. Nobody
   * is told of a death, since its node lives. Calls that it has not answered reject with
   * `ERR_DLM_SIMULATION_NODE`. Idempotent.
   */
  end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#end();
  }

  /** For the simulation: it has ended with its node. */
  setEnded(): void {
    this.#hasEnded = true;
  }

  /**
   * Calls what its program has under this name, as `SimulatedNode.call`. Rejects with
   * `ERR_DLM_SIMULATION_NODE` if it has ended, or ends before it has answered.
   */
  async call(name: string, ...args: unknown[]): Promise<unknown> {
    checkString('name', name);
    if (this.#hasEnded) {
      throw simulationRefusal(
        'ERR_DLM_SIMULATION_NODE',
        `Process ${this.number} of node ${this.node} has ended, and answers nothing`,
      );
    }
    return this.#host.call(name, args);
  }
}
