/** Where a batch of sequences runs: three nodes and their lockspace, of a kernel or of the engine. */
import { DLM_LKF } from '../../../lib/glue.js';
import type { WireCommand, WireEvent } from './agent.js';

/** A command and the node that is to give it. */
export interface Placed {
  readonly node: number;
  readonly command: WireCommand;
}

/** An event and the node that was told. */
export interface Told {
  readonly node: number;
  readonly event: WireEvent;
}

export interface World {
  /** What names of resources begin with. */
  readonly names: string;
  /**
   * Gives the commands, and resolves to all that they led to, on every node; nothing more can come
   * of them.
   */
  step(commands: readonly Placed[]): Promise<Told[]>;
  /** Cuts a node's power; resolves, as `step` does, when the others have recovered. */
  kill(node: number): Promise<Told[]>;
  /** Ends the batch. */
  close(): Promise<void>;
}

/** What one node of a world is to its fence. */
export interface FencedNode {
  /** Gives commands, pings, and says what has been told. */
  commands(commands: readonly WireCommand[]): Promise<WireEvent[]>;
  ping(): Promise<WireEvent[]>;
}

/**
 * How many times all nodes ping all masters, each time after all have done so before: README.md,
 * "The fence".
 */
const ROUNDS = 3;
/** The same for a new lock with NOQUEUE, which is up to four requests, each after the one before. */
const ROUNDS_OF_STEPS = 6;

/** How often to ping after these commands. */
export function roundsOf(commands: readonly Placed[]): number {
  const haveSteps = commands.some(
    ({ command: [what, , , flags] }) => what === 'l' && (flags & DLM_LKF.NOQUEUE) !== 0,
  );
  return haveSteps ? ROUNDS_OF_STEPS : ROUNDS;
}

/** Gives commands to nodes that live, and waits behind the fence. */
export async function fencedStep(
  nodes: ReadonlyMap<number, FencedNode>,
  commands: readonly Placed[],
  rounds = roundsOf(commands),
): Promise<Told[]> {
  const told: Told[] = [];
  for (let round = 0; round < rounds; round++) {
    const events = await Promise.all(
      [...nodes].map(async ([node, fenced]) => {
        if (round > 0) return { node, events: await fenced.ping() };
        const own = commands.filter((each) => each.node === node).map(({ command }) => command);
        return { node, events: await fenced.commands(own) };
      }),
    );
    for (const { node, events: list } of events) {
      for (const event of list) told.push({ node, event });
    }
  }
  return told;
}
