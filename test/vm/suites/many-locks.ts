/** Ends of processes that have many locks on stack `user`. */
import { expect } from 'chai';

import {
  complaintsOn,
  keepDlmRunning,
  LineProcess,
  TEST_TIMEOUT_MS,
  useCluster,
} from '../../support/vm-world.js';

/** Locks of one process. */
const MANY = 4_000;

export function killedWithManyLocks(): void {
  describe(`a process with ${MANY} locks that is killed`, function () {
    this.timeout(TEST_TIMEOUT_MS);
    const getCluster = useCluster({ nodes: 2, membership: 'host' });
    const start = async (node: number): Promise<LineProcess> => {
      const program = 'exec node dist/test/guest/bulk-locks.js bulk';
      const child = new LineProcess(getCluster().node(node), program);
      expect(await child.line()).to.equal('connected');
      return child;
    };
    const timed = async (what: string, work: () => Promise<unknown>): Promise<void> => {
      const began = performance.now();
      await work();
      console.log(`      ${what}: ${((performance.now() - began) / 1000).toFixed(1)} s`);
    };
    let holder: LineProcess;
    let other: LineProcess;

    before(async () => {
      await keepDlmRunning(getCluster());
      holder = await start(1);
      other = await start(2);
    });

    it('gives them all to others', async () => {
      await timed('taking them', async () => {
        expect(await holder.ask(`lock ${MANY}`)).to.equal(`granted ${MANY}`);
      });
      await timed('waiting for them on another node', async () => {
        other.send(`lock ${MANY}`);
        expect(await holder.ask('blocking')).to.equal(`blocking ${MANY}`);
      });
      await timed('from the kill of their holder until the last is granted', async () => {
        holder.kill('SIGKILL');
        expect(await other.line()).to.equal(`granted ${MANY}`);
        expect(await holder.exit).to.equal(128 + 9);
      });
    });

    it('stands in nobody’s way when it was only waiting for them', async () => {
      const waiting = await start(1);
      const next = await start(2);
      await timed('waiting for them', async () => {
        waiting.send(`lock ${MANY}`);
        expect(await other.ask('blocking')).to.equal(`blocking ${MANY}`);
      });
      await timed('from the kill of who waits until it is gone', async () => {
        waiting.kill('SIGKILL');
        expect(await waiting.exit).to.equal(128 + 9);
      });
      next.send(`lock ${MANY}`);
      await timed('from the kill of their holder until the next has all', async () => {
        other.kill('SIGKILL');
        expect(await next.line()).to.equal(`granted ${MANY}`);
      });
      next.kill('SIGKILL');
      await next.exit;
      for (const node of getCluster().nodes) expect(await complaintsOn(node)).to.deep.equal([]);
    });
  });
}
