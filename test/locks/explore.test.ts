/** Locks with promises under many seeds, while nodes are killed, cut off and paused. */
import { expect } from 'chai';

import { explore } from '../../lib/simulator/index.js';
import { contend, newTally, type Tally } from './contention.js';

/** `STACKGLUE_SEEDS=5000 npm test -- test/locks/explore.test.ts` looks longer. */
const SEEDS = Number(process.env.STACKGLUE_SEEDS ?? (process.env.CI === 'true' ? 1000 : 300));

/** What does not happen: o2dlm finds no deadlocks, and joins a domain at once. */
const NEVER: Readonly<Record<'o2dlm' | 'fsdlm', readonly (keyof Tally)[]>> = {
  o2dlm: ['deadlock', 'reopened'],
  fsdlm: [],
};

describe('locks with promises, explored', function () {
  // It ends by itself.
  this.timeout(0);

  for (const profile of ['o2dlm', 'fsdlm'] as const) {
    it(`keep others out and leave nothing behind: ${profile}, ${SEEDS} seeds`, async () => {
      const tally = newTally();
      expect(
        await explore({ seeds: SEEDS, profile, run: (simulation) => contend(simulation, tally) }),
      ).to.equal(SEEDS);
      // All that can happen has.
      for (const [what, count] of Object.entries(tally)) {
        if (NEVER[profile].includes(what as keyof Tally)) continue;
        expect(count, what).to.be.greaterThan(0);
      }
    });
  }
});
