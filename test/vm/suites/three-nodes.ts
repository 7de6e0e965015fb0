/** The conformance suite on the real thing: libdlm and the kernel's DLM on three nodes. */
import { stackConformance } from '../../../lib/conformance/index.js';
import { createVmWorld, TEST_TIMEOUT_MS, useCluster, type Kernel } from '../../support/vm-world.js';
import { USER_FEATURES } from '../../support/world.js';

export function threeNodes(kernel: Kernel, membership: 'host' | 'corosync'): void {
  describe(`three virtual machines with ${kernel}, membership by ${membership}`, function () {
    this.timeout(TEST_TIMEOUT_MS);
    const getCluster = useCluster({ nodes: 3, membership, kernel });
    stackConformance({
      title: 'on stack user',
      stackName: 'pcmk',
      createNodes: () => createVmWorld(getCluster()),
      features: USER_FEATURES,
    });
  });
}
