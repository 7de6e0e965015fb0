/** Runs the tests of test/guest on a node of its own. */
import { describeInGuest } from '../../../scripts/vm/guest-mocha.js';
import type { Submitter } from '../../support/user-plugin.js';
import { keepDlmRunning, useCluster, type Kernel } from '../../support/vm-world.js';

/** The specs by their titles. */
function onOneNode(
  title: string,
  kernel: Kernel,
  specs: Readonly<Record<string, string>>,
  env: Readonly<Record<string, string>> = {},
): void {
  describe(title, () => {
    const getCluster = useCluster({ nodes: 1, membership: 'host', kernel });
    const getNode = () => getCluster().node(1);
    before(() => keepDlmRunning(getCluster()));

    for (const [what, spec] of Object.entries(specs)) {
      describeInGuest(what, getNode, `dist/test/guest/${spec}`, { env });
    }
  });
}

export function userStack(kernel: Kernel, submit: Submitter): void {
  const specs = {
    'stack user under stress': 'stress.spec.js',
    'stack user': 'user-stack.spec.js',
    "libdlm's own calls": 'libdlm-calls.spec.js',
  };
  const title = `calls by the ${submit} on a virtual machine with ${kernel}`;
  onOneNode(title, kernel, specs, { STACKGLUE_SUBMIT: submit });
}

export function modesAndFlags(kernel: Kernel): void {
  const specs = { 'modes and flags of stack user': 'flags.spec.js' };
  onOneNode(`on a virtual machine with ${kernel}`, kernel, specs);
}

export function lifetime(kernel: Kernel): void {
  const specs = { 'lifetime on stack user': 'lifetime.spec.js' };
  onOneNode(`on a virtual machine with ${kernel}`, kernel, specs);
}

export function simultaneous(kernel: Kernel): void {
  const specs = { 'stack user at once': 'simultaneous.spec.js' };
  onOneNode(`on a virtual machine with ${kernel}`, kernel, specs);
}
