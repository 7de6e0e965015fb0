/** Clusters of three simulated nodes to test on, and what their stack has. */
import { constants } from 'node:os';

import type {
  ConformanceWorld,
  DriverOptions,
  StackFeatures,
} from '../../lib/conformance/index.js';
import { localNode } from '../../lib/conformance/index.js';
import {
  createO2cbPlugin,
  DLM_LOCK,
  killO2cbNode,
  StackGlue,
  type StackPlugin,
} from '../../lib/index.js';

const { NL, PR, EX } = DLM_LOCK;

/** Stack `o2cb`: the emulated o2dlm. */
export const O2CB_FEATURES: StackFeatures = {
  modes: [NL, PR, EX],
  lvbLength: 64,
  nameLengthMax: 32,
  noqueueFails: 'in the call',
  protocolErrno: constants.errno.EPROTO,
  canKill: true,
  lvbAfterDeath: 'zeroed',
};

let emulations = 0;

/** Three simulated nodes, numbered from 1, in a cluster of their own; `wrap` puts a layer on each. */
export function createEmulation(
  wrap: (plugin: StackPlugin) => StackPlugin = (plugin) => plugin,
  options: DriverOptions = {},
): ConformanceWorld {
  emulations += 1;
  const cluster = `test-${emulations}`;
  const createNode = (node: number) =>
    localNode(() => {
      const glue = new StackGlue();
      glue.register(wrap(createO2cbPlugin({ node, cluster })));
      return glue;
    }, options);
  const nodes = [createNode(1), createNode(2), createNode(3)] as const;
  return {
    nodes,
    kill: (node) => {
      killO2cbNode(node.number, cluster);
      return Promise.resolve();
    },
    close: async () => {
      for (const node of nodes) await node.leave();
    },
  };
}
