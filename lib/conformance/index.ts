/**
 * The behaviours that every cluster stack must have, as a test suite for authors of plugins.
 *
 * ```ts
 * import { localNode, stackConformance } from 'stackglue/conformance';
 *
 * stackConformance({
 *   title: 'my stack',
 *   stackName: 'mine',
 *   plugin: createMyPlugin(), // as each node has it; its features say what is expected
 *   createNodes: async () => {
 *     const [a, b, c] = [1, 2, 3].map((number) => localNode(() => glueOfNode(number)));
 *     const close = async () => { for (const node of [a, b, c]) await node.leave(); };
 *     return { nodes: [a, b, c], close };
 *   },
 * });
 * ```
 *
 * The suite makes three nodes once, runs all tests on them in order, and kills one in the last ones.
 * A node is driven by commands and events, all plain data: `localNode` runs its agent in the test's
 * own process; for a node on another machine start a `NodeAgent` there and give `NodeDriver` a
 * transport to it. It needs no test library: `describe`, `it`, `before` and `after` are the global ones
 * or those that the option `runner` gives. It waits for what must come, up to each driver's deadline
 * (two minutes unless told otherwise), and never for time to pass; give the runner a limit above that.
 */
import { completionBehaviours } from './completions.js';
import { connectionBehaviours } from './connections.js';
import { conversionBehaviours } from './conversions.js';
import { deathBehaviours } from './deaths.js';
import type { StackPlugin } from '../glue.js';
import { lockBehaviours } from './locks.js';
import { protocolBehaviours } from './protocols.js';
import { globalRunner, type Runner } from './runner.js';
import { Suite, type ConformanceWorld } from './suite.js';
import { valueBlockBehaviours } from './value-blocks.js';
import { waitingBehaviours } from './waiting.js';

export {
  NodeAgent,
  type Command,
  type Connected,
  type LockState,
  type NodeEvent,
  type Reply,
} from './agent.js';
export {
  NodeDriver,
  type ConnectOptions,
  type DriverOptions,
  type LockOptions,
  type RequestOptions,
  type Transport,
  type Watch,
} from './driver.js';
export { localNode } from './local-node.js';
export type { Runner } from './runner.js';
export type { ConformanceWorld, ThreeNodes } from './suite.js';

/** What the suite is to test, and with what. */
export interface ConformanceOptions {
  /** The title of the suite. */
  readonly title: string;
  /** The label of the stack, as `clusterConnect` takes it; the glue of each node serves it. */
  readonly stackName: string;
  /** Called once, before the first test. The nodes must not be connected. */
  readonly createNodes: () => Promise<ConformanceWorld>;
  /** A plugin as the nodes have it: its `features` are what is expected, and nothing of it is called. */
  readonly plugin: Pick<StackPlugin, 'features'>;
  /** Whether `ConformanceWorld.kill` is there. Without it "the death of a node" is left out. False by default. */
  readonly canKill?: boolean | undefined;
  /** The test runner's functions; by default the global ones. */
  readonly runner?: Runner | undefined;
}

/** Defines the suite, in the test runner's sense. */
export function stackConformance(options: ConformanceOptions): void {
  const { title, stackName, createNodes, plugin, canKill = false } = options;
  const { runner = globalRunner() } = options;
  const { features } = plugin;
  const suite = new Suite(stackName, features, runner);
  const { describe, before, after } = runner;
  describe(title, () => {
    let isThere = false;
    before(async () => {
      suite.world = await createNodes();
      isThere = true;
    });
    after(async () => {
      if (isThere) await suite.world.close();
    });

    if (features.protocolErrno !== undefined) {
      const { protocolErrno } = features;
      describe('locking protocols', () => protocolBehaviours(suite, protocolErrno));
    }
    describe('on one group', () => {
      before(() => suite.connectAll('conformance'));
      describe('locks', () => lockBehaviours(suite));
      describe('conversions', () => conversionBehaviours(suite));
      describe('waiting', () => waitingBehaviours(suite));
      describe('value blocks', () => valueBlockBehaviours(suite));
      describe('completions', () => completionBehaviours(suite));
      describe('connections', () => connectionBehaviours(suite));
      if (canKill) describe('the death of a node', () => deathBehaviours(suite));
    });
  });
}
