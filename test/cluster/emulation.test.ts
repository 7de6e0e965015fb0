/** The conformance suite on the emulations. */
import { stackConformance } from '../../lib/conformance/index.js';
import { createEmulatedUserPlugin } from '../../lib/glue.js';
import {
  createEmulation,
  EMULATED_USER,
  O2CB_FEATURES,
  USER_FEATURES,
  type Emulation,
} from '../support/world.js';

stackConformance({
  title: 'three simulated nodes on the emulated stack o2cb',
  stackName: 'o2cb',
  createNodes: () => Promise.resolve(createEmulation()),
  features: O2CB_FEATURES,
});

stackConformance({
  title: 'three simulated nodes on the emulated stack user',
  stackName: 'pcmk',
  createNodes: () => Promise.resolve(createEmulation((plugin) => plugin, {}, EMULATED_USER)),
  features: USER_FEATURES,
});

stackConformance({
  title: 'three simulated nodes on the emulated stack user that detects conversion deadlocks',
  stackName: 'pcmk',
  createNodes: () => {
    const detecting: Emulation = {
      ...EMULATED_USER,
      createPlugin: (options) => createEmulatedUserPlugin({ ...options, detectDeadlocks: true }),
    };
    return Promise.resolve(createEmulation((plugin) => plugin, {}, detecting));
  },
  features: { ...USER_FEATURES, conversionDeadlock: 'refused' },
});
