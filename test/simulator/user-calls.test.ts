/** What libdlm has beyond locks and the stack glue, on simulated nodes: deadlocks, orphans, members. */
import { expect } from 'chai';
import { constants } from 'node:os';

import {
  DLM_LKF,
  DLM_LOCK,
  dlmDeadlockCancel,
  DlmLksb,
  dlmOwnPid,
  dlmPurge,
  type ClusterConnection,
  type StackGlue,
} from '../../lib/glue.js';
import { Simulation } from '../../lib/simulator/index.js';
import { connectNode, give, take } from './lock-program.js';
import { failureOf } from './support.js';

const { EBUSY, EDEADLK, EINVAL, ENOBUFS } = constants.errno;
const { EX, PR } = DLM_LOCK;

/** Who waits for each lock's request: a conversion has the astarg of its lock. */
const waiters = new WeakMap<DlmLksb, (status: number) => void>();

/** Asks for a mode; resolves to the status that the request ends with. */
function ask(
  glue: StackGlue,
  connection: ClusterConnection,
  lksb: DlmLksb,
  mode: (typeof DLM_LOCK)[keyof typeof DLM_LOCK],
  flags: number,
  name: string,
): Promise<number> {
  return new Promise((resolve) => {
    waiters.set(lksb, resolve);
    const ended = (): void => waiters.get(lksb)?.(glue.dlmLockStatus(lksb));
    expect(glue.dlmLock(connection, mode, lksb, flags, name, ended)).to.equal(0);
  });
}

describe('calls of stack user on simulated nodes', () => {
  let simulation: Simulation;
  beforeEach(() => {
    simulation = new Simulation({ profile: 'fsdlm' });
  });
  afterEach(() => simulation.close());

  it('break a deadlock: what waited ends with EDEADLK, and the other goes on', async () => {
    await simulation.run(async () => {
      const a = await connectNode(simulation.node(1).context);
      const b = await connectNode(simulation.node(2).context);
      const [first, second] = [new DlmLksb(), new DlmLksb()];
      expect(await ask(a.glue, a.connection, first, PR, 0, 'lock')).to.equal(0);
      expect(await ask(b.glue, b.connection, second, PR, 0, 'lock')).to.equal(0);
      const up = ask(a.glue, a.connection, first, EX, DLM_LKF.CONVERT, 'lock');
      const broken = ask(b.glue, b.connection, second, EX, DLM_LKF.CONVERT, 'lock');
      await simulation.sleep(10);
      expect(dlmDeadlockCancel(b.connection, second)).to.equal(0);
      expect(await broken).to.equal(-EDEADLK);
      expect(simulation.waiting()).to.include('n1 waits');
      // It has kept its old mode.
      await give(b.glue, b.connection, second);
      expect(await up).to.equal(0);
    });
  });

  it('break a deadlock of a new lock, which is gone then, and do nothing to one that waits for nothing', async () => {
    await simulation.run(async () => {
      const a = await connectNode(simulation.node(1).context);
      const b = await connectNode(simulation.node(2).context);
      const [held, waiting] = [new DlmLksb(), new DlmLksb()];
      await take(a.glue, a.connection, held, 'lock');
      expect(dlmDeadlockCancel(a.connection, held)).to.equal(0);
      const ended = ask(b.glue, b.connection, waiting, EX, 0, 'lock');
      await simulation.sleep(10);
      expect(dlmDeadlockCancel(b.connection, waiting)).to.equal(0);
      // One cancel at a time.
      expect(dlmDeadlockCancel(b.connection, waiting)).to.equal(0);
      expect(await ended).to.equal(-EDEADLK);
      expect(dlmDeadlockCancel(b.connection, waiting)).to.equal(-EINVAL);
      const given = give(a.glue, a.connection, held);
      expect(dlmDeadlockCancel(a.connection, held)).to.equal(-EBUSY);
      await given;
    });
  });

  it('tell an ordinary cancel as before', async () => {
    await simulation.run(async () => {
      const a = await connectNode(simulation.node(1).context);
      const waiting = new DlmLksb();
      await take(a.glue, a.connection, new DlmLksb(), 'lock');
      const cancelled = new Promise<number>((resolve) => {
        const asked = a.glue.dlmLock(a.connection, EX, waiting, 0, 'lock', () => resolve(1));
        expect(asked).to.equal(0);
        expect(a.glue.dlmUnlock(a.connection, waiting, DLM_LKF.CANCEL, () => resolve(2))).to.equal(
          0,
        );
      });
      expect(await cancelled).to.equal(2);
      expect(simulation.history.toString()).to.include('cancelled end');
    });
  });

  for (const from of [1, 2]) {
    it(`give up the orphans of node 1, asked for by node ${from}`, async () => {
      await simulation.run(async () => {
        const ending = await connectNode(simulation.node(1).context);
        const staying = await connectNode(simulation.node(1).context);
        const other = await connectNode(simulation.node(2).context);
        const pid = dlmOwnPid(ending.connection);
        expect(pid).not.to.equal(dlmOwnPid(staying.connection));
        await take(ending.glue, ending.connection, new DlmLksb(), 'lock', DLM_LKF.PERSISTENT);
        await ending.glue.clusterDisconnect(ending.connection);
        let isGranted = false;
        const granted = take(other.glue, other.connection, new DlmLksb(), 'lock').then(() => {
          isGranted = true;
        });
        const { connection } = from === 1 ? staying : other;
        await dlmPurge(connection, 1, pid + 100);
        await simulation.sleep(10);
        expect(isGranted, 'another process of the node').to.equal(false);
        await dlmPurge(connection, 1, pid);
        await granted;
      });
    });
  }

  it('refuse to purge the own process, and a node that is not there', async () => {
    await simulation.run(async () => {
      const a = await connectNode(simulation.node(1).context);
      const own = dlmOwnPid(a.connection);
      for (const node of [0, 1]) {
        const error = await failureOf(dlmPurge(a.connection, node, own));
        expect(error).to.include({ code: 'ERR_DLM_REFUSED', errno: EINVAL });
      }
      expect(await failureOf(dlmPurge(a.connection, 9, 0))).to.include({ errno: ENOBUFS });
    });
  });

  it('refuse to purge on a node that is down', async () => {
    await simulation.run(async () => {
      const node = simulation.node(1);
      const a = await connectNode(node.context);
      node.kill();
      expect(await failureOf(dlmPurge(a.connection, 0, 0))).to.include({
        code: 'ERR_DLM_DISCONNECTED',
      });
    });
  });

  it('tell the members, the dead until they are found', async () => {
    const members = (glue: StackGlue, connection: ClusterConnection): number[] =>
      glue.clusterMembers(connection).map(({ node }) => node);
    await simulation.run(async () => {
      const a = await connectNode(simulation.node(1).context);
      const b = await connectNode(simulation.node(2).context);
      await connectNode(simulation.node(3).context);
      expect(members(a.glue, a.connection)).to.deep.equal([1, 2, 3]);
      await b.glue.clusterDisconnect(b.connection);
      expect(members(a.glue, a.connection)).to.deep.equal([1, 3]);
      simulation.node(3).kill();
      await simulation.sleep(1000);
      expect(members(a.glue, a.connection)).to.deep.equal([1, 3]);
      await simulation.sleep(1001);
      expect(members(a.glue, a.connection)).to.deep.equal([1]);
    });
  });
});
