/** Runs the tests of test/guest on a node of its own. */
import type { Cluster } from '../../scripts/vm/index.js';
import { describeInGuest } from '../../scripts/vm/guest-mocha.js';
import { bootForTest, BOOT_TIMEOUT_MS } from '../support/vm-world.js';

describe('on a virtual machine', () => {
  let cluster: Cluster | undefined;

  before(async function () {
    cluster = await bootForTest(this, { nodes: 1, membership: 'host' });
  });
  after(async function () {
    this.timeout(BOOT_TIMEOUT_MS);
    await cluster?.close();
  });

  describeInGuest(
    'stack user under stress',
    () => cluster!.node(1),
    'dist/test/guest/stress.spec.js',
  );
  describeInGuest('stack user', () => cluster!.node(1), 'dist/test/guest/user-stack.spec.js');
});
