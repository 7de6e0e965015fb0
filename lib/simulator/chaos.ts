/** Failures that are drawn from the seed. */
import { checkInteger, checkOptions, invalidType } from '../errors.js';
import { checkNode, type SimulatedNode } from './node.js';
import { checkedPair, checkedUs } from './node-life.js';
import type { Simulation } from './simulation.js';

/** How much of what is to fail. */
export interface ChaosOptions {
  /** Whom it may hit; by default every node that was made so far. */
  readonly nodes?: readonly SimulatedNode[];
  /** How many power cuts; 1 by default. */
  readonly kills?: number;
  /** How many partitions; 1 by default. */
  readonly partitions?: number;
  /** How many pauses; 1 by default. */
  readonly pauses?: number;
  /** All begin within this time from now, milliseconds; 10,000 by default. */
  readonly withinMs?: number;
  /**
   * How long each lasts, at random between these, milliseconds; [100, 5000] by default. Then a node that
   * is down boots, one that is cut off is healed, and one that is paused goes on.
   */
  readonly lengthMs?: readonly [min: number, max: number];
}

const CHAOS_OPTIONS: Readonly<Record<keyof ChaosOptions, true>> = {
  nodes: true,
  kills: true,
  partitions: true,
  pauses: true,
  withinMs: true,
  lengthMs: true,
};

const COUNT_MAX = 10_000;
const LENGTH_MAX_MS = 2 ** 30;

/** Plans the failures. */
export function planChaos(simulation: Simulation, options: ChaosOptions): void {
  checkOptions<ChaosOptions>('options', options, CHAOS_OPTIONS);
  const { kills = 1, partitions = 1, pauses = 1 } = options;
  const { withinMs = 10_000, lengthMs = [100, 5000] } = options;
  const given: unknown = options.nodes ?? simulation.nodes;
  if (!Array.isArray(given)) throw invalidType('options.nodes', 'an array of nodes', given);
  const nodes = given.map((node: unknown, i): SimulatedNode => {
    checkNode(`options.nodes[${i}]`, node);
    return node;
  });
  checkInteger('options.kills', kills, 0, COUNT_MAX);
  checkInteger('options.partitions', partitions, 0, COUNT_MAX);
  checkInteger('options.pauses', pauses, 0, COUNT_MAX);
  checkedUs('options.withinMs', withinMs);
  const [shortest, longest] = checkedPair('options.lengthMs', lengthMs, LENGTH_MAX_MS);

  const plan = (count: number, fail: (node: SimulatedNode) => void): void => {
    for (let i = 0; i < count; i += 1) {
      // The choices are made now, so that what the program does changes nothing of them.
      const atMs = Math.floor(simulation.random() * withinMs);
      const node = nodes[Math.floor(simulation.random() * nodes.length)];
      const length = shortest + Math.floor(simulation.random() * (longest - shortest + 1));
      if (node === undefined) continue;
      simulation.setTimeout(() => {
        if (node.state !== 'running') return;
        fail(node);
        simulation.setTimeout(() => recover(node), length);
      }, atMs);
    }
  };
  plan(kills, (node) => node.kill());
  plan(partitions, (node) => node.partition());
  plan(pauses, (node) => node.pause());
}

function recover(node: SimulatedNode): void {
  switch (node.state) {
    case 'down':
      node.start();
      break;
    case 'cutOff':
      node.heal();
      break;
    case 'paused':
      node.resume();
      break;
    default:
  }
}
