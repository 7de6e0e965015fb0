/** Grants that were on their way from a master that died: they never were. */
import { expect } from 'chai';

import { DLM_LKF, DLM_LOCK, dlmLvb, DlmLksb } from '../../lib/glue.js';
import { Simulation } from '../../lib/simulator/index.js';
import { connectNode } from './lock-program.js';

const { CONVERT, EXPEDITE, VALBLK } = DLM_LKF;
const { EX, NL, PR } = DLM_LOCK;

describe('a grant that was lost with its master, profile fsdlm', () => {
  it('takes the block that it had with it: who is granted anew sees what all others see', async () => {
    const simulation = new Simulation({ profile: 'fsdlm', delayUs: [100, 100], detectMs: 1000 });
    const member = async (number: number) => {
      const { glue, connection } = await connectNode(simulation.node(number).context);
      const lksb = new DlmLksb();
      // A conversion keeps the lock's own argument.
      let told: (status: number) => void;
      const completed = (): void => told(glue.dlmLockStatus(lksb));
      const lock = (mode: typeof EX | typeof PR, flags: number) =>
        new Promise<number>((resolve) => {
          told = resolve;
          const status = glue.dlmLock(connection, mode, lksb, VALBLK | flags, 'block', completed);
          if (status !== 0) resolve(status);
        });
      return { lksb, lock };
    };
    await simulation.run(async () => {
      const [master, second, third] = [await member(1), await member(2), await member(3)];
      expect(await master.lock(EX, 0)).to.equal(0);
      const granted = second.lock(PR, 0);
      await simulation.sleep(10);
      simulation.node(1).partition();
      dlmLvb(master.lksb)[0] = 7;
      // The block is written, and node 2 granted, where nobody hears of it any more.
      expect(await master.lock(PR, CONVERT)).to.equal(0);
      await simulation.sleep(1500);
      expect(simulation.node(1).state).to.equal('down');
      expect(await granted).to.equal(0);
      expect(await third.lock(PR, 0)).to.equal(0);
      expect(dlmLvb(third.lksb)[0], 'what nobody but the dead one knew').to.equal(0);
      expect(dlmLvb(second.lksb)[0]).to.equal(0);
    });
    await simulation.close();
  });

  it('is made again out of turn, where it was out of turn', async () => {
    const simulation = new Simulation({ profile: 'fsdlm', delayUs: [100, 100], detectMs: 1000 });
    const member = async (number: number) => {
      const { glue, connection } = await connectNode(simulation.node(number).context);
      return (mode: typeof EX | typeof NL, flags: number) =>
        new Promise<number>((resolve) => {
          const lksb = new DlmLksb();
          const completed = (): void => resolve(glue.dlmLockStatus(lksb));
          const status = glue.dlmLock(connection, mode, lksb, flags, 'expedited', completed);
          if (status !== 0) resolve(status);
        });
    };
    await simulation.run(async () => {
      const [master, second, third] = [await member(1), await member(2), await member(3)];
      expect(await master(NL, 0)).to.equal(0);
      expect(await second(EX, 0)).to.equal(0);
      void third(EX, 0);
      await simulation.sleep(10);
      // It is granted at node 1, which is cut off before it can say so.
      const granted = third(NL, EXPEDITE);
      simulation.setTimeout(() => simulation.node(1).partition(), 0.15);
      expect(await granted).to.equal(0);
      expect(simulation.node(1).state).to.equal('down');
    });
    await simulation.close();
  });
});
