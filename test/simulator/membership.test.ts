/** The number of the nodes' membership: it moves with nodes, and with nothing else. */
import { expect } from 'chai';

import { Simulation } from '../../lib/simulator/index.js';
import { PROFILES } from './support.js';
import { Teller } from './told.js';

for (const profile of PROFILES) {
  describe(`membership of a simulation, profile ${profile}`, () => {
    it('moves when a node boots, dies or loses the others, and not with processes', async () => {
      const simulation = new Simulation({ profile, quorumMs: 500 });
      await simulation.run(async () => {
        const node = simulation.node(1);
        const a = await new Teller(node.context).connect();
        const ring = (of = a): bigint => of.glue.clusterMembership(of.connection)?.ring ?? 0n;
        const isAbove = (later: bigint, earlier: bigint): void => {
          expect(later > earlier, `${later} above ${earlier}`).to.equal(true);
        };
        const first = ring();
        isAbove(first, 0n);
        const process = node.spawn();
        await new Teller(process.context).connect();
        process.end();
        await (await new Teller(node.context).connect()).disconnect();
        expect(ring()).to.equal(first);
        const b = await new Teller(simulation.node(2).context).connect();
        const second = ring();
        isAbove(second, first);
        expect(ring(b)).to.equal(second);
        await new Teller(simulation.node(3).context).connect();
        const third = ring();
        simulation.node(3).kill();
        expect(ring(), 'until it is found dead').to.equal(third);
        await simulation.sleep(2100);
        const fourth = ring();
        isAbove(fourth, third);
        simulation.node(2).partition();
        await simulation.sleep(600);
        expect([ring(), ring(b)], 'for a group that has not lost a member').to.deep.equal([
          fourth,
          fourth,
        ]);
        expect(b.glue.clusterMembership(b.connection)?.isQuorate).to.equal(false);
        expect(a.glue.clusterMembership(a.connection)?.isQuorate).to.equal(true);
        simulation.node(2).heal();
        isAbove(ring(), fourth);
        expect(ring(b)).to.equal(ring());
      });
      await simulation.close();
    });
  });
}
