/** Programs of promises on the emulations: what they ask for is told in the same turn of the event loop. */
import { expect } from 'chai';

import {
  createEmulatedUserPlugin,
  createO2cbPlugin,
  DLM_LOCK,
  DlmLksb,
  StackGlue,
  type ClusterConnection,
} from '../../lib/glue.js';

/** More events than one turn tells. */
const MANY = 2000;

type Done = () => void;

async function connect(stack: 'o2cb' | 'pcmk'): Promise<[StackGlue, ClusterConnection<Done>]> {
  const glue = new StackGlue();
  const cluster = `microtasks-${Math.random()}`;
  glue.register(
    stack === 'o2cb'
      ? createO2cbPlugin({ cluster })
      : createEmulatedUserPlugin({ node: 1, cluster }),
  );
  glue.clusterStack = stack;
  const connection = await glue.clusterConnect<Done>({
    stackName: stack,
    group: 'microtasks',
    protocol: {
      maxVersion: { major: 1, minor: 0 },
      lockAst: (done) => done(),
      blockingAst: () => undefined,
      unlockAst: (done) => done(),
    },
    recoveryHandler: () => undefined,
  });
  return [glue, connection];
}

for (const stack of ['o2cb', 'pcmk'] as const) {
  describe(`promises on the emulation of ${stack}`, () => {
    it('go on without a turn of the loop for each, and leave the loop its turns', async () => {
      const [glue, connection] = await connect(stack);
      const lksb = new DlmLksb();
      const lockAndUnlock = async (): Promise<void> => {
        await new Promise<void>((done) => {
          expect(glue.dlmLock(connection, DLM_LOCK.EX, lksb, 0, 'name', done)).to.equal(0);
        });
        await new Promise<void>((done) => {
          expect(glue.dlmUnlock(connection, lksb, 0, done)).to.equal(0);
        });
      };
      // From here on in a task of the stack's.
      await lockAndUnlock();
      let turns = 0;
      const turn = setImmediate(function again() {
        turns += 1;
        next = setImmediate(again);
      });
      let next = turn;
      for (let i = 0; i < 20; i += 1) await lockAndUnlock();
      expect(turns, 'turns of the loop meanwhile').to.equal(0);
      for (let i = 0; i < MANY; i += 1) await lockAndUnlock();
      expect(turns, 'turns of the loop meanwhile').to.be.above(0);
      clearImmediate(next);
      await glue.clusterDisconnect(connection);
    });

    it('hear nothing any more of a connection that a microtask has closed', async () => {
      const [glue, connection] = await connect(stack);
      const [first, second] = [new DlmLksb(), new DlmLksb()];
      await new Promise<void>((done) => {
        glue.dlmLock(connection, DLM_LOCK.EX, first, 0, 'name', done);
      });
      // In a microtask of the grant's.
      let told = 0;
      glue.dlmLock(connection, DLM_LOCK.EX, second, 0, 'other', () => (told += 1));
      await glue.clusterDisconnect(connection);
      expect(told).to.equal(0);
    });
  });
}
