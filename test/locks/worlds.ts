/** Where the lock suite runs: both emulations, and the simulator with both profiles. */
import { openLockspace, type Lockspace, type LockspaceOptions } from '../../lib/index.js';
import { killEmulatedUserNode, killO2cbNode } from '../../lib/glue.js';
import { explore, type Profile, type Simulation } from '../../lib/simulator/index.js';
import { freshCluster } from '../stackglue/test-node.js';

/** Nodes that share a lockspace. */
export interface Nodes {
  /** Opens the lockspace on the node of this number, 1 to 3. */
  open(node: number, options?: Partial<LockspaceOptions>): Promise<Lockspace>;
  /** Cuts the node's power. Emulated nodes' programs go on, and find out. */
  kill(node: number): void;
  /** Whether a killed node's program goes on. */
  readonly outlives: boolean;
}

/** A kind of cluster. */
export interface World {
  readonly title: string;
  readonly stack: 'o2cb' | 'user';
  /** Whether the second of two conversions in each other's way is told. */
  readonly detectsDeadlocks: boolean;
  /** Whether requests arrive in the order in which they are made. */
  readonly keepsOrder: boolean;
  run(body: (nodes: Nodes) => Promise<void>): Promise<void>;
}

export const LOCKSPACE = 'lock-suite';

function emulation(stack: 'o2cb' | 'user'): World {
  return {
    title: stack === 'o2cb' ? 'the emulated stack o2cb' : 'the emulated stack user',
    stack,
    detectsDeadlocks: stack === 'user',
    keepsOrder: true,
    async run(body) {
      const cluster = freshCluster();
      const open: Lockspace[] = [];
      const nodes: Nodes = {
        outlives: true,
        async open(node, options = {}) {
          const lockspace = await openLockspace(LOCKSPACE, {
            stack: stack === 'o2cb' ? 'o2cb' : 'emulated',
            node,
            cluster,
            ...options,
          });
          open.push(lockspace);
          return lockspace;
        },
        kill(node) {
          if (stack === 'o2cb') killO2cbNode(node, cluster);
          else killEmulatedUserNode(node, cluster);
        },
      };
      try {
        await body(nodes);
      } finally {
        for (const lockspace of open) await lockspace[Symbol.asyncDispose]();
      }
    },
  };
}

/** The nodes of a simulation. */
export function simulatedNodes(simulation: Simulation): Nodes {
  return {
    outlives: false,
    open: (node, options = {}) =>
      openLockspace(LOCKSPACE, { stack: simulation.node(node).plugin, ...options }),
    kill: (node) => simulation.node(node).kill(),
  };
}

function simulated(profile: Profile): World {
  return {
    title: `the simulator, profile ${profile}`,
    stack: profile === 'o2dlm' ? 'o2cb' : 'user',
    detectsDeadlocks: profile === 'fsdlm',
    keepsOrder: false,
    async run(body) {
      await explore({ seeds: 20, profile, run: (simulation) => body(simulatedNodes(simulation)) });
    },
  };
}

export const WORLDS: readonly World[] = [
  emulation('o2cb'),
  emulation('user'),
  simulated('o2dlm'),
  simulated('fsdlm'),
];

/** What a promise rejects with; fails when it does not. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('it was to reject');
}

/** The same, of an error that has a code. */
export async function codeOf(promise: Promise<unknown>): Promise<unknown> {
  const error = await rejection(promise);
  if (!(error instanceof Error) || !('code' in error)) throw error;
  return error.code;
}

/** Resolves when nothing is being taken back any more. */
export async function atRest(lockspace: Lockspace): Promise<void> {
  const { clock } = lockspace;
  while (lockspace.withdrawals > 0) {
    await new Promise<void>((resolve) => clock.setTimeout(resolve, 1));
  }
}
