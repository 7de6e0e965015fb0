/** A node of the demo as a program on a cluster node: events out, commands in, a line each. */
import { createInterface } from 'node:readline';

import { defaultGlue } from '../../lib/glue.js';
import { CounterNode } from './counter-node.js';

const [stackName = '', group = '', turns = '', manner = ''] = process.argv.slice(2);
const say = (report: object): void => void process.stdout.write(`${JSON.stringify(report)}\n`);

const node = new CounterNode({
  glue: defaultGlue,
  stackName,
  group,
  turns: Number(turns),
  holdsOn: manner === 'hold',
  tell: say,
});
await node.join();
for await (const command of createInterface({ input: process.stdin })) {
  if (command === 'run') void node.run();
  if (command === 'read') say({ read: await node.read() });
  if (command === 'leave') break;
}
await node.leave();
say({ left: true });
