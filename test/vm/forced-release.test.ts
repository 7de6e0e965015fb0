/**
 * Giving up a lockspace whose locks are other nodes' that this one is the master of: that is by force, and so
 * only where nobody here could lose a lock by it.
 */
import { expect } from 'chai';

import type { NodeDriver } from '../../lib/conformance/index.js';
import { DLM_LOCK } from '../../lib/glue.js';
import type { GuestNode } from '../../scripts/vm/index.js';
import { keepDlmRunning, startAgent, TEST_TIMEOUT_MS, useCluster } from '../support/vm-world.js';

const { PR } = DLM_LOCK;

/** In a list of lines that has names as they are, the rest of each would be a line: a lock, or none. */
const NAMES = ['plain', 'a name\nof two lines', '\n1 0 0 1 0 0 0 2 5 -1 0 0 1 "x'];

describe('giving up a lockspace that has locks of other nodes', function () {
  this.timeout(TEST_TIMEOUT_MS);
  const getCluster = useCluster({ nodes: 2, membership: 'host' });
  let other: NodeDriver;
  before(async () => {
    await keepDlmRunning(getCluster());
    other = await startAgent(getCluster(), 2);
  });

  /** The first node is the master of all that the second one has. */
  async function master(lockspace: string): Promise<NodeDriver> {
    const agent = await startAgent(getCluster(), 1);
    await agent.connect('pcmk', lockspace);
    for (const name of NAMES) await agent.lock(name, name, PR);
    await other.connect('pcmk', lockspace, [1, 0], { on: lockspace });
    for (const name of NAMES) {
      await other.lock(`${lockspace} ${name}`, name, PR, 0, { on: lockspace });
    }
    for (const name of NAMES) await agent.unlock(name);
    return agent;
  }

  const isThere = async (node: GuestNode, lockspace: string): Promise<boolean> => {
    const { stdout } = await node.exec(
      `test -e /sys/kernel/dlm/${lockspace} && echo there || true`,
    );
    return stdout.trim() === 'there';
  };

  it('is by force when nobody else on this node has it open', async () => {
    const agent = await master('alone');
    await agent.disconnect();
    expect(await isThere(getCluster().node(1), 'alone')).to.equal(false);
  });

  it('is left undone while somebody else here has it open, who may lock at any time', async () => {
    const agent = await master('opened');
    const node = getCluster().node(1);
    const pid = await node.exec('sleep 3600 3<>/dev/dlm_opened >/dev/null 2>&1 & echo $!');
    await agent.disconnect();
    expect(await isThere(node, 'opened')).to.equal(true);
    await node.exec(`kill ${pid.stdout.trim()}; dlm_tool leave opened`);
  });
});
