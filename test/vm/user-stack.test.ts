/** Runs the tests of test/guest on a node of its own, on each kernel line that Debian has. */
import { describeInGuest } from '../../scripts/vm/guest-mocha.js';
import { KERNELS, useCluster } from '../support/vm-world.js';

for (const kernel of KERNELS) {
  describe(`on a virtual machine with ${kernel}`, () => {
    const getCluster = useCluster({ nodes: 1, membership: 'host', kernel });
    const getNode = () => getCluster().node(1);

    describeInGuest('stack user under stress', getNode, 'dist/test/guest/stress.spec.js');
    describeInGuest('stack user', getNode, 'dist/test/guest/user-stack.spec.js');
    describeInGuest('modes and flags of stack user', getNode, 'dist/test/guest/flags.spec.js');
  });
}
