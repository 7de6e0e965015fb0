/** The conformance suite on the real thing: libdlm and the kernel's DLM on three nodes. */
import { stackConformance } from '../../lib/conformance/index.js';
import type { ClusterOptions } from '../../scripts/vm/index.js';
import { createVmWorld, KERNELS, useCluster, USER_FEATURES } from '../support/vm-world.js';

const [kernel, newerKernel] = KERNELS;
const BEDS: readonly (ClusterOptions & { kernel: string })[] = [
  { nodes: 3, membership: 'host', kernel },
  { nodes: 3, membership: 'host', kernel: newerKernel },
  { nodes: 3, membership: 'corosync', kernel },
];

for (const options of BEDS) {
  describe(`three virtual machines with ${options.kernel}, membership by ${options.membership}`, function () {
    this.timeout(60_000);
    const getCluster = useCluster(options);
    stackConformance({
      title: 'on stack user',
      stackName: 'pcmk',
      createNodes: () => createVmWorld(getCluster()),
      features: USER_FEATURES,
    });
  });
}
