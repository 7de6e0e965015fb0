/** `npm run demo`: the story on three simulated nodes in this process. */
import { createO2cbPlugin, killO2cbNode, StackGlue } from '../../lib/glue.js';
import { CounterNode } from './counter-node.js';
import { runStory } from './story.js';

const CLUSTER = 'demo';
const counters = new Map<number, CounterNode>();

const isRight = await runStory({
  title: 'stackglue demo: the emulated stack "o2cb", three simulated nodes in one process',
  lostBlock: 'o2dlm zeroes a block that died with its holder',
  async start(node, turns, holdsOn, tell) {
    // A glue is one node's; three of them make three nodes.
    const glue = new StackGlue();
    glue.register(createO2cbPlugin({ node, cluster: CLUSTER }));
    const options = { glue, stackName: 'o2cb', group: 'demo', turns, holdsOn, tell };
    const counter = new CounterNode(options);
    counters.set(node, counter);
    await counter.join();
    return {
      run: () => counter.run(),
      read: () => counter.read(),
      leave: () => counter.leave(),
    };
  },
  async kill(node) {
    killO2cbNode(node, CLUSTER);
    // A dead node has no process; this one's connection is all that is left of it.
    await counters.get(node)?.leave();
  },
});
console.log(
  "These locks end at this process. The same on three virtual machines with the kernel's DLM:\n" +
    '  npm run demo:cluster',
);
process.exitCode = isRight ? 0 : 1;
