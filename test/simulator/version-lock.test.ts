/**
 * The negotiation of the locking protocol on stack `user`, by connections that come and go: whoever
 * comes must find one version, even when the one who was there leaves, or dies, in between.
 */
import { expect } from 'chai';

import { DlmError, type ClusterConnection } from '../../lib/glue.js';
import { explore, Simulation, type NodeContext } from '../../lib/simulator/index.js';
import { connectNode } from './lock-program.js';
import { failureOf } from './support.js';

const SEEDS = 300;

describe('the version of a lockspace', () => {
  it('is found by all who come and go at the same time', async () => {
    let unwritten = 0;
    let contested = 0;
    const comeAndGo = async (node: NodeContext, times: number): Promise<void> => {
      for (let i = 0; i < times; i += 1) {
        await node.sleep(4 * node.random());
        const { glue, connection } = await connectNode(node);
        expect(connection.version).to.deep.equal({ major: 1, minor: 0 });
        await node.sleep(2 * node.random());
        await glue.clusterDisconnect(connection);
      }
    };
    const run = async (simulation: Simulation): Promise<void> => {
      const nodes = [1, 1, 2, 3].map((number) => simulation.node(number).context);
      await Promise.all(nodes.map((node) => comeAndGo(node, 5)));
      const history = simulation.history.toString();
      if (/ convert \d+ EX VALBLK/.test(history)) unwritten += 1;
      if (history.includes(' EDEADLK')) contested += 1;
    };
    await explore({ profile: 'fsdlm', seeds: SEEDS, run });
    // What these are follows from the seeds, which are always the same.
    expect(unwritten, 'histories in which one finds a block that nobody has written').above(100);
    expect(contested, 'histories in which several do').above(30);
  });

  it('is one for all who are there, though they speak different ones', async () => {
    let met = 0;
    let refused = 0;
    const run = async (simulation: Simulation): Promise<void> => {
      const there = new Set<ClusterConnection>();
      const comeAndGo = async (node: NodeContext, minor: number): Promise<void> => {
        for (let i = 0; i < 5; i += 1) {
          await node.sleep(4 * node.random());
          try {
            const { glue, connection } = await connectNode(node, {}, { major: 1, minor });
            const { version } = connection;
            expect(version.major).to.equal(1);
            expect(version.minor).to.be.within(1, minor);
            there.add(connection);
            const minors = [...there].map((each) => each.version.minor);
            expect(new Set(minors).size, minors.join()).to.equal(1);
            if (minors.length > 1) met += 1;
            await node.sleep(2 * node.random());
            there.delete(connection);
            await glue.clusterDisconnect(connection);
          } catch (error) {
            if (!(error instanceof DlmError)) throw error;
            refused += 1;
            expect(error.message).to.match(/ runs at locking protocol 1\.[23], /);
          }
        }
      };
      const contexts = [1, 2, 3].map((number) => simulation.node(number).context);
      await Promise.all(contexts.map((node, i) => comeAndGo(node, i + 1)));
    };
    await explore({ profile: 'fsdlm', seeds: SEEDS, run });
    expect(met, 'those who came while another was there').to.be.above(SEEDS);
    expect(refused, 'those who could not speak the version that was there').to.be.above(SEEDS);
  });

  it('is found though nodes die in the middle of finding it', async () => {
    let died = 0;
    const program = (node: NodeContext) => ({
      async comeAndGo(times: number): Promise<void> {
        for (let i = 0; i < times; i += 1) {
          const { glue, connection } = await connectNode(node);
          await node.sleep(node.random());
          await glue.clusterDisconnect(connection);
        }
      },
    });
    const run = async (simulation: Simulation): Promise<void> => {
      const nodes = [1, 2, 3, 4].map((number) => simulation.node(number, { program }));
      simulation.chaos({ kills: 3, partitions: 0, pauses: 1, withinMs: 30, lengthMs: [1, 20] });
      const ends = await Promise.allSettled(nodes.map((node) => node.call('comeAndGo', 10)));
      for (const end of ends) {
        if (end.status === 'rejected') {
          expect(end.reason).to.have.property('code', 'ERR_DLM_SIMULATION_NODE');
          died += 1;
        }
      }
      // Whoever comes last is not kept out by anything that the dead left.
      const { connection } = await connectNode(simulation.node(5).context);
      expect(connection.version).to.deep.equal({ major: 1, minor: 0 });
    };
    await explore({ profile: 'fsdlm', detectMs: 20, seeds: SEEDS, run });
    expect(died).to.be.above(SEEDS);
  });

  it('is not 0.0, which is what a block says that nobody has written', async () => {
    const simulation = new Simulation({ profile: 'fsdlm' });
    try {
      await simulation.run(async () => {
        const zero = { major: 0, minor: 0 };
        const error = await failureOf(connectNode(simulation.node(1).context, {}, zero));
        expect(error).to.include({ code: 'ERR_DLM_PROTOCOL', status: 'EINVAL', op: 'connect' });
        expect(error.message).to.include('0.0');
        await connectNode(simulation.node(1).context, {}, { major: 0, minor: 1 });
      });
    } finally {
      await simulation.close();
    }
  });
});
