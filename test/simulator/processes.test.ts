/** Several processes on one node, which end one by one. */
import { expect } from 'chai';
import { constants } from 'node:os';

import { DLM_LKF, dlmOwnPid, dlmPurge } from '../../lib/glue.js';
import { Simulation } from '../../lib/simulator/index.js';
import { lockProgram } from './lock-program.js';
import { startLockWorker } from './storm.js';
import { failureOf, PROFILES } from './support.js';
import { Teller } from './told.js';

const { ENOTCONN, EPERM } = constants.errno;

for (const profile of PROFILES) {
  describe(`processes of a node, profile ${profile}`, () => {
    let simulation: Simulation;
    beforeEach(() => {
      simulation = new Simulation({ profile });
    });
    afterEach(() => simulation.close());

    it('exclude each other, and leave their locks to others when they end', async () => {
      await simulation.run(async () => {
        const node = simulation.node(1);
        const [first, second] = [node.spawn(), node.spawn()];
        const a = await new Teller(first.context).connect();
        const b = await new Teller(second.context).connect();
        const other = await new Teller(simulation.node(2).context).connect();
        await simulation.sleep(10);
        a.ask();
        await simulation.sleep(10);
        b.ask();
        await simulation.sleep(10);
        other.ask();
        await simulation.sleep(10);
        a.told.length = b.told.length = other.told.length = 0;
        first.end();
        first.end();
        await simulation.sleep(5000);
        expect(b.told).to.deep.equal(['granted lock']);
        expect(other.told, 'no death, since the node lives').to.deep.equal([]);
        expect(other.members()).to.deep.equal([1, 2]);
        expect([first.state, second.state, node.state]).to.deep.equal([
          'ended',
          'running',
          'running',
        ]);
        second.end();
        await simulation.sleep(5000);
        expect(other.told).to.deep.equal(['memberLeft 1', 'granted lock']);
        expect(node.processes).to.deep.equal([]);
      });
    });

    it('end without a word: no handler, no timer, and what was asked for is dropped', async () => {
      await simulation.run(async () => {
        const process = simulation.node(1).spawn();
        const { context } = process;
        const a = await new Teller(context).connect();
        const b = await new Teller(simulation.node(2).context).connect();
        b.ask();
        await simulation.sleep(10);
        a.told.length = 0;
        a.ask();
        context.setTimeout(() => expect.fail('a timer of a process that has ended'), 5);
        process.end();
        await simulation.sleep(100);
        expect(a.told).to.deep.equal([]);
        expect(simulation.waiting()).to.equal('');
        a.ask();
        await simulation.sleep(10);
        const refusal = profile === 'o2dlm' ? -EPERM : -ENOTCONN;
        expect(a.told).to.deep.equal([`lock refused: ${refusal}`]);
        await a.disconnect();
        expect(await failureOf(new Teller(context).connect())).to.include({
          code: 'ERR_DLM_CONNECT',
          errno: EPERM,
        });
        expect(() => process.context)
          .to.throw()
          .that.includes({ code: 'ERR_DLM_SIMULATION_NODE' });
      });
    });

    it('answer no call once they have ended, by themselves or with their node', async () => {
      await simulation.run(async () => {
        const node = simulation.node(1);
        const [first, second] = [
          node.spawn({ program: lockProgram }),
          node.spawn({ program: lockProgram }),
        ];
        first.end();
        expect(await failureOf(first.call('work', 1))).to.include({
          code: 'ERR_DLM_SIMULATION_NODE',
        });
        node.kill();
        node.start();
        expect(await failureOf(second.call('work', 1))).to.include({
          code: 'ERR_DLM_SIMULATION_NODE',
        });
      });
    });

    it('go down with their node, and are not there when it boots', async () => {
      await simulation.run(async () => {
        const node = simulation.node(1);
        const process = node.spawn({ program: lockProgram });
        const working = failureOf(process.call('work', 1000));
        await simulation.sleep(10);
        node.kill();
        expect(await working).to.include({ code: 'ERR_DLM_SIMULATION_NODE' });
        expect(process.state).to.equal('ended');
        expect(() => node.spawn())
          .to.throw()
          .that.includes({ code: 'ERR_DLM_SIMULATION_NODE' });
        node.start();
        expect(node.processes).to.deep.equal([]);
        expect(await node.spawn({ program: lockProgram }).call('work', 1)).to.equal(1);
      });
    });

    it('hear of the fence of their node, each of its own requests', async () => {
      await simulation.run(async () => {
        const node = simulation.node(1);
        const tellers = await Promise.all(
          [node.context, node.spawn().context, node.spawn().context].map((context) =>
            new Teller(context).connect(),
          ),
        );
        const other = await new Teller(simulation.node(2).context).connect();
        other.ask();
        await simulation.sleep(10);
        for (const teller of tellers) teller.told.length = 0;
        node.partition();
        for (const [i, teller] of tellers.entries()) if (i > 0) teller.ask();
        await simulation.sleep(2100);
        expect(tellers.map(({ told }) => told.join())).to.deep.equal([
          'released lost',
          `lock not granted: ${-ENOTCONN},released lost`,
          `lock not granted: ${-ENOTCONN},released lost`,
        ]);
        expect(other.told.at(-1)).to.equal('died 1');
      });
    });

    it('make the same history in a worker thread', async () => {
      const histories: string[] = [];
      for (const isInWorker of [false, true]) {
        const cluster = new Simulation({ profile, seed: 3 });
        await cluster.run(async () => {
          const [first, second] = [cluster.node(1, { program: lockProgram }), cluster.node(2)];
          const options = isInWorker ? { port: startLockWorker().port } : { program: lockProgram };
          const process = second.spawn(options);
          const working = failureOf(process.call('work', 1000));
          const done = first.call('work', 20);
          await cluster.sleep(30);
          process.end();
          expect(await working).to.include({ code: 'ERR_DLM_SIMULATION_NODE' });
          expect(await done).to.equal(20);
        });
        histories.push(cluster.history.toString());
        await cluster.close();
      }
      expect(histories[0]).to.match(/n2 "process 1 ends"/);
      expect(histories[1]).to.equal(histories[0]);
    });
  });
}

it('a process of fsdlm that ends leaves its PERSISTENT locks as orphans, until they are purged', async () => {
  const simulation = new Simulation({ profile: 'fsdlm' });
  await simulation.run(async () => {
    const node = simulation.node(1);
    const process = node.spawn();
    const a = await new Teller(process.context).connect();
    const stays = await new Teller(node.context).connect();
    const other = await new Teller(simulation.node(2).context).connect();
    const pid = dlmOwnPid(a.connection);
    a.ask('lock', DLM_LKF.PERSISTENT);
    a.ask('other');
    await simulation.sleep(10);
    process.end();
    other.told.length = 0;
    other.ask();
    other.ask('other');
    await simulation.sleep(100);
    expect(other.told).to.deep.equal(['granted other']);
    await dlmPurge(stays.connection, 0, pid);
    await simulation.sleep(10);
    expect(other.told).to.deep.equal(['granted other', 'granted lock']);
  });
  await simulation.close();
});
