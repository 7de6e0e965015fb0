/** The agent of a cluster node: commands and reports are lines of JSON. */
import { createInterface } from 'node:readline';

import { NodeAgent, type Command } from '../../lib/conformance/index.js';
import { StackGlue } from '../../lib/glue.js';
import { createTestPlugin } from './user-plugin.js';

function say(report: object): void {
  process.stdout.write(`${JSON.stringify(report)}\n`);
}

function makeGlue(): StackGlue {
  const glue = new StackGlue();
  glue.register(createTestPlugin());
  return glue;
}

/** Takes commands until there are no more; `prepare` is called before each is carried out. */
export async function runNodeAgent(prepare: () => void = () => undefined): Promise<never> {
  const agent = new NodeAgent(makeGlue, say);
  say({ ready: process.pid });
  for await (const line of createInterface({ input: process.stdin })) {
    const { id, command } = JSON.parse(line) as { id: number; command: Command };
    prepare();
    // Not awaited: a connect that waits for the cluster must not hold up what comes after it.
    void agent.handle(command).then((reply) => say({ id, ...reply }));
  }
  process.exit(0);
}
