/** Fencing tokens: what others want while a grant waits for its token. */
import { expect } from 'chai';

import { openLockspace, type Lock, type Lockspace } from '../../lib/index.js';
import { disconnectTestNodes, freshCluster, TestNode } from '../stackglue/test-node.js';
import { LOCKSPACE } from './worlds.js';

const WITH = { tokens: true } as const;
const NAME = 'inode/42';

describe('what others want while a grant waits for its token', () => {
  afterEach(disconnectTestNodes);
  for (const stack of ['o2cb', 'user'] as const) {
    async function held(
      work: (one: Lockspace, two: Lockspace, letGo: () => Promise<void>) => Promise<void>,
    ): Promise<void> {
      const cluster = freshCluster();
      const [one, two] = await Promise.all(
        [1, 2].map((node) =>
          openLockspace(LOCKSPACE, {
            stack: stack === 'o2cb' ? 'o2cb' : 'emulated',
            node,
            cluster,
            ...WITH,
          }),
        ),
      );
      const stopped = new TestNode(8, cluster, stack === 'o2cb' ? 'o2cb' : 'pcmk');
      const connection = await stopped.connect(LOCKSPACE);
      const lksb = await stopped.lock(connection, '$stackglue.sequencer');
      try {
        await work(one!, two!, () => stopped.unlock(connection, lksb));
      } finally {
        await one!.close();
        await two!.close();
      }
    }
    const granted = async (two: Lockspace): Promise<void> => {
      for (let isAlone = false; !isAlone;) {
        const other = await two.tryLock(NAME, 'PR');
        isAlone = other === null;
        await other?.release();
      }
    };

    it(`the event "blocked" comes for a new lock: ${stack}`, () =>
      held(async (one, two, letGo) => {
        const told: string[] = [];
        one.on('blocked', (lock, mode) => {
          told.push(mode);
          void lock.release();
        });
        const lock = one.lock(NAME, 'EX');
        await granted(two);
        const other = two.lock(NAME, 'PR', { timeoutMs: 100_000 });
        // Till the blocking AST has come.
        for (let i = 0; i < 5; i += 1) await new Promise((resolve) => setImmediate(resolve));
        await letGo();
        await lock;
        await (await other).release();
        expect(told).to.deep.equal(['PR']);
      }));

    it(`onBlocked of a conversion comes when it can be answered: ${stack}`, () =>
      held(async (one, two, letGo) => {
        const lock: Lock = await one.lock(NAME, 'PR');
        const errors: unknown[] = [];
        lock.onBlocked = () => {
          lock.convert('NL').catch((error: unknown) => errors.push(error));
        };
        const converted = lock.convert('EX', { timeoutMs: 1_000_000 });
        await granted(two);
        const other = two.lock(NAME, 'PR', { timeoutMs: 100_000 });
        for (let i = 0; i < 5; i += 1) await new Promise((resolve) => setImmediate(resolve));
        await letGo();
        await converted;
        await (await other).release();
        expect(errors).to.deep.equal([]);
      }));
  }
});
