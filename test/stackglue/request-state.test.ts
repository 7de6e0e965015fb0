/** What a program is told of its lock while a request is under way: the status. */
import { expect } from 'chai';
import { constants } from 'node:os';

import {
  DLM_ERRNO,
  DLM_LKF,
  DLM_LOCK,
  DlmLksb,
  dlmStatusName,
  killEmulatedUserNode,
  killO2cbNode,
  type ClusterConnection,
} from '../../lib/glue.js';
import { disconnectTestNodes, freshCluster, TestNode } from './test-node.js';

const { NL, PR, EX } = DLM_LOCK;
const { CANCEL, CONVERT, FORCEUNLOCK, NOQUEUE } = DLM_LKF;
const { EAGAIN, EINVAL, ENOTCONN } = constants.errno;
const EINPROG = -DLM_ERRNO.EINPROG;

it('EINPROG has the number that libdlm gives it', () => {
  expect(DLM_ERRNO.EINPROG).to.equal(0x10003);
  expect(dlmStatusName(EINPROG)).to.equal('EINPROG');
});

for (const stackName of ['o2cb', 'pcmk'] as const) {
  describe(`the status of a request under way, on ${stackName}`, () => {
    let cluster: string;
    let node: TestNode;
    let connection: ClusterConnection;
    /** What the status was inside each handler. */
    let seen: string[];

    const status = (lksb: DlmLksb): number => node.glue.dlmLockStatus(lksb);
    const ask = (lksb: DlmLksb, mode: 0 | 3 | 5, flags = 0, name = 'l'): number =>
      node.glue.dlmLock(connection, mode, lksb, flags, name);
    const kill = (): void =>
      stackName === 'o2cb' ? killO2cbNode(1, cluster) : killEmulatedUserNode(2, cluster);

    beforeEach(async () => {
      cluster = freshCluster();
      node = new TestNode(1, cluster, stackName);
      connection = await node.connect();
      seen = [];
      node.onCall = (call) => {
        if (call.at instanceof DlmLksb) seen.push(`${call.kind} ${dlmStatusName(status(call.at))}`);
      };
    });
    afterEach(disconnectTestNodes);

    it('is EINPROG until the completion, for locks, conversions and unlocks', async () => {
      const lksb = new DlmLksb();
      for (let round = 0; round < 2; round += 1) {
        expect(ask(lksb, EX)).to.equal(0);
        expect(status(lksb)).to.equal(EINPROG);
        await node.next('lockAst', lksb);
        expect(status(lksb)).to.equal(0);
        expect(ask(lksb, NL, CONVERT, '')).to.equal(0);
        expect(status(lksb)).to.equal(EINPROG);
        await node.next('lockAst', lksb);
        expect(status(lksb)).to.equal(0);
        expect(node.glue.dlmUnlock(connection, lksb, 0)).to.equal(0);
        expect(status(lksb)).to.equal(EINPROG);
        await node.next('unlockAst', lksb);
        const after = stackName === 'o2cb' ? 0 : -DLM_ERRNO.EUNLOCK;
        expect(status(lksb)).to.equal(after);
      }
      const once = [
        'lockAst OK',
        'lockAst OK',
        `unlockAst ${stackName === 'o2cb' ? 'OK' : 'EUNLOCK'}`,
      ];
      expect(seen).to.deep.equal([...once, ...once]);
    });

    it('is EINPROG for as long as it waits, and what blocks it is told with its own status', async () => {
      const [holder, waiter] = [await node.lock(connection, 'l'), new DlmLksb()];
      expect(ask(waiter, PR)).to.equal(0);
      await node.next('blockingAst', holder);
      expect([status(holder), status(waiter)]).to.deep.equal([0, EINPROG]);
      await node.unlock(connection, holder);
      await node.next('lockAst', waiter);
      expect(status(waiter)).to.equal(0);
      await node.unlock(connection, waiter);
    });

    it('is what it was when the request is refused in the call', async () => {
      const lksb = await node.lock(connection, 'l', PR);
      expect(ask(lksb, EX, CONVERT, '')).to.equal(0);
      await node.next('lockAst', lksb);
      expect(ask(lksb, PR, CONVERT | DLM_LKF.QUECVT | DLM_LKF.EXPEDITE, '')).to.equal(
        stackName === 'o2cb' ? 0 : -EINVAL,
      );
      if (stackName === 'o2cb') await node.next('lockAst', lksb);
      expect(status(lksb)).to.equal(0);
      await node.unlock(connection, lksb);
      expect(ask(lksb, EX, 0, 'n'.repeat(65))).to.equal(-EINVAL);
      expect(status(lksb)).not.to.equal(EINPROG);
      expect(node.glue.dlmUnlock(connection, lksb, 0)).to.be.below(0);
      expect(status(lksb)).not.to.equal(EINPROG);
    });

    it('is the result when NOQUEUE finds the resource busy', async () => {
      const [holder, lksb] = [await node.lock(connection, 'l'), new DlmLksb()];
      if (ask(lksb, EX, NOQUEUE) === 0) {
        expect(status(lksb)).to.equal(EINPROG);
        await node.next('lockAst', lksb);
      }
      expect(status(lksb)).to.equal(-EAGAIN);
      await node.unlock(connection, holder);
    });

    it('ends with a cancel, of a lock and of a conversion', async () => {
      const [holder, lksb] = [await node.lock(connection, 'l', PR), new DlmLksb()];
      expect(ask(lksb, EX)).to.equal(0);
      await node.next('blockingAst', holder);
      expect(node.glue.dlmUnlock(connection, lksb, CANCEL)).to.equal(0);
      expect(status(lksb)).to.equal(EINPROG);
      await node.next('unlockAst', lksb);
      expect(status(lksb)).not.to.equal(EINPROG);
      await node.relock(connection, lksb, 'l', PR);
      // fs/dlm tells the holder only once.
      expect(ask(lksb, EX, CONVERT, '')).to.equal(0);
      expect(node.glue.dlmUnlock(connection, lksb, CANCEL)).to.equal(0);
      await node.next('unlockAst', lksb);
      expect(status(lksb)).to.equal(stackName === 'o2cb' ? 0 : -DLM_ERRNO.ECANCEL);
      await node.unlock(connection, lksb);
      await node.unlock(connection, holder);
    });

    it('is not EINPROG for a cancel when nothing is under way', async () => {
      const lksb = await node.lock(connection, 'l');
      node.glue.dlmUnlock(connection, lksb, CANCEL);
      expect(status(lksb)).to.equal(0);
      await node.unlock(connection, lksb);
      await node.relock(connection, lksb, 'l');
      await node.unlock(connection, lksb);
    });

    it('ends with the loss of the lock, and nothing is under way afterwards', async () => {
      const other = new TestNode(2, cluster, stackName);
      const holder = await other.lock(await other.connect(), 'l');
      const [waiting, converting, leaving] = [
        new DlmLksb(),
        await node.lock(connection, 'm', NL),
        await node.lock(connection, 'n', NL),
      ];
      expect(ask(waiting, EX)).to.equal(0);
      await other.next('blockingAst', holder);
      kill();
      expect(ask(converting, EX, CONVERT, '')).to.be.below(0);
      expect(node.glue.dlmUnlock(connection, leaving, 0)).to.be.below(0);
      await node.next('lockAst', waiting);
      expect(status(waiting)).to.equal(-ENOTCONN);
      for (const lksb of [converting, leaving]) expect(status(lksb)).not.to.equal(EINPROG);
    });

    it('is EINPROG at once of a request that is made inside a handler', async () => {
      const lksb = new DlmLksb();
      const inside: number[] = [];
      node.onCall = ({ kind, at }) => {
        if (kind !== 'lockAst' || at !== lksb || inside.length > 0) return;
        inside.push(status(lksb));
        ask(lksb, NL, CONVERT, '');
        inside.push(status(lksb));
      };
      expect(ask(lksb, EX)).to.equal(0);
      await node.next('lockAst', lksb);
      await node.next('lockAst', lksb);
      expect(inside).to.deep.equal([0, EINPROG]);
      expect(status(lksb)).to.equal(0);
      await node.unlock(connection, lksb);
    });

    if (stackName === 'pcmk') {
      it('is the result inside the handler, although more is under way', async () => {
        const [holder, lksb] = [await node.lock(connection, 'l'), new DlmLksb()];
        expect(ask(lksb, EX)).to.equal(0);
        await node.next('blockingAst', holder);
        seen.length = 0;
        expect(node.glue.dlmUnlock(connection, holder, 0)).to.equal(0);
        // It has been granted meanwhile, and that has not been told.
        expect(node.glue.dlmUnlock(connection, lksb, FORCEUNLOCK)).to.equal(0);
        await node.next('unlockAst', lksb);
        expect(seen.slice(-2)).to.deep.equal(['lockAst OK', 'unlockAst EUNLOCK']);
      });

      it('ends once for a lock that is unlocked by force while it waits', async () => {
        const [holder, lksb] = [await node.lock(connection, 'l'), new DlmLksb()];
        expect(ask(lksb, EX)).to.equal(0);
        await node.next('blockingAst', holder);
        expect(node.glue.dlmUnlock(connection, lksb, FORCEUNLOCK)).to.equal(0);
        expect(status(lksb)).to.equal(EINPROG);
        await node.next('unlockAst', lksb);
        expect(status(lksb)).to.equal(-DLM_ERRNO.EUNLOCK);
        await node.unlock(connection, holder);
        await node.relock(connection, lksb, 'l');
        await node.unlock(connection, lksb);
      });
    }
  });
}
