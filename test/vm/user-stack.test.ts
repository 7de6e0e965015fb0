/** Runs the tests of test/guest on a node of its own. */
import { describeInGuest } from '../../scripts/vm/guest-mocha.js';
import { useCluster } from '../support/vm-world.js';

describe('on a virtual machine', () => {
  const getCluster = useCluster({ nodes: 1, membership: 'host' });
  const getNode = () => getCluster().node(1);

  describeInGuest('stack user under stress', getNode, 'dist/test/guest/stress.spec.js');
  describeInGuest('stack user', getNode, 'dist/test/guest/user-stack.spec.js');
});
