/** What the programs of a fenced node are told: all that they have asked for ends, once and in order. */
import { expect } from 'chai';
import { constants } from 'node:os';

import { DLM_LKF, DLM_LOCK, DlmLksb, dlmPurge } from '../../lib/glue.js';
import { Simulation, type SimulatedNode } from '../../lib/simulator/index.js';
import { connectNode, lockProgram, take } from './lock-program.js';
import { startLockWorker } from './storm.js';
import { failureOf, PROFILES } from './support.js';

const { EX, NL } = DLM_LOCK;
const { CANCEL, CONVERT } = DLM_LKF;
const { ENOTCONN, EPERM } = constants.errno;

/** Longer than a node may be cut off before it is fenced, milliseconds. */
const FENCED_MS = 2100;

for (const profile of PROFILES) {
  describe(`a fenced node, profile ${profile}`, () => {
    let simulation: Simulation;
    let first: SimulatedNode;
    let told: string[];
    let refusal: () => number;
    let disconnect: () => Promise<void>;

    beforeEach(() => {
      simulation = new Simulation({ profile });
      first = simulation.node(1);
      told = [];
    });
    afterEach(() => simulation.close());

    /** Cuts the first node off while a request of each kind is under way to the second. */
    async function cutOff(): Promise<void> {
      const other = await connectNode(simulation.node(2).context);
      const { glue, connection } = await connectNode(first.context);
      await take(other.glue, other.connection, new DlmLksb(), 'lock');
      const ask = (what: string, lksb: DlmLksb, mode: 0 | 5 = EX, flags = 0): void => {
        const tell = (): void => void told.push(`${what} ${glue.dlmLockStatus(lksb)}`);
        expect(glue.dlmLock(connection, mode, lksb, flags, 'lock', tell)).to.equal(0);
      };
      const unlock = (what: string, lksb: DlmLksb, flags = 0): void => {
        const tell = (error: number): void => void told.push(`${what} ${error}`);
        expect(glue.dlmUnlock(connection, lksb, flags, tell)).to.equal(0);
      };
      const [unlocked, converted, cancelled] = [new DlmLksb(), new DlmLksb(), new DlmLksb()];
      ask('unlocked', unlocked, NL);
      ask('converted', converted, NL);
      await simulation.sleep(10);
      expect(told.splice(0)).to.deep.equal(['unlocked 0', 'converted 0']);
      ask('cancelled', cancelled);
      await simulation.sleep(10);
      first.partition();
      unlock('unlock', unlocked);
      ask('converted', converted, EX, CONVERT);
      ask('waiting', new DlmLksb());
      unlock('cancel', cancelled, CANCEL);
      refusal = () => glue.dlmLock(connection, EX, new DlmLksb(), 0, 'more');
      disconnect = () => glue.clusterDisconnect(connection);
    }
    /** A cancel that comes to nothing is told of by the end of what it was to cancel. */
    const ENDS = ['cancelled', 'unlock', 'converted', 'waiting'].map((n) => `${n} ${-ENOTCONN}`);

    it('ends what its programs have asked for, once and in order', async () => {
      await simulation.run(async () => {
        await cutOff();
        await simulation.sleep(1980);
        expect(told).to.deep.equal([]);
        await simulation.sleep(100);
        expect(first.state).to.equal('down');
        expect(told).to.deep.equal(ENDS);
        expect(refusal()).to.equal(profile === 'o2dlm' ? -EPERM : -ENOTCONN);
        await disconnect();
        await simulation.sleep(FENCED_MS);
        expect(told).to.deep.equal(ENDS);
      });
    });

    it('ends it although the node is paused', async () => {
      await simulation.run(async () => {
        await cutOff();
        first.pause();
        await simulation.sleep(FENCED_MS);
        expect(first.state).to.equal('down');
        expect(told).to.deep.equal(ENDS);
      });
    });

    it('ends nothing that was healed in time', async () => {
      await simulation.run(async () => {
        await cutOff();
        await simulation.sleep(1000);
        first.heal();
        await simulation.sleep(FENCED_MS);
        expect(told).to.include('unlock 0');
        expect(told.join()).not.to.include(String(-ENOTCONN));
      });
    });

    it('tells nothing to a program that has disconnected, and nothing to one that was killed', async () => {
      await simulation.run(async () => {
        await cutOff();
        await disconnect();
        await simulation.sleep(FENCED_MS);
        first.start();
        await connectNode(first.context);
        first.kill();
        await simulation.sleep(FENCED_MS);
        expect(told).to.deep.equal([]);
      });
    });

    it('tells nothing more when a handler has disconnected', async () => {
      await simulation.run(async () => {
        await cutOff();
        const ends: Promise<void>[] = [];
        const { push } = told;
        told.push = (text) => {
          if (text === ENDS[1]) ends.push(disconnect());
          return push.call(told, text);
        };
        await simulation.sleep(FENCED_MS);
        await Promise.all(ends);
        expect(told).to.deep.equal(ENDS.slice(0, 2));
      });
    });

    it('may have programs that fail of it, whose calls end as those of any node that goes down', async () => {
      const histories: string[] = [];
      for (const isInWorker of [false, true]) {
        const cluster = new Simulation({ profile });
        const node = cluster.node(
          1,
          isInWorker ? { port: startLockWorker().port } : { program: lockProgram },
        );
        await cluster.run(async () => {
          const { glue, connection } = await connectNode(cluster.node(2).context);
          await take(glue, connection, new DlmLksb(), 'lock');
          const working = failureOf(node.call('work', 1));
          await cluster.sleep(10);
          node.partition();
          expect(await working).to.include({ code: 'ERR_DLM_SIMULATION_NODE' });
          node.start();
          await cluster.sleep(10);
        });
        histories.push(cluster.history.toString());
        await cluster.close();
      }
      expect(histories[0]).to.match(/n1 ast \d+ (ENOTCONN|DLM_RECOVERING) end/);
      expect(histories[1], 'in a worker thread').to.equal(histories[0]);
    });
  });
}

it('on a fenced node calls about no lock end, and so does a connection that is being made', async () => {
  const simulation = new Simulation({ profile: 'fsdlm' });
  await simulation.run(async () => {
    await connectNode(simulation.node(2).context);
    const node = simulation.node(1);
    const { connection } = await connectNode(node.context);
    node.partition();
    const connecting = failureOf(connectNode(node.context));
    await simulation.sleep(10);
    node.pause();
    const purging = failureOf(dlmPurge(connection, 0, 0));
    await simulation.sleep(FENCED_MS);
    expect(await connecting).to.include({ errno: ENOTCONN });
    expect(await purging).to.include({ code: 'ERR_DLM_DISCONNECTED', errno: ENOTCONN });
  });
  await simulation.close();
});
