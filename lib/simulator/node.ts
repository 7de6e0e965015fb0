/** A simulated node as the test has it: what happens to it, and what is asked of its program. */
import { checkString, invalidType } from '../errors.js';
import { SIMULATION_NODE_STATES, type NativeSimulation } from '../native.js';
import { statusName } from '../status.js';
import type { StackPlugin } from '../stackglue/plugin.js';
import { simulationRefusal } from './errors.js';
import type { NodeContext } from './node-life.js';
import type { SimulatedProcess } from './process.js';
import type { SimulationPort } from './port.js';

/** What a program lets the test call, by name. Arguments and results are cloned to and from workers. */
export type ProgramMethods = Readonly<Record<string, (...args: never[]) => unknown>>;

/**
 * What runs on a node: called each time that it boots, with that life's context. What it returns (or
 * resolves to) is what `node.call` calls.
 */
export type NodeProgram = (
  node: NodeContext,
  // eslint-disable-next-line @typescript-eslint/no-invalid-void-type -- most have nothing to call
) => ProgramMethods | void | Promise<ProgramMethods | void>;

/** Where a node's programs run: in this thread, or in a worker. One for all its lives. */
export interface NodeHost {
  /** The context of its life; undefined where it is in another thread, or it is down. */
  readonly context: NodeContext | undefined;
  /** The node boots. */
  start(): void;
  /** The node is down. */
  end(): void;
  call(name: string, args: unknown[]): Promise<unknown>;
}

/** What a node of a simulation runs, or a process of it, and where. */
export interface NodeOptions {
  /** Called at each boot, in this thread. */
  readonly program?: NodeProgram;
  /** The port at whose other end a worker thread calls `attachSimulation`. */
  readonly port?: SimulationPort;
}

/** The processes of a node that it has beside its own program. */
export interface NodeProcesses {
  spawn(options: NodeOptions): SimulatedProcess;
  running(): readonly SimulatedProcess[];
  /** They go down with their node. */
  end(): void;
}

/** `running`, `paused` (its process stands still), `cutOff` (from all others), or `down`. */
export type NodeState = (typeof SIMULATION_NODE_STATES)[number];

/** A node of a simulation. It has booted when it is made. */
export class SimulatedNode {
  readonly number: number;
  readonly #native: () => NativeSimulation;
  readonly #host: NodeHost;
  readonly #processes: NodeProcesses;

  /** Made by `simulation.node()`. */
  constructor(
    number: number,
    native: () => NativeSimulation,
    host: NodeHost,
    processes: NodeProcesses,
  ) {
    this.number = number;
    this.#native = native;
    this.#host = host;
    this.#processes = processes;
  }

  get state(): NodeState {
    return SIMULATION_NODE_STATES[this.#native().state(this.number)] ?? 'unknown';
  }

  /**
   * What this life's programs have: clock, chance and plugin. Throws `ERR_DLM_SIMULATION_NODE` while
   * the node is down, and for one in a worker thread, whose program has it there.
   */
  get context(): NodeContext {
    const { context } = this.#host;
    if (context !== undefined) return context;
    throw simulationRefusal(
      'ERR_DLM_SIMULATION_NODE',
      `Node ${this.number} has no context in this thread: it is ${this.state}, or in a worker`,
    );
  }

  /** `context.plugin`: to be registered in the glue of the service under test. */
  get plugin(): StackPlugin {
    return this.context.plugin;
  }

  /**
   * A power cut: nothing of the node goes on, and its programs are told nothing. The others find it dead
   * after `detectMs`. Calls that its program has not answered reject with `ERR_DLM_SIMULATION_NODE`.
   */
  kill(): void {
    this.#native().control('kill', this.number);
    if (this.state !== 'down') return;
    this.#host.end();
    this.#processes.end();
  }

  /**
   * Cuts the node off from all others. What is sent waits. After `detectMs` the node is fenced: it is
   * down then, and dead for the others. All requests of its programs end with -ENOTCONN first, as with
   * any lockspace that is lost; what the programs do of it is nobody's concern any more.
   */
  partition(): void {
    this.#native().control('partition', this.number);
  }

  /** Ends a partition, if the node still lives. */
  heal(): void {
    this.#native().control('heal', this.number);
  }

  /**
   * Its part of the cluster has no quorum any more, until `regainQuorum`: its programs are told
   * `quorumLost` and `stopped`. Its groups stop: what it asks for, and what others ask it for as a master,
   * waits. Nobody fences it for that alone.
   */
  loseQuorum(): void {
    this.#native().control('loseQuorum', this.number);
  }

  /** Its programs are told `quorumRegained`, and `resumed` where nothing else has stopped the group. */
  regainQuorum(): void {
    this.#native().control('regainQuorum', this.number);
  }

  /**
   * dlm_controld ends: its programs are told `daemonGone`, and all goes on until the others, who find its
   * process gone, have fenced the node, after `detectMs`. Throws `ERR_DLM_SIMULATION_NODE` with profile
   * `o2dlm`, which has no such daemon.
   */
  loseDaemon(): void {
    const status = this.#native().control('loseDaemon', this.number);
    if (status === 0) return;
    throw simulationRefusal(
      'ERR_DLM_SIMULATION_NODE',
      `Node ${this.number} has no daemon to lose: the lock manager of stack o2cb has none`,
    );
  }

  /**
   * Somebody on the node takes the group away, as `dlm_tool leave` does: its locks are gone and may be
   * granted to others at once. What its programs have asked for there ends with -ENOTCONN, and then they are told
   * `released`. Throws `ERR_DLM_SIMULATION_NODE` when the node is not in the group, and with profile
   * `o2dlm`, where nobody can do that.
   */
  release(group: string): void {
    checkString('group', group);
    const status = this.#native().group('release', group, this.number);
    if (status === 0) return;
    throw simulationRefusal(
      'ERR_DLM_SIMULATION_NODE',
      `Group "${group}" cannot be taken away from node ${this.number} (${statusName(status)})`,
    );
  }

  /**
   * One more process on the node, with a plugin and a clock of its own; see `SimulatedProcess`. Throws
   * `ERR_DLM_SIMULATION_NODE` while the node is down.
   */
  spawn(options: NodeOptions = {}): SimulatedProcess {
    return this.#processes.spawn(options);
  }

  /** Its processes that run, the oldest first. */
  get processes(): readonly SimulatedProcess[] {
    return this.#processes.running();
  }

  /** Its processes stand still: they hear nothing and no timer goes off. Nobody finds it dead. */
  pause(): void {
    this.#native().control('pause', this.number);
  }

  resume(): void {
    this.#native().control('resume', this.number);
  }

  /**
   * The node boots again: a new life, with a new context, plugin and program; the last life's glue is
   * of no use any more. If the others have not found the last life dead, they do now. Throws
   * `ERR_DLM_SIMULATION_NODE` when it is not down.
   */
  start(): void {
    const status = this.#native().control('start', this.number);
    if (status !== 0) {
      throw simulationRefusal(
        'ERR_DLM_SIMULATION_NODE',
        `Node ${this.number} is ${this.state} and cannot boot (${statusName(status)})`,
      );
    }
    this.#host.start();
  }

  /**
   * Calls what the node's program has under this name, as soon as the node's turn comes. Rejects with
   * what it throws, or `ERR_DLM_SIMULATION_NODE` when the node dies first or has no such thing.
   */
  async call(name: string, ...args: unknown[]): Promise<unknown> {
    checkString('name', name);
    return this.#host.call(name, args);
  }
}

/** Throws unless `value` is a node. */
export function checkNode(argument: string, value: unknown): asserts value is SimulatedNode {
  if (!(value instanceof SimulatedNode)) {
    throw invalidType(argument, 'a node of a simulation', value);
  }
}
