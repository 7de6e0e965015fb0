/** Clusters of three simulated nodes to test on. */
import type { ConformanceWorld, DriverOptions } from '../../lib/conformance/index.js';
import { localNode } from '../../lib/conformance/index.js';
import {
  createEmulatedUserPlugin,
  createO2cbPlugin,
  killEmulatedUserNode,
  killO2cbNode,
  StackGlue,
  type StackPlugin,
} from '../../lib/glue.js';

/** A stack that is emulated in this process. */
export interface Emulation {
  readonly createPlugin: (options: { node: number; cluster: string }) => StackPlugin;
  readonly kill: (node: number, cluster: string) => void;
}
export const EMULATED_O2CB: Emulation = { createPlugin: createO2cbPlugin, kill: killO2cbNode };
export const EMULATED_USER: Emulation = {
  createPlugin: createEmulatedUserPlugin,
  kill: killEmulatedUserNode,
};

let emulations = 0;

/** Three simulated nodes, numbered from 1, in a cluster of their own; `wrap` puts a layer on each. */
export function createEmulation(
  wrap: (plugin: StackPlugin) => StackPlugin = (plugin) => plugin,
  options: DriverOptions = {},
  emulation: Emulation = EMULATED_O2CB,
): ConformanceWorld {
  emulations += 1;
  const cluster = `test-${emulations}`;
  const createNode = (node: number) =>
    localNode(() => {
      const glue = new StackGlue();
      glue.register(wrap(emulation.createPlugin({ node, cluster })));
      return glue;
    }, options);
  const nodes = [createNode(1), createNode(2), createNode(3)] as const;
  return {
    nodes,
    kill: (node) => {
      emulation.kill(node.number, cluster);
      return Promise.resolve();
    },
    close: async () => {
      for (const node of nodes) await node.leave();
    },
  };
}
