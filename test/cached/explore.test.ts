/** Caches under many seeds, while everything fails: they never hold what others hold, and are never stale. */
import { expect } from 'chai';

import type { Profile } from '../../lib/simulator/index.js';
import { exploreCaches, newCacheTally, type CacheTally } from './cache-service.js';

/** `STACKGLUE_SEEDS=20000 npm test -- test/cached/explore.test.ts` looks longer. */
const SEEDS = Number(process.env.STACKGLUE_SEEDS ?? (process.env.CI === 'true' ? 400 : 60));

/** What there is none of: nobody takes a domain of o2dlm away. */
const NEVER: Readonly<Record<Profile, readonly (keyof CacheTally)[]>> = {
  o2dlm: ['release', 'lost'],
  fsdlm: [],
};

describe('caches, explored', function () {
  // It ends by itself.
  this.timeout(0);

  for (const profile of ['o2dlm', 'fsdlm'] as const) {
    it(`are never stale, and forget nobody: ${profile}, ${SEEDS} seeds`, async () => {
      const tally = newCacheTally();
      for (const isSlow of [false, true]) {
        const seeds = SEEDS / 2;
        expect(await exploreCaches({ seeds, profile, isSlow }, tally)).to.equal(seeds);
      }
      console.log(`      ${JSON.stringify(tally)}`);
      for (const [what, count] of Object.entries(tally)) {
        if (NEVER[profile].includes(what as keyof CacheTally)) continue;
        expect(count, what).to.be.greaterThan(0);
      }
    });
  }
});
