/** The behaviours of test/cluster on the real thing: libdlm and the kernel's DLM on three nodes. */
import type { ClusterOptions } from '../../scripts/vm/index.js';
import { deathBehaviours, lockBehaviours, protocolBehaviours } from '../cluster/behaviours.js';
import { createVmWorld, useCluster } from '../support/vm-world.js';
import type { World } from '../support/world.js';

const BEDS: readonly ClusterOptions[] = [
  { nodes: 3, membership: 'host' },
  { nodes: 3, membership: 'corosync' },
];

for (const options of BEDS) {
  describe(`three virtual machines on stack user, membership by ${options.membership}`, function () {
    this.timeout(60_000);
    const getCluster = useCluster(options);
    let world: World;
    before(async () => {
      world = await createVmWorld(getCluster());
    });

    describe('locking protocols', () => {
      protocolBehaviours(() => world);
    });
    describe('locks', () => {
      lockBehaviours(() => world);
    });
    describe('the death of a node', () => {
      deathBehaviours(() => world);
    });
  });
}
