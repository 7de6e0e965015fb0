/** Simulated clusters: time, order, failures, and what a test is told. */
import { expect } from 'chai';
import { createHook } from 'node:async_hooks';
import { constants } from 'node:os';

import { DLM_LKF, DLM_LOCK, DlmLksb } from '../../lib/glue.js';
import { Simulation, SimulationError, type NodeContext } from '../../lib/simulator/index.js';
import { connectNode, give, lockProgram, take } from './lock-program.js';
import { failureOf, PROFILES } from './support.js';

const { EAGAIN, ENOTCONN, EPERM } = constants.errno;

for (const profile of PROFILES) {
  describe(`simulation, profile ${profile}`, () => {
    let simulation: Simulation;
    beforeEach(() => {
      simulation = new Simulation({ profile });
    });
    afterEach(() => simulation.close());

    it('takes its own time and no other', async () => {
      const ofTheHost: string[] = [];
      const hook = createHook({
        init(_id, type) {
          if (type === 'Timeout') ofTheHost.push(type);
        },
      });
      // Mocha has started the timer of its own limit then.
      await Promise.resolve();
      hook.enable();
      try {
        await simulation.run(() => simulation.sleep(3_600_000));
      } finally {
        hook.disable();
      }
      expect(simulation.now()).to.equal(3_600_000);
      expect(ofTheHost, 'timers of the host').to.deep.equal([]);
    });

    it('lets timers go off in their order, and not those that were cleared', async () => {
      const seen: string[] = [];
      simulation.setTimeout(() => seen.push('late'), 20);
      simulation.setTimeout(() => seen.push('early'), 10);
      simulation.clearTimeout(simulation.setTimeout(() => seen.push('never'), 15));
      await simulation.settle();
      expect(seen).to.deep.equal(['early', 'late']);
      expect(simulation.now()).to.equal(20);
    });

    it('makes one thing happen with each step, and tells when nothing is due', async () => {
      simulation.setTimeout(() => undefined, 1);
      simulation.setTimeout(() => undefined, 2);
      expect(await simulation.step()).to.equal(true);
      expect(simulation.now()).to.equal(1);
      expect(await simulation.step()).to.equal(true);
      expect(await simulation.step()).to.equal(false);
      expect(simulation.now()).to.equal(2);
    });

    it('grants one node after the other', async () => {
      const holders: number[] = [];
      const program = async (node: NodeContext): Promise<void> => {
        const { glue, connection } = await connectNode(node);
        const lksb = new DlmLksb();
        await take(glue, connection, lksb, 'lock');
        holders.push(node.number);
        await node.sleep(100);
        expect(holders.pop()).to.equal(node.number);
        await give(glue, connection, lksb);
        await glue.clusterDisconnect(connection);
      };
      for (const number of [1, 2, 3]) simulation.node(number, { program });
      await simulation.settle();
      expect(simulation.now()).to.be.within(300, 400);
      expect(simulation.waiting()).to.equal('');
    });

    it('serves a service that is written for the glue, in the thread of the test', async () => {
      await simulation.run(async () => {
        const { glue, connection } = await connectNode(simulation.node(1).context);
        expect(glue.clusterThisNode(connection)).to.equal(1);
        const lksb = new DlmLksb();
        await take(glue, connection, lksb, 'lock', DLM_LKF.VALBLK);
        glue.dlmLvb(lksb).set([1, 2, 3]);
        await give(glue, connection, lksb, DLM_LKF.VALBLK);
        const other = await connectNode(simulation.node(2).context);
        const otherLksb = new DlmLksb();
        const keeper = new DlmLksb();
        await take(glue, connection, keeper, 'kept', DLM_LKF.VALBLK);
        const busy = take(other.glue, other.connection, otherLksb, 'kept', DLM_LKF.NOQUEUE);
        await busy.then(
          () => expect.fail('it is held'),
          (error: unknown) => expect(String(error)).to.include(String(-EAGAIN)),
        );
        await glue.clusterDisconnect(connection);
        await take(other.glue, other.connection, otherLksb, 'kept');
      });
    });

    it('finds a killed node dead after a time, and then grants what it had', async () => {
      const deaths: number[] = [];
      await simulation.run(async () => {
        const [first, second] = [simulation.node(1), simulation.node(2)];
        const dying = await connectNode(first.context);
        const { glue, connection } = await connectNode(second.context, {
          nodeDown: (node) => deaths.push(node),
        });
        await take(dying.glue, dying.connection, new DlmLksb(), 'lock');
        first.kill();
        expect(first.state).to.equal('down');
        const lksb = new DlmLksb();
        expect(
          dying.glue.dlmLock(dying.connection, DLM_LOCK.EX, new DlmLksb(), 0, 'lock'),
        ).to.equal(profile === 'o2dlm' ? -EPERM : -ENOTCONN);
        await dying.glue.clusterDisconnect(dying.connection);
        await take(glue, connection, lksb, 'lock');
        expect(deaths).to.deep.equal([1]);
        expect(simulation.now()).to.be.within(2000, 2100);
      });
    });

    it('boots a killed node again, as a new life', async () => {
      const lives: NodeContext[] = [];
      const node = simulation.node(1, { program: (life) => void lives.push(life) });
      await simulation.settle();
      let wentOff = false;
      lives[0]!.setTimeout(() => (wentOff = true), 10);
      void lives[0]!.sleep(10).then(() => (wentOff = true));
      node.kill();
      node.start();
      await simulation.runFor(5000);
      expect(lives).to.have.length(2);
      expect(wentOff).to.equal(false);
      expect(node.state).to.equal('running');
      expect(node.context).to.equal(lives[1]);
      const old = await failureOf(
        simulation.run(async () => {
          await connectNode(lives[0]!);
        }),
      );
      expect(old).to.include({ code: 'ERR_DLM_CONNECT' });
      await simulation.run(() => connectNode(lives[1]!));
    });

    it('fences a node that stays cut off, and not one that is healed in time', async () => {
      const [first, second] = [simulation.node(1), simulation.node(2)];
      await simulation.run(async () => {
        await connectNode(first.context);
        await connectNode(second.context);
      });
      first.partition();
      expect(first.state).to.equal('cutOff');
      await simulation.runFor(1999);
      first.heal();
      await simulation.runFor(5000);
      expect(first.state).to.equal('running');
      first.partition();
      await simulation.runFor(2001);
      expect(first.state).to.equal('down');
      expect(simulation.history.toString()).to.include('n1 is fenced');
    });

    it('lets a paused node hear and do nothing until it goes on', async () => {
      const node = simulation.node(1);
      let at = -1;
      node.context.setTimeout(() => (at = simulation.now()), 10);
      node.pause();
      expect(node.state).to.equal('paused');
      await simulation.runFor(100);
      expect(at).to.equal(-1);
      node.resume();
      await simulation.runFor(100);
      expect(at).to.be.within(100, 102);
    });

    it('calls what a program offers, with its results and errors', async () => {
      const node = simulation.node(1, { program: lockProgram });
      await simulation.run(async () => {
        expect(await node.call('work', 3)).to.equal(3);
        await node.call('fail', 'on purpose').then(
          () => expect.fail('it was to throw'),
          (error: unknown) => expect(String(error)).to.equal('Error: on purpose'),
        );
        expect(await failureOf(node.call('nothing'))).to.include({
          code: 'ERR_DLM_SIMULATION_NODE',
        });
        const cut = node.call('work', 1_000_000);
        await simulation.sleep(50);
        node.kill();
        expect(await failureOf(cut)).to.include({ code: 'ERR_DLM_SIMULATION_NODE' });
        expect(await failureOf(node.call('work', 1))).to.include({
          code: 'ERR_DLM_SIMULATION_NODE',
        });
      });
    });

    it('says who waits for what when nothing is due any more', async () => {
      const error = await failureOf(
        simulation.run(async () => {
          const first = await connectNode(simulation.node(1).context);
          const second = await connectNode(simulation.node(2).context);
          await take(first.glue, first.connection, new DlmLksb(), 'lock');
          await take(second.glue, second.connection, new DlmLksb(), 'lock');
        }),
      );
      expect(error).to.be.an.instanceOf(SimulationError);
      expect(error).to.include({ code: 'ERR_DLM_SIMULATION_STUCK', seed: 1 });
      expect(error.message).to.match(/n2 waits with lock \d+ on "lock" of "test" for EX\n/);
      expect(error.message).to.match(/ {2}n1 has lock \d+ on "lock" of "test" in EX\n/);
      expect(error.message).to.include('n2 lock');
    });

    it('ends when there are too many steps', async () => {
      const again = (): void => {
        simulation.setTimeout(again, 1);
      };
      again();
      const error = await failureOf(simulation.settle({ maxSteps: 50 }));
      expect(error).to.include({ code: 'ERR_DLM_SIMULATION_LIMIT' });
      expect(simulation.now()).to.equal(50);
    });

    it('fails with what a handler, a timer or a program throws or rejects with', async () => {
      const thrown = new Error('a mistake');
      const failing: ((context: NodeContext) => Promise<void>)[] = [
        async (node) => {
          const { glue, connection } = await connectNode(node);
          const fail = (): void => {
            throw thrown;
          };
          glue.dlmLock(connection, DLM_LOCK.EX, new DlmLksb(), 0, 'lock', fail);
        },
        (node) => {
          node.setTimeout(() => {
            throw thrown;
          }, 1);
          return Promise.resolve();
        },
        () => Promise.reject(thrown),
        async (node) => {
          const { glue, connection } = await connectNode(node);
          const fail = async (): Promise<void> => {
            await node.sleep(3);
            throw thrown;
          };
          glue.dlmLock(connection, DLM_LOCK.EX, new DlmLksb(), 0, 'lock', fail);
        },
        (node) => {
          const fail = async (): Promise<void> => {
            await node.sleep(3);
            throw thrown;
          };
          // eslint-disable-next-line @typescript-eslint/no-misused-promises -- that is what is tested
          node.setTimeout(fail, 1);
          return Promise.resolve();
        },
      ];
      for (const program of failing) {
        const failed = new Simulation({ profile });
        failed.node(1, { program });
        const caught: unknown = await failed.settle().catch((error: unknown) => error);
        expect(caught).to.equal(thrown);
        await failed.close();
      }
    });

    it('is run by one caller at a time', async () => {
      await simulation.run(async () => {
        expect(await failureOf(simulation.step())).to.include({ code: 'ERR_DLM_SIMULATION_BUSY' });
      });
    });

    it('takes no more calls when it is closed, and closes twice', async () => {
      const node = simulation.node(1);
      await simulation.close();
      await simulation.close();
      for (const call of [() => node.kill(), () => simulation.node(2), () => simulation.random()]) {
        expect(call).to.throw().that.includes({ code: 'ERR_DLM_SIMULATION_CLOSED' });
      }
      expect(await failureOf(simulation.step())).to.include({ code: 'ERR_DLM_SIMULATION_CLOSED' });
      expect(simulation.history.toString()).to.include('n1 starts');
    });
  });
}
