/** The conformance suite on the emulations. */
import { stackConformance } from '../../lib/conformance/index.js';
import { createEmulatedUserPlugin } from '../../lib/glue.js';
import { createEmulation, EMULATED_O2CB, EMULATED_USER, type Emulation } from '../support/world.js';

const EMULATIONS: Readonly<Record<string, [stackName: string, emulation: Emulation]>> = {
  'the emulated stack o2cb': ['o2cb', EMULATED_O2CB],
  'the emulated stack user': ['pcmk', EMULATED_USER],
  'the emulated stack user that detects conversion deadlocks': [
    'pcmk',
    {
      ...EMULATED_USER,
      createPlugin: (options) => createEmulatedUserPlugin({ ...options, detectDeadlocks: true }),
    },
  ],
};

for (const [title, [stackName, emulation]] of Object.entries(EMULATIONS)) {
  stackConformance({
    title: `three simulated nodes on ${title}`,
    stackName,
    createNodes: () => Promise.resolve(createEmulation((plugin) => plugin, {}, emulation)),
    plugin: emulation.createPlugin({ node: 1, cluster: 'none' }),
    canKill: true,
  });
}
