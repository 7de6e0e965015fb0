/** A lock whose grant is held back, because a death is told before it, is not the program's yet. */
import { expect } from 'chai';
import { setImmediate as nextTurn } from 'node:timers/promises';

import {
  DLM_LKF,
  DLM_LOCK,
  DlmLksb,
  killO2cbNode,
  StackGlue,
  createO2cbPlugin,
} from '../../lib/glue.js';
import { freshCluster } from './test-node.js';

const { EX, PR } = DLM_LOCK;

for (const op of ['unlock', 'convert'] as const) {
  it(`o2cb refuses to ${op} a lock whose grant is held back`, async () => {
    const cluster = freshCluster();
    const told: string[] = [];
    const [first, next, last] = [new DlmLksb(), new DlmLksb(), new DlmLksb()];
    const connect = async (node: number, recoveryHandler: () => void) => {
      const glue = new StackGlue();
      glue.register(createO2cbPlugin({ node, cluster }));
      glue.clusterStack = 'o2cb';
      const connection = await glue.clusterConnect<() => void>({
        stackName: 'o2cb',
        group: 'untold',
        protocol: {
          maxVersion: { major: 1, minor: 0 },
          lockAst: (done) => done(),
          blockingAst: () => undefined,
          unlockAst: () => undefined,
        },
        recoveryHandler,
      });
      return { glue, connection };
    };
    const { glue, connection } = await connect(1, () => {
      told.push('death');
      const status =
        op === 'unlock'
          ? glue.dlmUnlock(connection, last, 0, () => undefined)
          : glue.dlmLock(connection, PR, last, DLM_LKF.CONVERT, '', () => undefined);
      expect(status, op).to.be.below(0);
    });
    const other = await connect(2, () => undefined);
    // Granted when node 2 is dead.
    const holder = new DlmLksb();
    await new Promise<void>((done) => {
      expect(other.glue.dlmLock(other.connection, EX, holder, 0, 'last', done)).to.equal(0);
    });
    expect(glue.dlmLock(connection, EX, last, 0, 'last', () => told.push('last'))).to.equal(0);
    await nextTurn();
    glue.dlmLock(connection, EX, first, 0, 'first', () => {
      told.push('first');
      killO2cbNode(2, cluster);
      // The batch that this brings has the grant of the other in it.
      glue.dlmLock(connection, EX, next, 0, 'next', () => told.push('next'));
    });
    while (told.length < 4) await nextTurn();
    expect(told.slice(0, 2)).to.deep.equal(['first', 'death']);
    expect(told.slice(2)).to.have.members(['last', 'next']);
    await glue.clusterDisconnect(connection);
    await other.glue.clusterDisconnect(other.connection);
  });
}
