/** dlmDeadlockCancel, and what another node's slow answers make of it. */
import { expect } from 'chai';
import { constants } from 'node:os';

import type { NodeDriver } from '../../../lib/conformance/index.js';
import { DLM_ERRNO, DLM_LOCK } from '../../../lib/glue.js';
import type { Cluster } from '../../../scripts/vm/index.js';
import {
  keepDlmRunning,
  type Kernel,
  LineProcess,
  startAgent,
  TEST_TIMEOUT_MS,
  useCluster,
} from '../../support/vm-world.js';

const { EDEADLK } = constants.errno;
const { PR, EX } = DLM_LOCK;

export function deadlockCancel(kernel: Kernel): void {
  describe(`a deadlock that is broken across nodes, ${kernel}`, function () {
    this.timeout(TEST_TIMEOUT_MS);
    const getCluster = useCluster({ nodes: 2, membership: 'host', kernel });
    let cluster: Cluster;
    let holder: NodeDriver;

    before(async () => {
      cluster = getCluster();
      await keepDlmRunning(cluster);
      holder = await startAgent(cluster, 2);
      await holder.connect('pcmk', 'deadlock');
    });
    afterEach(() => cluster.heal());

    /** The program on node 1, which answers line by line. */
    async function startBreaker(resource: string): Promise<LineProcess> {
      const program = new LineProcess(
        cluster.node(1),
        `exec node dist/test/guest/deadlock-breaker.js deadlock ${resource}`,
      );
      expect(await program.line()).to.equal('ready');
      return program;
    }

    async function end(program: LineProcess): Promise<void> {
      program.end();
      await program.exit;
    }

    /** Nothing gets from node 1 to node 2, where the locks' master is, until it is healed. */
    const holdUp = (): Promise<void> => cluster.cut(1, 2, { oneWay: true });

    /** Resolves once node 1 waits for an answer, or for none. */
    const untilWaiting = (isWaiting: boolean): Promise<unknown> => {
      // A file of debugfs has no size.
      const waiters = '"$(cat /sys/kernel/debug/dlm/deadlock_waiters)"';
      const test = `[ ${isWaiting ? '-n' : '-z'} ${waiters} ]`;
      return cluster.node(1).exec(`until ${test}; do usleep 20000; done`);
    };

    it('ends a request with EDEADLK that is still on its way to the master', async () => {
      await holder.lock('held', 'on-its-way', EX);
      const program = await startBreaker('on-its-way');
      await holdUp();
      expect(await program.ask(`ask ${EX}, break`)).to.equal('done');
      await untilWaiting(true);
      await cluster.heal();
      expect(await program.line()).to.equal(`lockAst ${-EDEADLK}`);
      await holder.unlock('held');
      expect(await program.ask(`ask ${EX}`)).to.equal('done');
      expect(await program.line()).to.equal('lockAst 0');
      await end(program);
    });

    it('that was granted first does not make a deadlock of the next cancel', async () => {
      await holder.lock('held', 'too-late', PR);
      const program = await startBreaker('too-late');
      expect(await program.ask(`ask ${PR}`)).to.equal('done');
      expect(await program.line()).to.equal('lockAst 0');
      expect(await program.ask(`convert ${EX}`)).to.equal('done');
      await holder.blockingAst('held');
      await untilWaiting(false);
      await holdUp();
      expect(await program.ask('break')).to.equal('done');
      await untilWaiting(true);
      await holder.unlock('held');
      expect(await program.line()).to.equal('lockAst 0');
      expect(await program.ask(`convert ${PR}`)).to.equal('done');
      await cluster.heal();
      expect(await program.line()).to.equal('lockAst 0');
      await holder.lock('again', 'too-late', PR);
      expect(await program.ask(`convert ${EX}`)).to.equal('done');
      await holder.blockingAst('again');
      expect(await program.ask('cancel')).to.equal('done');
      expect(await program.line()).to.equal(`unlockAst ${-DLM_ERRNO.ECANCEL} cancel`);
      await holder.unlock('again');
      await end(program);
    });
  });
}
