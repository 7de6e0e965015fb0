/**
 * The death of a node. A node dies once, so the scene is set for all tests before it: for each node
 * that may be a resource's master, resources on which the dead one holds, waits, or only reads.
 */
import assert from 'node:assert/strict';

import { DLM_LKF, DLM_LOCK } from '../glue.js';
import type { NodeEvent, PlainMembership } from './agent.js';
import { MAIN, type NodeDriver } from './driver.js';
import type { Suite } from './suite.js';

const { NL, PR, EX } = DLM_LOCK;
const { VALBLK } = DLM_LKF;
const MASTERS = [0, 1, 2] as const;
const SECOND = 'second';

/** Kills node a; there are two nodes after this. */
export function deathBehaviours(suite: Suite): void {
  const { lvbAfterDeath } = suite.features;
  let survivors: readonly [NodeDriver, NodeDriver];
  /** Of the survivors, in their order. */
  const before: (PlainMembership | undefined)[] = [];
  /** The dead node's number. */
  let dead: number;

  suite.runner.before(async () => {
    suite.begin();
    await suite.telling(async () => {
      const { kill, nodes } = suite.world;
      assert.ok(kill, 'with canKill there is kill() in the world');
      const [a, b, c] = nodes;
      [dead, survivors] = [a.number, [b, c]];
      await suite.connectAll('second-group', SECOND);
      for (const index of MASTERS) {
        // Whoever is first on a resource is its master, or may be.
        const master = nodes[index];

        await master.lock(`m-held-${index}`, `held-${index}`, NL, VALBLK);
        for (const node of [b, c]) {
          await node.lock(`keep-${index}`, `held-${index}`, NL, VALBLK);
        }
        await c.lock(`writer-${index}`, `held-${index}`, EX, VALBLK);
        await c.unlock(`writer-${index}`, { flags: VALBLK, lvb: 'old' });
        await a.lock(`held-${index}`, `held-${index}`, EX, VALBLK);
        assert.equal(await b.ask(`held-${index}`, `held-${index}`, EX, VALBLK), 0);
        await a.blockingAst(`held-${index}`);

        await master.lock(`m-read-${index}`, `read-${index}`, NL);
        await c.lock(`writer-${index}`, `read-${index}`, EX);
        await c.unlock(`writer-${index}`, { flags: VALBLK, lvb: 'kept' });
        for (const node of nodes) {
          await node.lock(`read-${index}`, `read-${index}`, PR, VALBLK);
        }

        await master.lock(`m-waits-${index}`, `waits-${index}`, NL);
        await b.lock(`waits-${index}`, `waits-${index}`, EX);
        assert.equal(await a.ask(`waits-${index}`, `waits-${index}`, EX), 0);
        await b.blockingAst(`waits-${index}`);
      }
      for (const node of survivors) before.push(await node.membership());
      await kill(a);
    });
  });

  const after = (title: string, body: () => Promise<void>): void =>
    void suite.runner.it(title, () => suite.telling(body));

  after("what waited for the dead node's lock is granted", async () => {
    const [b] = survivors;
    for (const index of MASTERS) {
      const { status, lvb, lvbValid } = await b.lockAst(`held-${index}`);
      assert.equal(status, 0);
      if (lvbAfterDeath === 'zeroed') {
        assert.deepEqual({ lvb, lvbValid }, { lvb: '', lvbValid: true }, `master ${index}`);
      } else {
        assert.equal(lvbValid, false, `lvbValid with master ${index}`);
      }
    }
  });

  after('each survivor is told of the death once on each connection', async () => {
    for (const node of survivors) {
      for (const on of [MAIN, SECOND]) {
        const { recoveryData } = await node.nodeDown(dead, on);
        const index = suite.world.nodes.indexOf(node);
        assert.deepEqual(recoveryData, { index, on }, 'the recovery data');
      }
    }
  });

  after('the membership of nodes is above the one before, and told with the death', async () => {
    for (const [place, node] of survivors.entries()) {
      const earlier = before[place];
      if (earlier === undefined) continue; // the stack cannot tell
      for (const on of [MAIN, SECOND]) {
        const isDeath = (event: NodeEvent): boolean =>
          event.event === 'nodeDown' && event.on === on;
        const death = node.history.find(isDeath) as Extract<NodeEvent, { event: 'nodeDown' }>;
        const now = await node.knownMembership(on);
        assert.ok(BigInt(now.ring) > BigInt(earlier.ring), `${now.ring} above ${earlier.ring}`);
        assert.equal(death.ring ?? now.ring, now.ring);
        assert.equal(now.isQuorate, true);
      }
    }
  });

  after('the death is told before the grants that it makes', () => {
    const [b] = survivors;
    const isDeath = (event: (typeof b.history)[number]): boolean =>
      event.event === 'nodeDown' && event.on === MAIN;
    const death = b.history.findIndex(isDeath);
    for (const index of MASTERS) {
      const [grant] = b.completionsOf(`held-${index}`);
      assert.ok(grant !== undefined && death >= 0 && death < b.history.indexOf(grant));
    }
    return Promise.resolve();
  });

  after(`the value block of its EX is ${lvbAfterDeath}, and can be written again`, async () => {
    const [b, c] = survivors;
    for (const index of MASTERS) {
      await b.unlock(`held-${index}`, { flags: VALBLK, lvb: 'new' });
      const { lvb, lvbValid } = await c.lock(`after-${index}`, `held-${index}`, PR, VALBLK);
      assert.deepEqual({ lvb, lvbValid }, { lvb: 'new', lvbValid: true }, `master ${index}`);
      await c.unlock(`after-${index}`);
    }
  });

  // All of them: o2dlm forgets what only the new master has.
  after('a value block that the survivors hold in PR is kept', async () => {
    const [, c] = survivors;
    for (const index of MASTERS) {
      const { lvb, lvbValid } = await c.lock(`reads-${index}`, `read-${index}`, PR, VALBLK);
      assert.deepEqual({ lvb, lvbValid }, { lvb: 'kept', lvbValid: true }, `master ${index}`);
      await c.unlock(`reads-${index}`);
      for (const node of survivors) await node.unlock(`read-${index}`);
    }
  });

  after('what the dead node waited for goes to others', async () => {
    const [b, c] = survivors;
    for (const index of MASTERS) {
      await b.unlock(`waits-${index}`);
      assert.equal((await c.lock(`next-${index}`, `waits-${index}`, EX)).status, 0);
      await c.unlock(`next-${index}`);
    }
  });

  after('nothing else comes to the survivors, and they work on', async () => {
    const [b, c] = survivors;
    await b.lock('l', 'works-on', EX);
    assert.equal(await c.ask('l', 'works-on', EX), 0);
    assert.equal((await b.blockingAst('l')).level, EX);
    await b.unlock('l');
    assert.equal((await c.lockAst('l')).status, 0);
    await c.unlock('l');
    for (const node of survivors) {
      node.checkNothingElseCame();
      for (const on of [MAIN, SECOND]) {
        const deaths = node.history.filter(
          (event) => event.event === 'nodeDown' && event.on === on,
        );
        assert.equal(deaths.length, 1, `deaths told to node ${node.number} on ${on}`);
      }
    }
  });
}
