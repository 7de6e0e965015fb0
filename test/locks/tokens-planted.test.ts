/**
 * That the exploration of tokens (tokens-explore.test.ts) finds what it is there for: each fault is put into a copy of the
 * library, and the judge must find it, by the words that name it.
 */
import { expect } from 'chai';

import type { Profile } from '../../lib/simulator/index.js';
import { importWithFaults, type Edit } from '../support/planted.js';
import type * as service from './token-service.js';

/** The first few find each of them. */
const SEEDS = 400;
const FELL = /\d+ of "[abc]", for .* came after \d+ of "[abc]", for /;

interface Fault {
  readonly edits: readonly Edit[];
  readonly profiles: readonly Profile[];
  readonly keeper?: service.Keeper;
  readonly words?: RegExp;
}

const BOTH = ['o2dlm', 'fsdlm'] as const;
const SEQUENCER = 'lib/tokens/sequencer.ts';
const BLOCK = 'lib/locks/block.ts';
const EPOCHS = 'lib/tokens/epochs.ts';

const FAULTS: Readonly<Record<string, Fault>> = {
  'a sequence that is not written back': {
    edits: [
      {
        file: SEQUENCER,
        right: 'return this.#nextOf(last, isFlagged);',
        wrong: 'this.#latest = this.#nextOf(last, isFlagged); return last;',
      },
      { file: SEQUENCER, right: 'this.#latest = number;', wrong: '' },
      { file: SEQUENCER, right: 'resolve(number);', wrong: 'resolve(this.#latest);' },
    ],
    profiles: BOTH,
  },
  'epochs without sequences': {
    edits: [
      {
        file: SEQUENCER,
        right: 'const sequence = skipped(last, isFlagged).sequence + 1;',
        wrong: 'const sequence = 1;',
      },
    ],
    profiles: BOTH,
  },
  'departures that do not count': {
    edits: [
      {
        file: EPOCHS,
        right: 'if (this.#current > 0) this.reach(this.#current + 1);',
        wrong: '',
      },
    ],
    profiles: BOTH,
  },
  'count + 1 on a flagged block': {
    edits: [
      {
        file: BLOCK,
        right: 'return this.#isFlagged || !this.#hasHeader(TOKEN)',
        wrong: 'return !this.#hasHeader(TOKEN)',
      },
    ],
    profiles: ['fsdlm'],
  },
  'zeros taken for a block': {
    edits: [
      {
        file: BLOCK,
        right: '|| !this.#hasHeader(TOKEN)',
        wrong: '|| (!isZero(this.#seen) && !this.#hasHeader(TOKEN))',
      },
    ],
    profiles: BOTH,
  },
  'a store that is not listened to': {
    edits: [
      {
        file: 'lib/tokens/member.ts',
        right: 'const epoch = epochOfToken(seen) + 1;',
        wrong: 'const epoch = 1;',
      },
    ],
    profiles: BOTH,
    keeper: 'store',
    words: /\d+ of "[abc]", for .* is not above \d+, as /,
  },
};

describe('the exploration of tokens', function () {
  // It ends by itself.
  this.timeout(0);

  for (const [number, [title, fault]] of Object.entries(FAULTS).entries()) {
    const { edits, profiles, keeper = 'anybody', words = FELL } = fault;
    describe(`finds ${title}`, () => {
      let faulty: typeof service;

      before(async () => {
        const module = 'test/locks/token-service.js';
        faulty = await importWithFaults(`tokens-${number}`, edits, module);
      });

      for (const profile of profiles) {
        it(`with profile ${profile}`, async () => {
          const explored = { seeds: SEEDS, profile, keeper, isSlow: false };
          const outcome: unknown = await faulty
            .exploreTokens(explored)
            .catch((error: unknown) => error);
          expect(outcome).to.be.an('error');
          const { message } = outcome as Error;
          console.log(`      ${message.split('\n', 1)[0] ?? ''}`);
          expect(message).to.match(words);
        });
      }
    });
  }
});
