/** The agent as a program on a cluster node. */
import { runNodeAgent } from './node-agent.js';

await runNodeAgent();
