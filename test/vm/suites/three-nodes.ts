/** The conformance suite on the real thing: libdlm and the kernel's DLM on three nodes. */
import { stackConformance } from '../../../lib/conformance/index.js';
import { createUserPlugin } from '../../../lib/glue.js';
import { createVmWorld, TEST_TIMEOUT_MS, useCluster, type Kernel } from '../../support/vm-world.js';

/** `userland`: the suite of Debian that the daemons and libdlm are of, if not the host's. */
export function threeNodes(
  kernel: Kernel,
  membership: 'host' | 'corosync',
  userland?: string,
): void {
  const daemons = userland === undefined ? membership : `${membership} of ${userland}`;
  describe(`three virtual machines with ${kernel}, membership by ${daemons}`, function () {
    this.timeout(TEST_TIMEOUT_MS);
    const getCluster = useCluster({ nodes: 3, membership, kernel, userland });
    stackConformance({
      title: 'on stack user',
      stackName: 'pcmk',
      createNodes: () => createVmWorld(getCluster()),
      plugin: createUserPlugin(),
      canKill: true,
    });
  });
}
