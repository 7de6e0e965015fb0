/** Tokens under many seeds, while everything fails: they never repeat and never fall, and fresh values are the last ones. */
import { expect } from 'chai';

import type { Profile } from '../../lib/simulator/index.js';
import { exploreTokens, newServiceTally, type Keeper, type ServiceTally } from './token-service.js';

/** `STACKGLUE_SEEDS=20000 npm test -- test/locks/tokens-explore.test.ts` looks longer. */
const SEEDS = Number(process.env.STACKGLUE_SEEDS ?? (process.env.CI === 'true' ? 400 : 60));

const PROFILES = ['o2dlm', 'fsdlm'] as const satisfies readonly Profile[];

/** What there is none of. The simulator ends what has not been told to those who are gone. */
const NEVER = ['late'];
/** What need not happen under so few seeds. */
const RARE = ['unknown'];
const NEVER_IN: Readonly<Record<Profile | Keeper, readonly string[]>> = {
  // It flags no block, has no daemon, and nobody takes its domain away.
  o2dlm: ['invalid', 'loseDaemon', 'release', 'lost'],
  fsdlm: [],
  anybody: ['acrossGaps', 'empty'],
  witness: ['passedOn', 'acrossGaps', 'free', 'empty'],
  store: ['free'],
};

/** All that can happen has. */
function checkTally(tally: ServiceTally, never: readonly string[]): void {
  for (const [part, counts] of Object.entries(tally) as [string, Record<string, number>][]) {
    for (const [what, count] of Object.entries(counts)) {
      if (never.includes(what)) expect(count, `${part}: ${what}`).to.equal(0);
      else if (!RARE.includes(what)) expect(count, `${part}: ${what}`).to.be.greaterThan(0);
    }
  }
}

describe('tokens, explored', function () {
  // It ends by itself.
  this.timeout(0);

  for (const profile of PROFILES) {
    for (const keeper of ['anybody', 'witness', 'store'] as const) {
      it(`never repeat and never fall: ${profile}, ${keeper}, ${SEEDS} seeds`, async () => {
        const tally = newServiceTally();
        for (const isSlow of [false, true]) {
          const seeds = SEEDS / 2;
          expect(await exploreTokens({ seeds, profile, keeper, isSlow }, tally)).to.equal(seeds);
        }
        console.log(`      ${JSON.stringify(tally)}`);
        checkTally(tally, [...NEVER, ...NEVER_IN[profile], ...NEVER_IN[keeper]]);
      });
    }
  }
});
