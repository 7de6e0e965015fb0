/** Runs the tests of test/guest on a node of its own. */
import { describeInGuest } from '../../../scripts/vm/guest-mocha.js';
import type { DeviceManager } from '../../../scripts/vm/index.js';
import type { Submitter } from '../../support/user-plugin.js';
import { keepDlmRunning, useCluster, type Kernel } from '../../support/vm-world.js';

/** The specs by their titles. */
function onOneNode(
  title: string,
  kernel: Kernel,
  specs: Readonly<Record<string, string>>,
  env: Readonly<Record<string, string>> = {},
  devices: DeviceManager = 'devtmpfs',
): void {
  describe(title, () => {
    const getCluster = useCluster({ nodes: 1, membership: 'host', kernel, devices });
    const getNode = () => getCluster().node(1);
    before(() => keepDlmRunning(getCluster()));

    for (const [what, spec] of Object.entries(specs)) {
      describeInGuest(what, getNode, `dist/test/guest/${spec}`, { env });
    }
  });
}

/** Devices are made alike for whoever makes the calls, so one of those has udev. */
const WITH_UDEV: Submitter = 'thread';

export function userStack(kernel: Kernel, submit: Submitter): void {
  const specs: Record<string, string> = {
    'stack user under stress': 'stress.spec.js',
    'stack user': 'user-stack.spec.js',
    "libdlm's own calls": 'libdlm-calls.spec.js',
    'names on stack user': 'names.spec.js',
  };
  const devices = submit === WITH_UDEV ? 'udev' : 'devtmpfs';
  if (devices === 'udev') specs['stack user and udev'] = 'udev.spec.js';
  const title = `calls by the ${submit} on a virtual machine with ${kernel} and ${devices}`;
  onOneNode(title, kernel, specs, { STACKGLUE_SUBMIT: submit }, devices);
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
