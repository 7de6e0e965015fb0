/** The engine: three simulated nodes in this process, each with an agent, behind the same fence. */
import { createEmulatedUserPlugin, killEmulatedUserNode, StackGlue } from '../../../lib/glue.js';
import { Agent, type WireCommand, type WireEvent } from './agent.js';
import { NODES } from './program.js';
import {
  fencedStep,
  roundsOf,
  type FencedNode,
  type Placed,
  type Told,
  type World,
} from './world.js';

let worlds = 0;

class SimulatedNode implements FencedNode {
  readonly agent: Agent;

  constructor(agent: Agent) {
    this.agent = agent;
  }

  commands(commands: readonly WireCommand[]): Promise<WireEvent[]> {
    for (const command of commands) this.agent.perform(command);
    return this.ping();
  }

  async ping(): Promise<WireEvent[]> {
    await this.agent.ping();
    return this.agent.take();
  }
}

/** One batch on the engine. */
export class EngineWorld implements World {
  readonly names = '';
  readonly #cluster: string;
  readonly #nodes: Map<number, SimulatedNode>;
  readonly #numbers: ReadonlyMap<number, number>;

  private constructor(
    cluster: string,
    nodes: Map<number, SimulatedNode>,
    numbers: ReadonlyMap<number, number>,
  ) {
    this.#cluster = cluster;
    this.#nodes = nodes;
    this.#numbers = numbers;
  }

  /**
   * `order`: the nodes, the one first that is to become master where the engine chooses: it takes
   * the survivor of the lowest number.
   */
  static async open(order: readonly number[] = [1, 2, 3]): Promise<EngineWorld> {
    worlds += 1;
    const cluster = `differential ${worlds}`;
    const nodes = new Map<number, SimulatedNode>();
    const numbers = new Map(order.map((node, index) => [node, index + 1]));
    for (let node = 1; node <= NODES; node++) {
      const glue = new StackGlue();
      glue.register(createEmulatedUserPlugin({ node: numbers.get(node) ?? node, cluster }));
      nodes.set(node, new SimulatedNode(await Agent.connect(glue, 'differential')));
    }
    for (const node of nodes.keys()) {
      for (const { agent } of nodes.values()) await agent.addFence(node, `fence ${node}`);
    }
    return new EngineWorld(cluster, nodes, numbers);
  }

  step(commands: readonly Placed[]): Promise<Told[]> {
    // In their order across nodes, and before any of them hears of anything.
    for (const { node, command } of commands) this.#nodes.get(node)?.agent.perform(command);
    return fencedStep(this.#nodes, [], roundsOf(commands));
  }

  async kill(node: number): Promise<Told[]> {
    const victim = this.#nodes.get(node);
    this.#nodes.delete(node);
    killEmulatedUserNode(this.#numbers.get(node) ?? node, this.#cluster);
    for (const { agent } of this.#nodes.values()) agent.removeFence(node);
    await victim?.agent.disconnect();
    const told = await fencedStep(this.#nodes, []);
    // The engine knows the node by another number.
    return told.map(({ node: of, event }) => ({
      node: of,
      event: event[1] === 'n' ? ([-1, 'n', node] as const) : event,
    }));
  }

  async close(): Promise<void> {
    for (const { agent } of this.#nodes.values()) await agent.disconnect();
  }
}
