/** The conformance suite on the emulation. */
import { stackConformance } from '../../lib/conformance/index.js';
import { createEmulation, O2CB_FEATURES } from '../support/world.js';

stackConformance({
  title: 'three simulated nodes on the emulated stack o2cb',
  stackName: 'o2cb',
  createNodes: () => Promise.resolve(createEmulation()),
  features: O2CB_FEATURES,
});
