/** The behaviours of test/cluster on the real thing: libdlm and the kernel's DLM on three nodes. */
import type { Cluster, ClusterOptions } from '../../scripts/vm/index.js';
import { deathBehaviours, lockBehaviours } from '../cluster/behaviours.js';
import { BOOT_TIMEOUT_MS, bootForTest, createVmWorld } from '../support/vm-world.js';
import type { World } from '../support/world.js';

const BEDS: readonly ClusterOptions[] = [
  { nodes: 3, membership: 'host' },
  { nodes: 3, membership: 'corosync' },
];

for (const options of BEDS) {
  describe(`three virtual machines on stack user, membership by ${options.membership}`, function () {
    this.timeout(60_000);
    let cluster: Cluster | undefined;
    let world: World;

    before(async function () {
      cluster = await bootForTest(this, options);
      world = await createVmWorld(cluster);
      await Promise.all(world.nodes.map((node) => node.connect(world.stackName, 'behaviours')));
    });
    after(async function () {
      this.timeout(BOOT_TIMEOUT_MS);
      await cluster?.close();
    });

    lockBehaviours(() => world);
    deathBehaviours(() => world);
  });
}
