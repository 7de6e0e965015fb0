/** The nodes of a simulation: where their programs run, and what a step brings to them. */
import { checkInteger } from '../errors.js';
import {
  SIMULATION_NODE_STATES,
  SimulationOccurrence,
  type NativeOccurrence,
  type NativeSimulatedEvent,
  type NativeSimulation as Native,
} from '../native.js';
import { simulationRefusal } from './errors.js';
import type { Profile } from './history.js';
import { SimulatedNode, type NodeOptions } from './node.js';
import { Clock } from './node-life.js';
import { checkNodeOptions, makeHost, Processes, type Housed, type HostMaker } from './processes.js';
import { Scope, scopedWorld, Scopes } from './scope.js';
import type { Steps } from './steps.js';
import type { World } from './world.js';

/** Numbers that both engines have: o2dlm has 0 to 254, fs/dlm any that is positive. */
export const NODE_MAX = 254;

/** The nodes, and the clock of the world that they are in. */
export class Nodes {
  /** The world's, whose timers no node has. */
  readonly clock: Clock;
  readonly #native: Native;
  readonly #steps: Steps;
  readonly #maker: HostMaker;
  readonly #nodes = new Map<number, SimulatedNode>();
  readonly #hosts = new Map<number, Housed & { readonly processes: Processes }>();
  readonly #scopes = new Scopes();

  constructor(native: Native, profile: Profile, steps: Steps) {
    this.#native = native;
    this.#steps = steps;
    const fail = (error: unknown): void => steps.fail(error);
    const makeWorld = (scope: Scope): World => scopedWorld(native, profile, scope, fail);
    this.#maker = {
      makeScope: (node) => new Scope(this.#scopes, node),
      makeWorld,
      isDown: (node) => SIMULATION_NODE_STATES[native.state(node)] === 'down',
    };
    this.clock = new Clock(makeWorld(new Scope(new Scopes(), 0)), 0);
  }

  /** `Simulation.nodes`. */
  list(): readonly SimulatedNode[] {
    return [...this.#nodes.values()].sort((a, b) => a.number - b.number);
  }

  /** `Simulation.node`. */
  node(number: number, options: NodeOptions): SimulatedNode {
    checkInteger('number', number, 1, NODE_MAX);
    checkNodeOptions(options);
    const { program, port } = options;
    const known = this.#nodes.get(number);
    if (known !== undefined) {
      if (program === undefined && port === undefined) return known;
      throw simulationRefusal(
        'ERR_DLM_SIMULATION_NODE',
        `Node ${number} exists, and what it runs cannot be changed`,
      );
    }
    const housed = makeHost(this.#maker, number, options);
    const processes = new Processes(this.#maker, number);
    const native = (): Native => {
      this.#steps.checkOpen();
      return this.#native;
    };
    const node = new SimulatedNode(number, native, housed.host, {
      spawn: (given) => {
        this.#steps.checkOpen();
        return processes.spawn(given);
      },
      running: () => processes.running(),
      end: () => {
        housed.scope.forget();
        processes.end();
      },
    });
    this.#nodes.set(number, node);
    this.#hosts.set(number, { ...housed, processes });
    node.start();
    return node;
  }

  /** What a step brought goes to whom it concerns. */
  dispatch(occurrence: NativeOccurrence): Promise<void> | undefined {
    switch (occurrence[0]) {
      case SimulationOccurrence.event:
        return this.#scopes.connections.get(occurrence[1])?.host?.deliver(occurrence);
      case SimulationOccurrence.timer: {
        const [, node, timer] = occurrence;
        if (node === 0) {
          this.clock.goOff(timer);
          return undefined;
        }
        const scope = this.#scopes.timers.get(timer);
        scope?.takeTimer(timer);
        return scope?.host?.goOff(timer);
      }
      case SimulationOccurrence.fenced:
        return this.#fence(occurrence[1], occurrence[2]);
      case SimulationOccurrence.lost: {
        const [, connection, ends] = occurrence;
        return this.#scopes.connections.get(connection)?.host?.lose(connection, ends);
      }
    }
  }

  /** The end of all that runs on nodes, and of the clock. */
  close(): void {
    this.clock.end();
    for (const { host, processes } of this.#hosts.values()) {
      host.close();
      processes.close();
    }
  }

  /** All programs of the node hear of it, those of its own first. */
  async #fence(node: number, ends: readonly NativeSimulatedEvent[]): Promise<void> {
    const housed = this.#hosts.get(node);
    if (housed === undefined) return;
    const { connections } = this.#scopes;
    const endsOf = (scope: Scope): NativeSimulatedEvent[] =>
      ends.filter((event) => connections.get(event[1]) === scope);
    await housed.host.fence(endsOf(housed.scope));
    housed.scope.forget();
    await housed.processes.fence(endsOf);
  }
}
