/** Failures that are drawn from the seed. */
import { checkInteger, checkOptions, checkString, DlmError, invalidType } from '../errors.js';
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
  /** How many partitions between two nodes, half of them one way only; 0 by default. */
  readonly pairs?: number;
  /** How many times all groups stop; 0 by default. */
  readonly stops?: number;
  /** How many losses of quorum, of one node each; 0 by default. */
  readonly quorumLosses?: number;
  /** How many ends of the daemon, with profile `fsdlm`; 0 by default. */
  readonly daemonLosses?: number;
  /** How many groups are taken away from a node, with profile `fsdlm`; 0 by default. Needs `groups`. */
  readonly releases?: number;
  /** Which ones those may be; by default none. */
  readonly groups?: readonly string[];
  /** How many processes that nodes have beside their programs end; 0 by default. */
  readonly processEnds?: number;
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
  pairs: true,
  stops: true,
  quorumLosses: true,
  daemonLosses: true,
  releases: true,
  groups: true,
  processEnds: true,
  withinMs: true,
  lengthMs: true,
};

const COUNT_MAX = 10_000;
const LENGTH_MAX_MS = 2 ** 30;

/** The options that are counts; what is not given is their default. */
const COUNTS = {
  kills: 1,
  partitions: 1,
  pauses: 1,
  pairs: 0,
  stops: 0,
  quorumLosses: 0,
  daemonLosses: 0,
  releases: 0,
  processEnds: 0,
} as const satisfies Partial<Record<keyof ChaosOptions, number>>;

function checkedCounts(options: ChaosOptions): Record<keyof typeof COUNTS, number> {
  const counts: Record<keyof typeof COUNTS, number> = { ...COUNTS };
  for (const name of Object.keys(COUNTS) as (keyof typeof COUNTS)[]) {
    const { [name]: count = COUNTS[name] } = options;
    checkInteger(`options.${name}`, count, 0, COUNT_MAX);
    counts[name] = count;
  }
  return counts;
}

function checkedList<T>(
  argument: string,
  given: unknown,
  check: (name: string, one: unknown) => T,
) {
  if (!Array.isArray(given)) throw invalidType(argument, 'an array', given);
  return given.map((one: unknown, i) => check(`${argument}[${i}]`, one));
}

/** Plans the failures. */
export function planChaos(simulation: Simulation, options: ChaosOptions): void {
  checkOptions<ChaosOptions>('options', options, CHAOS_OPTIONS);
  const { withinMs = 10_000, lengthMs = [100, 5000] } = options;
  const nodes = checkedList('options.nodes', options.nodes ?? simulation.nodes, (name, node) => {
    checkNode(name, node);
    return node;
  });
  const groups = checkedList('options.groups', options.groups ?? [], (name, group) => {
    checkString(name, group);
    return group;
  });
  const counts = checkedCounts(options);
  checkedUs('options.withinMs', withinMs);
  const [shortest, longest] = checkedPair('options.lengthMs', lengthMs, LENGTH_MAX_MS);

  const pick = <T>(list: readonly T[]): T | undefined =>
    list[Math.floor(simulation.random() * list.length)];
  /** The choices are made now, so that what the program does changes nothing of them. */
  const plan = (count: number, prepare: (node: SimulatedNode) => Fault | undefined): void => {
    for (let i = 0; i < count; i += 1) {
      const atMs = Math.floor(simulation.random() * withinMs);
      const node = pick(nodes);
      const length = shortest + Math.floor(simulation.random() * (longest - shortest + 1));
      const fault = node === undefined ? undefined : prepare(node);
      if (node === undefined || fault === undefined) continue;
      simulation.setTimeout(() => {
        if (node.state !== 'running') return;
        fault.begin();
        simulation.setTimeout(() => {
          fault.end?.();
        }, length);
      }, atMs);
    }
  };
  const ofNode = (fail: (node: SimulatedNode) => void) => (node: SimulatedNode) => ({
    begin: () => {
      fail(node);
    },
    end: () => {
      recover(node);
    },
  });
  plan(
    counts.kills,
    ofNode((node) => node.kill()),
  );
  plan(
    counts.partitions,
    ofNode((node) => node.partition()),
  );
  plan(
    counts.pauses,
    ofNode((node) => node.pause()),
  );
  plan(counts.pairs, (node) => {
    const other = pick(nodes.filter((one) => one !== node));
    const oneWay = simulation.random() < 0.5;
    if (other === undefined) return undefined;
    return {
      begin: () => {
        simulation.partition(node.number, other.number, { oneWay });
      },
      end: () => {
        simulation.heal(node.number, other.number);
        for (const one of [node, other]) if (one.state === 'down') one.start();
      },
    };
  });
  plan(counts.stops, () => ({
    begin: () => {
      simulation.stop();
    },
    end: () => {
      simulation.resume();
    },
  }));
  plan(counts.quorumLosses, (node) => ({
    begin: () => {
      node.loseQuorum();
    },
    end: () => {
      node.regainQuorum();
    },
  }));
  if (simulation.profile === 'fsdlm') {
    plan(
      counts.daemonLosses,
      ofNode((node) => node.loseDaemon()),
    );
    plan(counts.releases, (node) => {
      const group = pick(groups);
      return group === undefined ? undefined : { begin: () => release(node, group) };
    });
  }
  plan(counts.processEnds, (node) => {
    const which = simulation.random();
    return {
      begin: () => node.processes[Math.floor(which * node.processes.length)]?.end(),
    };
  });
}

interface Fault {
  readonly begin: () => void;
  readonly end?: () => void;
}

/** Where the node is in the group. */
function release(node: SimulatedNode, group: string): void {
  try {
    node.release(group);
  } catch (error) {
    if (!(error instanceof DlmError && error.code === 'ERR_DLM_SIMULATION_NODE')) throw error;
  }
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
