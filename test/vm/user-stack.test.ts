/** Runs the tests of test/guest on a node of its own, on each kernel line that Debian has. */
import { describeInGuest } from '../../scripts/vm/guest-mocha.js';
import { SUBMITTERS } from '../support/user-plugin.js';
import { KERNELS, useCluster } from '../support/vm-world.js';

for (const kernel of KERNELS) {
  describe(`on a virtual machine with ${kernel}`, () => {
    const getCluster = useCluster({ nodes: 1, membership: 'host', kernel });
    const getNode = () => getCluster().node(1);

    for (const submit of SUBMITTERS) {
      const env = { STACKGLUE_SUBMIT: submit };
      const run = (title: string, spec: string): void => {
        describeInGuest(`${title}, calls by the ${submit}`, getNode, `dist/test/guest/${spec}`, {
          env,
        });
      };
      run('stack user under stress', 'stress.spec.js');
      run('stack user', 'user-stack.spec.js');
    }
    describeInGuest('modes and flags of stack user', getNode, 'dist/test/guest/flags.spec.js');
  });
}
