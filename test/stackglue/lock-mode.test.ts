/** The mode that a program is told it holds: exact after whatever has happened to the lock. */
import { expect } from 'chai';
import { constants } from 'node:os';

import {
  DLM_LKF,
  DLM_LOCK,
  DLM_SBF,
  DlmLksb,
  killEmulatedUserNode,
  killO2cbNode,
  type ClusterConnection,
  type LockMode,
} from '../../lib/glue.js';
import { disconnectTestNodes, dlmFailure, freshCluster, TestNode } from './test-node.js';

const { NL, CW, PR, EX } = DLM_LOCK;
const { ALTCW, ALTPR, CANCEL, CONVDEADLK, CONVERT, FORCEUNLOCK, NOQUEUE } = DLM_LKF;
const { EAGAIN } = constants.errno;

for (const stackName of ['o2cb', 'pcmk'] as const) {
  describe(`the mode held, on ${stackName}`, () => {
    let cluster: string;
    let node: TestNode;
    let connection: ClusterConnection;

    const held = (lksb: DlmLksb): LockMode | undefined => node.glue.dlmLockMode(lksb);
    const ask = (lksb: DlmLksb, mode: LockMode, flags = 0, name = 'l'): void => {
      expect(node.glue.dlmLock(connection, mode, lksb, flags, name)).to.equal(0);
    };
    const convert = async (lksb: DlmLksb, mode: LockMode, flags = 0): Promise<void> => {
      ask(lksb, mode, CONVERT | flags, '');
      await node.next('lockAst', lksb);
    };

    beforeEach(async () => {
      cluster = freshCluster();
      node = new TestNode(1, cluster, stackName);
      connection = await node.connect();
    });
    afterEach(disconnectTestNodes);

    it('is none of an lksb that was never locked: that is misuse', async () => {
      await dlmFailure('ERR_DLM_LKSB_UNUSED', () => node.glue.dlmLockMode(new DlmLksb()));
    });

    it('changes with the completion, inside the handler, and not before', async () => {
      const lksb = new DlmLksb();
      const inside: (LockMode | undefined)[] = [];
      node.onCall = () => void inside.push(held(lksb));
      for (let round = 0; round < 2; round += 1) {
        ask(lksb, PR);
        expect(held(lksb)).to.equal(undefined);
        await node.next('lockAst', lksb);
        expect(held(lksb)).to.equal(PR);
        for (const [from, to] of [
          [PR, EX],
          [EX, EX],
          [EX, NL],
        ] as const) {
          ask(lksb, to, CONVERT, '');
          expect(held(lksb)).to.equal(from);
          await node.next('lockAst', lksb);
          expect(held(lksb)).to.equal(to);
        }
        expect(node.glue.dlmUnlock(connection, lksb, 0)).to.equal(0);
        expect(held(lksb)).to.equal(NL);
        await node.next('unlockAst', lksb);
        expect(held(lksb)).to.equal(undefined);
      }
      const once = [PR, EX, EX, NL, undefined];
      expect(inside).to.deep.equal([...once, ...once]);
    });

    it('is none when a new lock is refused, cancelled, or waits', async () => {
      const [holder, lksb] = [await node.lock(connection, 'l', PR), new DlmLksb()];
      if (node.glue.dlmLock(connection, EX, lksb, NOQUEUE, 'l') === 0) {
        await node.next('lockAst', lksb);
      }
      expect(node.glue.dlmLockStatus(lksb)).to.equal(-EAGAIN);
      expect(held(lksb)).to.equal(undefined);
      ask(lksb, EX);
      expect(held(lksb)).to.equal(undefined);
      expect(node.glue.dlmUnlock(connection, lksb, CANCEL)).to.equal(0);
      await node.next('unlockAst', lksb);
      expect(held(lksb)).to.equal(undefined);
      await node.unlock(connection, holder);
    });

    it('is the old one after a conversion that is cancelled or refused', async () => {
      const [other, lksb] = [
        await node.lock(connection, 'l', PR),
        await node.lock(connection, 'l', PR),
      ];
      ask(lksb, EX, CONVERT, '');
      expect(held(lksb)).to.equal(PR);
      expect(node.glue.dlmUnlock(connection, lksb, CANCEL)).to.equal(0);
      await node.next('unlockAst', lksb);
      expect(held(lksb)).to.equal(PR);
      if (node.glue.dlmLock(connection, EX, lksb, CONVERT | NOQUEUE, '') === 0) {
        await node.next('lockAst', lksb);
      }
      expect(held(lksb)).to.equal(PR);
      await node.unlock(connection, other);
      await convert(lksb, EX);
      expect(held(lksb)).to.equal(EX);
      await node.unlock(connection, lksb);
    });

    it('is none of all locks when they are lost, and after the disconnect', async () => {
      const idle = await node.lock(connection, 'idle', EX);
      const other = new TestNode(2, cluster, stackName);
      const holder = await other.lock(await other.connect(), 'l', PR);
      const converting = await node.lock(connection, 'l', PR);
      ask(converting, EX, CONVERT, '');
      await other.next('blockingAst', holder);
      if (stackName === 'o2cb') killO2cbNode(1, cluster);
      else killEmulatedUserNode(2, cluster);
      await node.next('lockAst', converting);
      expect(held(converting)).to.equal(undefined);
      // The loss itself is told last.
      for (let turn = 0; held(idle) !== undefined && turn < 1000; turn += 1) {
        await new Promise(setImmediate);
      }
      expect(held(idle)).to.equal(undefined);
      const kept = new TestNode(3, cluster, stackName);
      const group = await kept.connect();
      const lksb = await kept.lock(group, 'n', PR);
      await kept.glue.clusterDisconnect(group);
      expect(kept.glue.dlmLockMode(lksb)).to.equal(undefined);
    });

    if (stackName === 'pcmk') {
      it('is the one that was granted in place of another', async () => {
        const holder = await node.lock(connection, 'l', PR);
        const lksb = new DlmLksb();
        for (const flags of [ALTPR, ALTPR | NOQUEUE]) {
          ask(lksb, EX, flags);
          await node.next('lockAst', lksb);
          expect(node.glue.dlmLockFlags(lksb)).to.equal(DLM_SBF.ALTMODE);
          expect(held(lksb)).to.equal(PR);
          await node.unlock(connection, lksb);
        }
        await node.unlock(connection, holder);
        const writer = await node.lock(connection, 'l', CW);
        for (const flags of [ALTCW, ALTCW | NOQUEUE]) {
          ask(lksb, EX, flags);
          await node.next('lockAst', lksb);
          expect(held(lksb)).to.equal(CW);
          await node.unlock(connection, lksb);
        }
        await node.unlock(connection, writer);
        for (const mode of [NL, PR, EX]) {
          ask(lksb, mode, NOQUEUE);
          await node.next('lockAst', lksb);
          expect(held(lksb)).to.equal(mode);
          await node.unlock(connection, lksb);
        }
      });

      it('is NL when a conversion was demoted and then cancelled', async () => {
        const [first, second] = [
          await node.lock(connection, 'l', PR),
          await node.lock(connection, 'l', PR),
        ];
        ask(first, EX, CONVERT, '');
        ask(second, EX, CONVERT | CONVDEADLK, '');
        // Which of the two is demoted for the other is the lock manager's choice.
        await node.next('lockAst', first);
        expect(held(first)).to.equal(EX);
        expect(node.glue.dlmUnlock(connection, second, CANCEL)).to.equal(0);
        await node.next('unlockAst', second);
        // fs/dlm does not tell whether it was demoted, so there is nothing to count on.
        expect(held(second)).to.equal(NL);
        await convert(second, NL);
        expect(held(second)).to.equal(NL);
        await node.unlock(connection, second);
        await node.unlock(connection, first);
      });

      it('is none after an unlock by force of what waits or converts', async () => {
        const [holder, lksb] = [await node.lock(connection, 'l', PR), new DlmLksb()];
        ask(lksb, EX);
        expect(node.glue.dlmUnlock(connection, lksb, FORCEUNLOCK)).to.equal(0);
        await node.next('unlockAst', lksb);
        expect(held(lksb)).to.equal(undefined);
        await node.relock(connection, lksb, 'l', PR);
        ask(lksb, EX, CONVERT, '');
        expect(node.glue.dlmUnlock(connection, lksb, FORCEUNLOCK)).to.equal(0);
        await node.next('unlockAst', lksb);
        expect(held(lksb)).to.equal(undefined);
        await node.unlock(connection, holder);
      });
    }
  });
}
