import { deathBehaviours, lockBehaviours } from './behaviours.js';
import { createEmulation, type World } from '../support/world.js';

describe('three simulated nodes on the emulated stack o2cb', () => {
  let world: World;

  before(async () => {
    world = createEmulation();
    for (const node of world.nodes) await node.connect('o2cb', 'behaviours');
  });
  after(() => world.close());

  lockBehaviours(() => world);
  deathBehaviours(() => world);
});
