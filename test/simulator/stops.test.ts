/** Groups that stop and run again; nodes without quorum, daemon or lockspace; recovery that takes time. */
import { expect } from 'chai';
import { constants } from 'node:os';

import { DLM_LKF } from '../../lib/glue.js';
import { replay, Simulation } from '../../lib/simulator/index.js';
import { failureOf, PROFILES } from './support.js';
import { Teller } from './told.js';

const { EAGAIN, ENOTCONN, EPERM } = constants.errno;

for (const profile of PROFILES) {
  describe(`a group that stops, profile ${profile}`, () => {
    let simulation: Simulation;
    let a: Teller, b: Teller;

    /** Two nodes that have heard of each other. */
    async function start(options: ConstructorParameters<typeof Simulation>[0] = {}): Promise<void> {
      simulation = new Simulation({ profile, ...options });
      await simulation.run(async () => {
        a = await new Teller(simulation.node(1).context).connect();
        b = await new Teller(simulation.node(2).context).connect();
        await simulation.sleep(10);
      });
      expect(a.told.splice(0)).to.deep.equal(['memberJoined 2']);
      expect(b.told.splice(0)).to.deep.equal([]);
    }
    afterEach(() => simulation.close());

    it('says so, and what is asked for waits until it resumes', async () => {
      await start();
      await simulation.run(async () => {
        simulation.stop('test');
        simulation.stop('test');
        a.ask();
        b.ask('other');
        await simulation.sleep(10_000);
        expect(a.told.splice(0)).to.deep.equal(['stopped valid']);
        expect(b.told.splice(0)).to.deep.equal(['stopped valid']);
        expect(simulation.waiting()).to.match(/^"test" has stopped\n/);
        simulation.resume('test');
        await simulation.sleep(10);
        expect(a.told).to.deep.equal(['resumed valid', 'granted lock']);
        expect(b.told).to.deep.equal(['resumed valid', 'granted other']);
      });
    });

    it('keeps what is on its way: neither a request nor a grant is lost', async () => {
      await start({ delayUs: [5000, 5000] });
      await simulation.run(async () => {
        const held = a.ask();
        await simulation.sleep(100);
        b.ask();
        await simulation.sleep(100);
        a.give(held);
        await simulation.sleep(7);
        simulation.stop();
        await simulation.sleep(1000);
        expect(b.told.splice(0)).to.deep.equal(['stopped valid']);
        simulation.resume();
        await simulation.sleep(20);
        expect(b.told).to.deep.equal(['resumed valid', 'granted lock']);
        expect(a.told).to.include('unlocked lock 0');
      });
    });

    it('stops no other group', async () => {
      await start();
      await simulation.run(async () => {
        const other = await new Teller(simulation.node(1).context).connect('other');
        await new Teller(simulation.node(2).context).connect('other');
        simulation.stop('test');
        other.ask();
        a.ask();
        await simulation.sleep(10);
        expect(other.told).to.deep.equal(['memberJoined 2', 'granted lock']);
        expect(a.told).to.deep.equal(['stopped valid']);
        simulation.stop();
        simulation.resume('test');
        await simulation.sleep(10);
        expect(a.told, 'all are stopped').to.deep.equal(['stopped valid']);
        expect(other.told.splice(2)).to.deep.equal(['stopped valid']);
        simulation.resume();
        await simulation.sleep(10);
        expect(a.told).to.deep.equal(['stopped valid', 'resumed valid', 'granted lock']);
        expect(other.told.splice(2)).to.deep.equal(['resumed valid']);
      });
    });

    it('takes in who comes, and serves it when it resumes', async () => {
      await start();
      await simulation.run(async () => {
        simulation.stop('test');
        const c = new Teller(simulation.node(3).context);
        const connecting = c.connect();
        await simulation.sleep(10);
        // Stack user has to ask for the version first.
        expect(c.isConnected).to.equal(profile === 'o2dlm');
        simulation.resume('test');
        await connecting;
        c.ask();
        await simulation.sleep(10);
        expect(c.told).to.deep.equal(['stopped valid', 'resumed valid', 'granted lock']);
      });
    });

    it('holds up whoever may not wait: o2dlm refuses it, fsdlm asks when it resumes', async () => {
      await start();
      await simulation.run(async () => {
        simulation.stop('test');
        a.ask('lock', DLM_LKF.NOQUEUE);
        await simulation.sleep(10);
        const refused = profile === 'o2dlm' ? [`lock refused: ${-EAGAIN}`] : [];
        expect(a.told.splice(0)).to.have.members([...refused, 'stopped valid']);
        simulation.resume('test');
        await simulation.sleep(10);
        const granted = profile === 'o2dlm' ? [] : ['granted lock'];
        expect(a.told).to.deep.equal(['resumed valid', ...granted]);
      });
    });

    it('tells nothing to who has disconnected', async () => {
      await start();
      await simulation.run(async () => {
        simulation.stop('test');
        await a.disconnect();
        simulation.resume('test');
        await simulation.sleep(10);
        expect(a.told).to.deep.equal([]);
        expect(b.told).to.deep.equal(['stopped valid', 'memberLeft 1', 'resumed valid']);
      });
    });

    it('has no quorum on one node: its locks are unsure, and its requests wait until it has', async () => {
      await start();
      await simulation.run(async () => {
        a.ask('mine');
        await simulation.sleep(10);
        a.told.length = 0;
        simulation.node(1).loseQuorum();
        a.ask();
        // Its master does not answer either.
        b.ask('mine');
        b.ask('other');
        await simulation.sleep(10_000);
        expect(a.told.splice(0)).to.deep.equal(['quorumLost unsure', 'stopped valid']);
        expect(a.glue.clusterMembership(a.connection)?.isQuorate).to.equal(false);
        expect(b.glue.clusterMembership(b.connection)?.isQuorate).to.equal(true);
        expect(simulation.node(1).state).to.equal('running');
        simulation.node(1).regainQuorum();
        await simulation.sleep(10);
        expect(a.told).to.deep.equal(['quorumRegained unsure', 'resumed valid', 'granted lock']);
        expect(b.told).to.deep.equal(['granted other']);
      });
    });

    it('is unsure when its node is cut off, and lost when that is fenced', async () => {
      await start({ quorumMs: 1000 });
      await simulation.run(async () => {
        b.ask();
        a.ask('held');
        await simulation.sleep(10);
        b.told.length = 0;
        simulation.node(1).partition();
        await simulation.sleep(990);
        a.told.length = 0;
        a.ask();
        await simulation.sleep(100);
        expect(a.told.splice(0)).to.deep.equal(['quorumLost unsure', 'stopped valid']);
        b.ask('held');
        await simulation.sleep(1000);
        expect(a.told).to.deep.equal([`lock not granted: ${-ENOTCONN}`, 'released lost']);
        expect(a.members()).to.deep.equal([]);
        expect(a.glue.clusterMembership(a.connection)).to.equal(undefined);
        expect(b.told).to.deep.equal(['died 1', 'granted held']);
        await a.disconnect();
      });
    });

    it('is sure again when its node is healed in time', async () => {
      await start({ quorumMs: 1000 });
      await simulation.run(async () => {
        const node = simulation.node(1);
        await new Teller(simulation.node(3).context).connect();
        await simulation.sleep(10);
        expect(a.told.splice(0)).to.deep.equal(['memberJoined 3']);
        simulation.node(3).kill();
        await simulation.sleep(800);
        // The death is found while it is cut off, and without a quorum.
        node.partition();
        await simulation.sleep(1500);
        a.ask();
        node.heal();
        await simulation.sleep(2500);
        expect(node.state).to.equal('running');
        expect(a.told).to.deep.equal([
          'quorumLost unsure',
          'stopped valid',
          'died 3',
          'quorumRegained unsure',
          'resumed valid',
          'granted lock',
        ]);
        const rings = [a, b].map((each) => each.glue.clusterMembership(each.connection)?.ring);
        expect(new Set(rings).size).to.equal(1);
      });
    });

    it('goes on when the daemon of a node ends, until that is fenced', async () => {
      await start();
      await simulation.run(async () => {
        if (profile === 'o2dlm') {
          expect(() => simulation.node(1).loseDaemon())
            .to.throw()
            .that.includes({ code: 'ERR_DLM_SIMULATION_NODE' });
          return;
        }
        simulation.node(1).loseDaemon();
        a.ask();
        await simulation.sleep(1900);
        expect(a.told.splice(0)).to.have.members(['daemonGone unsure', 'granted lock']);
        b.ask();
        await simulation.sleep(200);
        expect(a.told).to.deep.equal(['released lost']);
        expect(b.told).to.deep.equal(['died 1', 'granted lock']);
        expect(simulation.node(1).state).to.equal('down');
      });
    });

    it('is taken away from a node: requests end, then that is told, and nothing follows', async () => {
      await start();
      await simulation.run(async () => {
        if (profile === 'o2dlm') {
          expect(() => simulation.node(1).release('test'))
            .to.throw()
            .that.includes({ code: 'ERR_DLM_SIMULATION_NODE' });
          return;
        }
        a.ask('held');
        b.ask('his');
        await simulation.sleep(10);
        a.told.length = b.told.length = 0;
        a.ask('his');
        b.ask('held');
        await simulation.sleep(10);
        simulation.node(1).release('test');
        expect(a.told, 'nothing inside the call').to.deep.equal([]);
        expect(() => simulation.node(1).release('test')).to.throw('ENOENT');
        await simulation.sleep(3000);
        expect(a.told).to.deep.equal([`his not granted: ${-ENOTCONN}`, 'released lost']);
        expect(b.told).to.deep.equal(['memberLeft 1', 'granted held']);
        a.ask();
        await simulation.sleep(10);
        expect(a.told.at(-1)).to.equal(`lock refused: ${-ENOTCONN}`);
        expect(simulation.node(1).state).to.equal('running');
        await a.disconnect();
        const again = await new Teller(simulation.node(1).context).connect();
        again.ask();
        await simulation.sleep(10);
        expect(again.told).to.deep.equal(['granted lock']);
      });
    });

    it('hears of its loss only when its process goes on', async () => {
      if (profile === 'o2dlm') return;
      await start();
      await simulation.run(async () => {
        const node = simulation.node(1);
        node.pause();
        a.ask();
        node.release('test');
        await simulation.sleep(100);
        expect(a.told).to.deep.equal([]);
        node.resume();
        await simulation.sleep(10);
        expect(a.told).to.deep.equal([`lock not granted: ${-ENOTCONN}`, 'released lost']);
      });
    });

    it('takes its time to recover from a death: stopped, died, resumed, and only then the grants', async () => {
      const scenario = async (): Promise<string[]> => {
        await start({ seed: 4, recoveryMs: [300, 500] });
        return simulation.run(async () => {
          a.ask();
          await simulation.sleep(10);
          b.ask();
          await simulation.sleep(10);
          simulation.node(1).kill();
          await simulation.sleep(2010);
          expect(b.told.splice(0)).to.deep.equal(['stopped valid', 'died 1']);
          b.ask('other');
          await simulation.sleep(200);
          expect(b.told).to.deep.equal([]);
          await simulation.sleep(300);
          expect(b.told.splice(0, 2)).to.deep.equal(['resumed valid', 'granted lock']);
          expect(b.told).to.deep.equal(['granted other']);
          return b.told;
        });
      };
      await scenario();
      const { history } = simulation;
      expect(history.recoveryMs).to.deep.equal([300, 500]);
      await simulation.close();
      await scenario();
      expect(simulation.history.toString()).to.equal(history.toString());
    });

    it('says in its history how it was made', async () => {
      await start({ recoveryMs: [1, 2], quorumMs: 7 });
      const { history } = simulation;
      expect(history).to.deep.include({ recoveryMs: [1, 2], quorumMs: 7, detectMs: 2000 });
      const again = new Simulation({ replay: history.toString() });
      expect(again.history.lines[0]).to.equal(history.lines[0]?.replace(/ {2}\[.*/, ''));
      await again.close();
      await replay(history, async (repeated) => {
        await new Teller(repeated.node(1).context).connect();
        await new Teller(repeated.node(2).context).connect();
        await repeated.sleep(10);
      });
    });

    it('ends a run that waits for it for ever, and says what it waits for', async () => {
      await start();
      const error = await failureOf(
        simulation.run(async () => {
          simulation.stop();
          a.ask();
          await new Promise(() => undefined);
        }),
      );
      expect(error).to.include({ code: 'ERR_DLM_SIMULATION_STUCK' });
      expect(error.message).to.include('"test" has stopped\nn1 waits with lock');
    });
  });
}

it('refuses what is asked of a dead node in o2dlm with EPERM', async () => {
  const simulation = new Simulation();
  await simulation.run(async () => {
    const a = await new Teller(simulation.node(1).context).connect();
    simulation.node(1).partition();
    await simulation.sleep(2100);
    a.ask();
    await simulation.sleep(10);
    expect(a.told).to.deep.equal(['released lost', `lock refused: ${-EPERM}`]);
  });
  await simulation.close();
});
