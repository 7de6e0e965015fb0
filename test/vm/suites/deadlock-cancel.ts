/** dlmDeadlockCancel, and what another node's slow answers make of it. */
import { expect } from 'chai';
import { constants } from 'node:os';

import type { NodeDriver } from '../../../lib/conformance/index.js';
import { DLM_ERRNO, DLM_LOCK } from '../../../lib/index.js';
import type { Cluster, GuestProcess } from '../../../scripts/vm/index.js';
import { keepDlmRunning, type Kernel, startAgent, useCluster } from '../../support/vm-world.js';

const { EDEADLK } = constants.errno;
const { PR, EX } = DLM_LOCK;

/** Long enough for anything that goes another way to come first. */
const SLOW = { delayMs: 1000 };

export function deadlockCancel(kernel: Kernel): void {
  describe(`a deadlock that is broken across nodes, ${kernel}`, function () {
    this.timeout(60_000);
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
    async function startBreaker(resource: string): Promise<{
      tell: (line: string) => void;
      hear: () => Promise<string>;
      end: () => Promise<void>;
    }> {
      const program: GuestProcess = cluster
        .node(1)
        .spawn(`exec node dist/test/guest/deadlock-breaker.js deadlock ${resource}`);
      const lines = program.lines;
      const hear = async (): Promise<string> => {
        const next = await lines.next();
        if (next.done === true) throw new Error(`the program ended: ${program.stderrText}`);
        return next.value;
      };
      expect(await hear()).to.equal('ready');
      return {
        tell: (line) => void program.stdin.write(`${line}\n`),
        hear,
        end: async () => {
          program.stdin.end();
          await program.exit;
        },
      };
    }

    it('ends a request with EDEADLK that is still on its way to the master', async () => {
      await holder.lock('held', 'on-its-way', EX);
      const { tell, hear, end } = await startBreaker('on-its-way');
      await cluster.shape(1, 2, SLOW);
      tell(`ask ${EX}, break`);
      expect(await hear()).to.equal(`lockAst ${-EDEADLK}`);
      await cluster.heal();
      await holder.unlock('held');
      tell(`ask ${EX}`);
      expect(await hear()).to.equal('lockAst 0');
      await end();
    });

    it('that was granted first does not make a deadlock of the next cancel', async () => {
      await holder.lock('held', 'too-late', PR);
      const { tell, hear, end } = await startBreaker('too-late');
      tell(`ask ${PR}`);
      expect(await hear()).to.equal('lockAst 0');
      tell(`convert ${EX}`);
      await holder.blockingAst('held');
      await cluster.shape(1, 2, SLOW);
      tell('break');
      await holder.unlock('held');
      expect(await hear()).to.equal('lockAst 0');
      tell(`convert ${PR}`);
      expect(await hear()).to.equal('lockAst 0');
      await cluster.heal();
      await holder.lock('again', 'too-late', PR);
      tell(`convert ${EX}`);
      await holder.blockingAst('again');
      tell('cancel');
      expect(await hear()).to.equal(`unlockAst ${-DLM_ERRNO.ECANCEL} cancel`);
      await holder.unlock('again');
      await end();
    });
  });
}
