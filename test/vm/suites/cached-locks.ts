/**
 * Cached locks on real nodes: holds that ask nobody ask the kernel for nothing either, two nodes that want the same name
 * share it, and neither a death nor a change elsewhere leaves anybody with what is old.
 */
import { expect } from 'chai';

import { callsBetweenMarks } from '../../../scripts/vm/index.js';
import { CachingNode, CounterStore } from '../../support/caching-node.js';
import { Random } from '../../support/random.js';
import {
  keepDlmRunning,
  type Kernel,
  TEST_TIMEOUT_MS,
  useCluster,
} from '../../support/vm-world.js';

const GROUP = 'cached';
const HOLDS = 100_000;
const TURNS = 20;
const STEPS = 120;
/** How many things are under way at most. */
const AT_ONCE = 4;

export function cachedLocks(kernel: Kernel): void {
  describe(`cached locks on three nodes with ${kernel}`, function () {
    this.timeout(TEST_TIMEOUT_MS);
    const getCluster = useCluster({ nodes: 3, membership: 'host', kernel });
    const store = new CounterStore();
    const nodes: CachingNode[] = [];

    before(async () => {
      await keepDlmRunning(getCluster());
      for (const node of getCluster().nodes)
        nodes.push(await CachingNode.start(node, GROUP, store));
    });

    it(`${HOLDS} holds that are covered make no system call`, async () => {
      const [first] = nodes as [CachingNode];
      await first.ask('hold covered');
      await first.ask('release covered');
      // The compiler is to be done with it.
      await first.ask(`covered covered ${HOLDS}`);
      const { ofV8, others } = await callsBetweenMarks(
        getCluster().node(1),
        Number(await first.ask('tid')),
        'umask',
        () => first.ask(`covered covered ${HOLDS}`),
      );
      console.log(`      calls of V8's own: ${ofV8.length}`);
      expect(others).to.deep.equal([]);
      expect(ofV8.length).to.be.below(HOLDS / 1000);
    });

    it('two nodes that write in turn have it as often, and are of use each time', async () => {
      const [first, second] = nodes as [CachingNode, CachingNode];
      const both = [first, second];
      await Promise.all(both.map((node) => node.ask(`contend shared ${TURNS}`)));
      const counts = await Promise.all(both.map((node) => node.ask('stop')));
      const seen = counts.map((line) => line.split(' ').map(Number) as [number, number]);
      console.log(
        `      ${seen.map(([holds, grants]) => `${holds} holds in ${grants} grants`).join(', ')}`,
      );
      const all = seen.reduce((sum, [, grants]) => sum + grants, 0);
      for (const [holds, grants] of seen) {
        expect(grants / all).to.be.at.least(0.4);
        expect(holds / grants).to.be.at.least(5);
      }
    });

    it('a read that begins after an update has ended sees it, on whichever node', async () => {
      const random = new Random();
      console.log(`      seed ${random.seed}`);
      let begun = store.value;
      let ended = begun;
      const underWay = new Set<Promise<void>>();
      const update = async (node: CachingNode): Promise<void> => {
        begun += 1;
        const value = Number(await node.ask('update'));
        ended = Math.max(ended, value);
      };
      const read = async (node: CachingNode): Promise<void> => {
        const atLeast = ended;
        const value = Number(await node.ask('read'));
        expect(value, 'what had been stored').to.be.at.least(atLeast);
        expect(value, 'what may have been stored').to.be.at.most(begun);
      };
      const updates = { count: 0 };
      for (let step = 0; step < STEPS; step++) {
        const isUpdate = random.chance(0.4);
        if (isUpdate) updates.count += 1;
        const work = (isUpdate ? update : read)(random.pick(nodes));
        const ends = work.finally(() => underWay.delete(ends));
        underWay.add(ends);
        // Alone, or beside others.
        const most = random.chance(0.5) ? 1 : AT_ONCE;
        while (underWay.size >= most) await Promise.race(underWay);
      }
      await Promise.all(underWay);
      expect(store.value).to.equal(begun);
      for (const node of nodes) expect(Number(await node.ask('read'))).to.equal(begun);
      console.log(`      ${updates.count} updates, ${STEPS - updates.count} reads`);
    });

    it('what a node held that is killed is granted to the next, and what it stored last is read', async () => {
      const [first, second, third] = nodes as [CachingNode, CachingNode, CachingNode];
      expect(await third.ask('hold lost')).to.equal('held');
      const stored = Number(await third.ask('update'));
      // In the midst of the next one: it has EX, and what is to be stored has not arrived.
      const isStoring = new Promise<void>((resolve) => {
        third.beforeStore = () => {
          resolve();
          return false;
        };
      });
      const update = third.ask('update').catch(() => 'killed');
      await isStoring;
      const waits = first.ask('hold lost');
      const reads = [first, second].map((node) => node.ask('read'));
      await getCluster().kill(3);
      expect(await update).to.equal('killed');
      expect(await waits).to.equal('held');
      expect(await Promise.all(reads)).to.deep.equal([String(stored), String(stored)]);
      expect(Number(await second.ask('update'))).to.equal(stored + 1);
      expect(Number(await first.ask('read'))).to.equal(stored + 1);
      await first.ask('release lost');
      for (const node of [first, second]) await node.end();
    });
  });
}
