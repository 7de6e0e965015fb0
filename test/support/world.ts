/** A cluster to test on: emulated in this process, or of virtual machines. */
import { constants } from 'node:os';

import { createO2cbPlugin, killO2cbNode, StackGlue } from '../../lib/index.js';
import { NodeAgent } from './node-agent.js';
import { NodeDriver } from './node-driver.js';

/** What differs between the stacks, and is kept, documented and tested. */
export interface StackTraits {
  /** How a NOQUEUE request for a busy resource fails: in the call (o2dlm) or by AST (fs/dlm). */
  readonly noqueueFails: 'in the call' | 'by AST';
  /** The errno of joining a group whose protocol is not compatible. */
  readonly protocolErrno: number;
}

/** Three nodes and what can be done to them. */
export interface World {
  readonly stackName: string;
  readonly traits: StackTraits;
  readonly nodes: readonly [NodeDriver, NodeDriver, NodeDriver];
  /** The node is gone at once, without a word to anybody. */
  kill(node: NodeDriver): Promise<void>;
  close(): Promise<void>;
}

let emulations = 0;

/** Three simulated nodes, numbered from 1, in a cluster of their own. */
export function createEmulation(): World {
  emulations += 1;
  const cluster = `test-${emulations}`;
  const createNode = (number: number): NodeDriver => {
    const makeGlue = (): StackGlue => {
      const glue = new StackGlue();
      glue.register(createO2cbPlugin({ node: number, cluster }));
      return glue;
    };
    const agent: NodeAgent = new NodeAgent(makeGlue, (event) => {
      driver.push(event);
    });
    const driver = new NodeDriver({ request: (command) => agent.handle(command) });
    return driver;
  };
  const nodes = [createNode(1), createNode(2), createNode(3)] as const;
  return {
    stackName: 'o2cb',
    traits: { noqueueFails: 'in the call', protocolErrno: constants.errno.EPROTO },
    nodes,
    kill: (node) => {
      killO2cbNode(node.number, cluster);
      return Promise.resolve();
    },
    close: async () => {
      for (const node of nodes) if (node.number !== 0) await node.disconnect();
    },
  };
}
