/** Nodes that do not reach each other, while others reach both. */
import { expect } from 'chai';
import { constants } from 'node:os';

import { DLM_LKF } from '../../lib/glue.js';
import { Simulation } from '../../lib/simulator/index.js';
import { PROFILES } from './support.js';
import { Teller } from './told.js';

const { EAGAIN } = constants.errno;

for (const profile of PROFILES) {
  describe(`two nodes that do not reach each other, profile ${profile}`, () => {
    let simulation: Simulation;
    let tellers: Teller[];

    /** Nodes 1 to `count`; node 1 is the master of "lock". */
    async function start(count: number): Promise<void> {
      tellers = [];
      for (let number = 1; number <= count; number += 1) {
        tellers.push(await new Teller(simulation.node(number).context).connect());
      }
      const [a] = tellers;
      const lksb = a?.ask();
      await simulation.sleep(10);
      if (lksb !== undefined) a?.give(lksb);
      const keeper = tellers[0];
      keeper?.ask('held');
      await simulation.sleep(10);
      for (const { told } of tellers) told.length = 0;
    }
    const toldOf = (number: number): string[] => tellers[number - 1]?.told ?? [];
    const states = (): string[] => simulation.nodes.map(({ state }) => state);

    beforeEach(() => {
      simulation = new Simulation({ profile });
    });
    afterEach(() => simulation.close());

    for (const oneWay of [false, true]) {
      const how = oneWay ? 'one way' : 'both ways';

      it(`wait for each other, ${how}, and go on when they are healed in time`, async () => {
        await simulation.run(async () => {
          await start(3);
          // What the master says does not come, or what it is asked does not arrive.
          simulation.partition(1, 2, { oneWay });
          tellers[1]?.ask('held');
          tellers[2]?.ask('third');
          await simulation.sleep(1000);
          expect(toldOf(2)).to.deep.equal([]);
          expect(toldOf(3)).to.deep.equal(['granted third']);
          expect(states()).to.deep.equal(['running', 'running', 'running']);
          simulation.heal(2, 1);
          await simulation.sleep(5000);
          expect(states()).to.deep.equal(['running', 'running', 'running']);
          expect(simulation.waiting()).to.include('n2 waits');
        });
      });

      it(`are too many by one after detectMs, ${how}: the higher number is fenced`, async () => {
        await simulation.run(async () => {
          await start(3);
          simulation.partition(1, 2, { oneWay });
          await simulation.sleep(1900);
          expect(states()).to.deep.equal(['running', 'running', 'running']);
          await simulation.sleep(200);
          expect(states()).to.deep.equal(['running', 'down', 'running']);
          expect(toldOf(1)).to.deep.equal(['died 2']);
          expect(toldOf(2)).to.deep.equal(['released lost']);
          expect(toldOf(3)).to.deep.equal(['died 2']);
          simulation.node(2).start();
          const again = await new Teller(simulation.node(2).context).connect();
          again.ask();
          await simulation.sleep(5000);
          expect(again.told).to.deep.equal(['granted lock']);
          expect(states()).to.deep.equal(['running', 'running', 'running']);
        });
      });
    }

    it('keep the side that more nodes are on', async () => {
      await simulation.run(async () => {
        await start(5);
        for (const here of [1, 2]) for (const there of [3, 4, 5]) simulation.partition(here, there);
        await simulation.sleep(2100);
        expect(states()).to.deep.equal(['down', 'down', 'running', 'running', 'running']);
      });
    });

    it('keep the side of the lowest number when both are as large', async () => {
      await simulation.run(async () => {
        await start(4);
        for (const here of [2, 3]) for (const there of [4, 1]) simulation.partition(here, there);
        await simulation.sleep(2100);
        expect(states()).to.deep.equal(['running', 'down', 'down', 'running']);
      });
    });

    it('let one through whose way is free: what the other sends still arrives', async () => {
      await simulation.run(async () => {
        await start(2);
        simulation.partition(1, 2, { oneWay: true });
        const asked = simulation.history.lines.length;
        tellers[1]?.ask('held');
        await simulation.sleep(100);
        // It has arrived: the holder is told that it is in the way.
        expect(simulation.history.lines.slice(asked).join('\n')).to.match(/n1 blocks \d+ EX/);
      });
    });

    it('are refused what may not wait in o2dlm, while the answer cannot come', async () => {
      await simulation.run(async () => {
        await start(2);
        simulation.partition(1, 2, { oneWay: true });
        tellers[1]?.ask('held', DLM_LKF.NOQUEUE);
        await simulation.sleep(100);
        const refused = profile === 'o2dlm' ? [`held refused: ${-EAGAIN}`] : [];
        expect(toldOf(2)).to.deep.equal(refused);
      });
    });

    it('change nothing when one is down, and nothing that is healed twice', async () => {
      await simulation.run(async () => {
        await start(3);
        simulation.node(2).kill();
        const before = simulation.history.lines.length;
        simulation.partition(1, 2);
        simulation.heal(1, 2);
        simulation.heal(1, 3);
        expect(simulation.history.lines.length).to.equal(before);
        await simulation.sleep(5000);
        expect(states()).to.deep.equal(['running', 'down', 'running']);
      });
    });
  });
}
