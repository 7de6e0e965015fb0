/** Runs the tests of test/guest on a node of its own. */
import { describeInGuest } from '../../../scripts/vm/guest-mocha.js';
import type { Submitter } from '../../support/user-plugin.js';
import { keepDlmRunning, useCluster, type Kernel } from '../../support/vm-world.js';

export function userStack(kernel: Kernel, submit: Submitter): void {
  describe(`calls by the ${submit} on a virtual machine with ${kernel}`, () => {
    const getCluster = useCluster({ nodes: 1, membership: 'host', kernel });
    const run = (title: string, spec: string): void => {
      const env = { STACKGLUE_SUBMIT: submit };
      const getNode = () => getCluster().node(1);
      describeInGuest(title, getNode, `dist/test/guest/${spec}`, { env });
    };
    before(() => keepDlmRunning(getCluster()));

    run('stack user under stress', 'stress.spec.js');
    run('stack user', 'user-stack.spec.js');
    run("libdlm's own calls", 'libdlm-calls.spec.js');
  });
}

export function modesAndFlags(kernel: Kernel): void {
  describe(`on a virtual machine with ${kernel}`, () => {
    const getCluster = useCluster({ nodes: 1, membership: 'host', kernel });
    const getNode = () => getCluster().node(1);
    describeInGuest('modes and flags of stack user', getNode, 'dist/test/guest/flags.spec.js');
  });
}
