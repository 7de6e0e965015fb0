/** The hosts of a node: of its own program, and of the processes that it has beside it. */
import { checkFunction, checkOptions, invalidType } from '../errors.js';
import type { NativeSimulatedEvent } from '../native.js';
import { simulationRefusal } from './errors.js';
import { LocalHost, type DrivenHost } from './hosts.js';
import type { NodeOptions, NodeProcesses, NodeProgram } from './node.js';
import type { SimulationPort } from './port.js';
import { SimulatedProcess } from './process.js';
import { checkPort, RemoteHost } from './remote-host.js';
import { Scope } from './scope.js';
import type { World } from './world.js';

const NODE_OPTIONS: Readonly<Record<keyof NodeOptions, true>> = { program: true, port: true };

/** Throws, naming the argument, unless `options` says what runs, and where, at most once. */
export function checkNodeOptions(options: unknown): asserts options is NodeOptions {
  checkOptions<NodeOptions>('options', options, NODE_OPTIONS);
  const { program, port } = options;
  if (program !== undefined) checkFunction('options.program', program);
  if (port !== undefined) checkPort('options.port', port);
  if (program !== undefined && port !== undefined) {
    throw invalidType('options', 'an object with either program or port', options);
  }
}

/** How hosts come to their world, and what the node is. */
export interface HostMaker {
  makeScope(node: number): Scope;
  makeWorld(scope: Scope): World;
  isDown(node: number): boolean;
}

/** A host with its scope and world. */
export interface Housed {
  readonly scope: Scope;
  readonly world: World;
  readonly host: DrivenHost;
}

/** A host for what `options` says. */
export function makeHost(maker: HostMaker, node: number, options: NodeOptions): Housed {
  const { program, port } = options;
  const scope = maker.makeScope(node);
  const world = maker.makeWorld(scope);
  const host = hostIn(world, node, program, port);
  scope.host = host;
  return { scope, world, host };
}

function hostIn(
  world: World,
  node: number,
  program: NodeProgram | undefined,
  port: SimulationPort | undefined,
): DrivenHost {
  if (port === undefined) return new LocalHost(world, node, program);
  checkPort('options.port', port);
  return new RemoteHost(world, node, port);
}

/** The processes of one node. */
export class Processes implements NodeProcesses {
  readonly #maker: HostMaker;
  readonly #node: number;
  readonly #running = new Map<SimulatedProcess, Housed>();
  /** Of those that have ended, whose worker threads are let go at the end of the simulation. */
  readonly #ended: DrivenHost[] = [];
  #last = 0;

  constructor(maker: HostMaker, node: number) {
    this.#maker = maker;
    this.#node = node;
  }

  spawn(options: NodeOptions): SimulatedProcess {
    checkNodeOptions(options);
    const node = this.#node;
    if (this.#maker.isDown(node)) {
      throw simulationRefusal(
        'ERR_DLM_SIMULATION_NODE',
        `Node ${node} is down, and no process can start there`,
      );
    }
    const housed = makeHost(this.#maker, node, options);
    const { scope, world, host } = housed;
    this.#last += 1;
    const number = this.#last;
    const made = new SimulatedProcess(node, number, host, () => {
      world.note(node, `process ${number} ends`);
      this.#running.delete(made);
      this.#ended.push(host);
      // Nothing of it goes on, and then the kernel closes what it had open.
      host.end();
      scope.end(world);
    });
    world.note(node, `process ${number} starts`);
    this.#running.set(made, housed);
    host.start();
    return made;
  }

  running(): readonly SimulatedProcess[] {
    return [...this.#running.keys()];
  }

  end(): void {
    for (const [process, { scope, host }] of this.#take()) {
      process.setEnded();
      host.end();
      scope.forget();
    }
  }

  /** Their node is fenced: they hear of it, each in its turn. */
  async fence(endsOf: (scope: Scope) => readonly NativeSimulatedEvent[]): Promise<void> {
    for (const [process, { scope, host }] of this.#take()) {
      process.setEnded();
      await host.fence(endsOf(scope));
      scope.forget();
    }
  }

  close(): void {
    for (const { host } of this.#running.values()) host.close();
    for (const host of this.#ended) host.close();
  }

  #take(): [SimulatedProcess, Housed][] {
    const taken = [...this.#running];
    this.#running.clear();
    for (const [, { host }] of taken) this.#ended.push(host);
    return taken;
  }
}
