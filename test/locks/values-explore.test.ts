/** Values under many seeds, while nodes are killed and processes end: what is called fresh was written last. */
import { expect } from 'chai';

import { explore, type Profile } from '../../lib/simulator/index.js';
import { newValueTally, writeAndRead } from './value-history.js';

/** `STACKGLUE_SEEDS=20000 npm test -- test/locks/values-explore.test.ts` looks longer. */
const SEEDS = Number(process.env.STACKGLUE_SEEDS ?? (process.env.CI === 'true' ? 1000 : 300));

/** What there is none of: o2dlm flags no block, and nobody takes its domain away. */
const NEVER: Readonly<Record<Profile, readonly string[]>> = {
  o2dlm: ['invalid', 'unknown'],
  fsdlm: [],
};

describe('values, explored', function () {
  // It ends by itself.
  this.timeout(0);

  for (const profile of ['o2dlm', 'fsdlm'] as const) {
    it(`are the last ones written where they are called fresh: ${profile}, ${SEEDS} seeds`, async () => {
      const tally = newValueTally();
      const run = (simulation: Parameters<typeof writeAndRead>[0]): Promise<void> =>
        writeAndRead(simulation, tally);
      expect(await explore({ seeds: SEEDS, profile, run })).to.equal(SEEDS);
      console.log(`      ${JSON.stringify(tally)}`);
      for (const [what, count] of Object.entries(tally)) {
        if (NEVER[profile].includes(what)) continue;
        expect(count, what).to.be.greaterThan(0);
      }
    });
  }
});
