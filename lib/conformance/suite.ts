/**
 * What every test of the suite has: three nodes, the stack's features, and the checks around it. A test
 * uses resources of its own and leaves no lock behind.
 */
import assert from 'node:assert/strict';
import { constants } from 'node:os';

import { DLM_LKF, DLM_LOCK, type LockMode } from '../glue.js';
import { MAIN, type NodeDriver } from './driver.js';
import type { StackFeatures } from '../glue.js';
import type { Runner } from './runner.js';

const { EAGAIN } = constants.errno;

/** Three nodes of one cluster. */
export type ThreeNodes = readonly [NodeDriver, NodeDriver, NodeDriver];

/** Three nodes and what can be done to them. */
export interface ConformanceWorld {
  readonly nodes: ThreeNodes;
  /** The node is gone at once, without a word to anybody. */
  readonly kill?: (node: NodeDriver) => Promise<void>;
  /** The tests are over: whatever `createNodes` made goes, connections included. */
  readonly close: () => Promise<void>;
}

/** The suite for one stack. */
export class Suite {
  readonly stackName: string;
  readonly features: StackFeatures;
  readonly runner: Runner;
  #world: ConformanceWorld | undefined;
  #tests = 0;

  constructor(stackName: string, features: StackFeatures, runner: Runner) {
    this.stackName = stackName;
    this.features = features;
    this.runner = runner;
  }

  /** There once the tests run. */
  get world(): ConformanceWorld {
    if (this.#world === undefined) throw new Error('createNodes has not resolved');
    return this.#world;
  }

  set world(world: ConformanceWorld) {
    this.#world = world;
  }

  /** All three join a group. */
  async connectAll(group: string, on = MAIN): Promise<void> {
    const { nodes } = this.world;
    await Promise.all(
      nodes.map((node, index) =>
        node.connect(this.stackName, group, [1, 0], { on, recoveryData: { index, on } }),
      ),
    );
  }

  /** A test. When its body is through, nothing may have come that nothing asked for. */
  test(title: string, body: (nodes: ThreeNodes) => Promise<void>): void {
    this.runner.it(title, async () => {
      const { nodes } = this.world;
      this.begin();
      await this.telling(async () => {
        try {
          await body(nodes);
          await Promise.all(nodes.map((node) => this.#settle(node)));
          for (const node of nodes) node.checkNothingElseCame();
        } catch (error) {
          // The next test must not find its connections.
          await Promise.allSettled(nodes.map((node) => node.leave(MAIN)));
          throw error;
        }
      });
    });
  }

  /** A new test begins on all nodes. */
  begin(): void {
    this.#tests += 1;
    for (const node of this.world.nodes) node.begin(String(this.#tests));
  }

  /** Runs a part of a test; when it fails the error tells what the nodes did and saw. */
  async telling(part: () => Promise<void>): Promise<void> {
    try {
      await part();
    } catch (error) {
      const { message } = error as Error;
      const story = this.world.nodes.map((node) => node.story).join('\n');
      throw new Error(`${message}\n\n${story}`, { cause: error });
    }
  }

  /** Asks for a lock with NOQUEUE: whether it is granted. Checks that a refusal is the stack's. */
  async tryLock(node: NodeDriver, lock: string, name: string, mode: LockMode): Promise<boolean> {
    return this.#granted(node, lock, await node.ask(lock, name, mode, DLM_LKF.NOQUEUE));
  }

  /** The same for a conversion. */
  async tryConvert(node: NodeDriver, lock: string, mode: LockMode): Promise<boolean> {
    const flags = DLM_LKF.NOQUEUE;
    return this.#granted(node, lock, await node.askConvert(lock, mode, { flags }));
  }

  /** Takes and drops EX without waiting: true when nobody holds anything on the resource. */
  async isFree(node: NodeDriver, name: string): Promise<boolean> {
    const isGranted = await this.tryLock(node, 'probe', name, DLM_LOCK.EX);
    if (isGranted) await node.unlock('probe');
    return isGranted;
  }

  async #granted(node: NodeDriver, lock: string, result: number): Promise<boolean> {
    if (this.features.noqueueFails === 'in the call' && result === -EAGAIN) return false;
    assert.equal(result, 0, `the call's result for ${lock}, with NOQUEUE`);
    const { status } = await node.lockAst(lock);
    if (this.features.noqueueFails === 'by AST' && status === -EAGAIN) return false;
    assert.equal(status, 0, `the status of ${lock}, asked for with NOQUEUE`);
    return true;
  }

  /** What is on its way to the node has come when this has: a connection's events are in order. */
  async #settle(node: NodeDriver): Promise<void> {
    if (!node.connections.has(MAIN)) return;
    await node.lock('settle', `settle-${node.number}`, DLM_LOCK.NL);
    await node.unlock('settle');
  }
}
