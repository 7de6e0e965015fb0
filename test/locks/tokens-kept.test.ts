/** Fencing tokens: what is left of nodes that died while they opened a lockspace. */
import { expect } from 'chai';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { openLockspace } from '../../lib/index.js';
import { Simulation, type Profile } from '../../lib/simulator/index.js';
import { LOCKSPACE } from './worlds.js';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** A simulation in which nodes die at every step of opening a lockspace. Resolves when it is closed. */
async function killWhileOpening(profile: Profile, seed: number): Promise<WeakRef<Simulation>> {
  const simulation = new Simulation({ profile, seed });
  await simulation.run(async () => {
    const member = await openLockspace(LOCKSPACE, {
      stack: simulation.node(1).plugin,
      tokens: true,
    });
    for (let step = 0; step < 8; step += 1) {
      const node = simulation.node(2 + step);
      openLockspace(LOCKSPACE, { stack: node.plugin, tokens: true }).catch(() => undefined);
      await simulation.sleep(step);
      node.kill();
      await simulation.sleep(3000);
    }
    await member.close();
  });
  await simulation.close();
  return new WeakRef(simulation);
}

describe('a simulation whose nodes died while they opened a lockspace with tokens', () => {
  for (const profile of ['o2dlm', 'fsdlm'] as const satisfies readonly Profile[]) {
    it(`is kept by nobody when it is closed: ${profile}`, async () => {
      const kept: WeakRef<Simulation>[] = [];
      for (let seed = 1; seed <= 5; seed += 1) kept.push(await killWhileOpening(profile, seed));
      // What is collected in one turn may keep something else until the next.
      for (let turn = 0; turn < 20; turn += 1) {
        await new Promise(setImmediate);
        collect();
      }
      expect(kept.filter((each) => each.deref() !== undefined).length).to.equal(0);
    });
  }
});
