/** Requests that fs/dlm has forgotten, because a process that asked before us has gone, can be cancelled. */
import { expect } from 'chai';

import { DLM_LOCK } from '../../lib/glue.js';
import { keepDlmRunning, startAgent, TEST_TIMEOUT_MS, useCluster } from '../support/vm-world.js';

const { EX } = DLM_LOCK;

const LOCKSPACE = 'forgotten';

/** A third of them have the third node as their directory. */
const NAMES = Array.from({ length: 12 }, (_, index) => `name-${index}`);

describe('requests behind one whose process has gone', function () {
  this.timeout(TEST_TIMEOUT_MS);
  const getCluster = useCluster({ nodes: 3, membership: 'host' });

  it('end when they are cancelled, and their names can be locked again', async () => {
    const cluster = getCluster();
    await keepDlmRunning(cluster);
    const [holder, leaver, waiter, directory] = await Promise.all(
      [1, 2, 2, 3].map((node) => startAgent(cluster, node)),
    );
    if (!holder || !leaver || !waiter || !directory) throw new Error('four agents were started');
    for (const agent of [holder, leaver, waiter, directory]) await agent.connect('pcmk', LOCKSPACE);
    await Promise.all(NAMES.map((name) => holder.lock(name, name, EX)));

    await cluster.cut(2, 3);
    for (const agent of [leaver, waiter]) {
      const results = await Promise.all(NAMES.map((name) => agent.ask(name, name, EX)));
      expect(results).to.deep.equal(NAMES.map(() => 0));
    }
    await leaver.disconnect();
    await cluster.heal(2, 3);
    const node = cluster.node(2);
    // A file of debugfs has no size.
    const waiters = `/sys/kernel/debug/dlm/${LOCKSPACE}_waiters`;
    await node.exec(`while [ -n "$(cat ${waiters})" ]; do usleep 50000; done`);
    const { stdout } = await node.exec(
      `grep -c '^Lookup Queue' /sys/kernel/debug/dlm/${LOCKSPACE} || true`,
    );
    expect(Number(stdout), 'resources whose requests wait for nothing').to.be.above(0);

    await Promise.all(
      NAMES.map(async (name) => {
        expect(await waiter.cancel(name)).to.equal(0);
        expect((await waiter.unlockAst(name)).of).to.equal('cancel');
        expect(await waiter.ask(`${name}-again`, name, EX)).to.equal(0);
        await holder.unlock(name);
        await waiter.lockAst(`${name}-again`);
      }),
    );
  });
});
