/** A node whose agent runs in the test's own process. */
import type { StackGlue } from '../glue.js';
import { NodeAgent } from './agent.js';
import { NodeDriver, type DriverOptions } from './driver.js';

/**
 * A node of which `makeGlue` gives the glue: a new one at each call, with the stack registered, always
 * of the same node.
 */
export function localNode(makeGlue: () => StackGlue, options?: DriverOptions): NodeDriver {
  const agent: NodeAgent = new NodeAgent(makeGlue, (event) => {
    driver.push(event);
  });
  const driver = new NodeDriver({ request: (command) => agent.handle(command) }, options);
  return driver;
}
