/**
 * Requests that end without a grant, each kind by the thousand, from a node that is not the master:
 * what some kernels do not survive (native/KERNELS.md). STACKGLUE_TEST_REQUESTS says how many.
 */
import { expect } from 'chai';

import {
  complaintsOn,
  keepDlmRunning,
  LineProcess,
  useCluster,
  type Kernel,
} from '../../support/vm-world.js';

const COUNT = Number(process.env.STACKGLUE_TEST_REQUESTS ?? 500);

const GROUP = 'ending';

/** Those of test/guest/ending-requests.ts. */
const KINDS = [
  'new locks',
  'new shared locks',
  'conversions',
  'adoptions',
  'cancels',
  'unlocks by force',
];

export function endingRequests(kernel: Kernel): void {
  describe(`requests that end without a grant, ${kernel}`, function () {
    const getCluster = useCluster({ nodes: 2, membership: 'host', kernel });
    const start = (node: number, args: string): LineProcess =>
      new LineProcess(
        getCluster().node(node),
        `exec node dist/test/guest/ending-requests.js ${GROUP} ${args}`,
      );
    let held: number;

    /** The locks that the master knows on the names. */
    const locks = async (): Promise<number> => {
      const list = `/sys/kernel/debug/dlm/${GROUP}_locks`;
      const { stdout } = await getCluster().node(2).exec(`grep -c held- ${list} || true`);
      return Number(stdout);
    };

    before(async () => {
      await keepDlmRunning(getCluster());
      expect(await start(2, 'hold').line()).to.match(/^holding \d+$/);
      held = await locks();
      expect(held).to.be.above(0);
    });

    for (const kind of KINDS) {
      it(`${kind}: ${COUNT} leave neither a lock nor a complaint`, async () => {
        const program = start(1, `'${kind}' ${COUNT}`);
        // It says how far it is, because by hand they may be many.
        let said = await program.line();
        while (said.startsWith('made ')) said = await program.line();
        expect(said).to.equal(`ended ${COUNT}`);
        expect(await locks()).to.equal(held);
        program.end();
        expect(await program.exit).to.equal(0);
        for (const node of getCluster().nodes) expect(await complaintsOn(node)).to.deep.equal([]);
      });
    }
  });
}
