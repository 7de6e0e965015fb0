import { deathBehaviours, lockBehaviours, protocolBehaviours } from './behaviours.js';
import { createEmulation, type World } from '../support/world.js';

describe('three simulated nodes on the emulated stack o2cb', () => {
  let world: World;

  before(() => {
    world = createEmulation();
  });
  after(() => world.close());

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
