/**
 * That the exploration of caches (explore.test.ts) finds what it is there for: each fault is put into a copy of the library,
 * and must be found, by the words that name it.
 */
import { expect } from 'chai';

import type { Profile } from '../../lib/simulator/index.js';
import { importWithFaults, type Edit } from '../support/planted.js';
import type * as service from './cache-service.js';
import type * as lostBlock from './lost-block.js';

/** The first few find each of them. */
const SEEDS = 400;

interface Fault {
  readonly edits: readonly Edit[];
  readonly profiles: readonly Profile[];
  readonly words: RegExp;
}

const BOTH = ['o2dlm', 'fsdlm'] as const;
const ENTRY = 'lib/cached/entry.ts';
const VERSION: readonly Edit[] = [
  {
    file: 'lib/cached/version.ts',
    right: 'before.getBigUint64(0, true) === token',
    wrong: 'token > 0n',
  },
  { file: 'lib/cached/version.ts', right: 'view.setBigUint64(0, token, true);', wrong: '' },
];
const VALUE = 'lib/cached/cached-value.ts';

const NOT_STORED = /has not stored what it wrote|finds \d+ in "[ab]", which is \d+/;
const STALE = /reads \d+, and \d+ was there before|counts to \d+, as somebody before it/;
/** Whichever is seen first. */
const BESIDE = new RegExp(
  `holds "[ab]" in (PR|EX) beside (PR|EX) of|${NOT_STORED.source}|${STALE.source}`,
);

const FAULTS: Readonly<Record<string, Fault>> = {
  'the lock manager is told before all is stored': {
    edits: [
      {
        file: ENTRY,
        right: '    descent.work = work;\n',
        wrong: '    this.tell(activity, descent, to);\n    return;\n',
      },
    ],
    profiles: BOTH,
    words: NOT_STORED,
  },
  'a new hold while the level is on its way down': {
    edits: [
      {
        file: ENTRY,
        right: 'if (!activity.isOwed && activity.keeps === undefined) return false;',
        wrong: '',
      },
    ],
    profiles: BOTH,
    words: BESIDE,
  },
  'what others want is forgotten between request and grant': {
    edits: [
      {
        file: ENTRY,
        right: "      this.lower(activity, ceiling, 'wanted');\n      // What",
        wrong: '      // What',
      },
    ],
    profiles: BOTH,
    words: /Waited 5000 ms/,
  },
  'a version from before members changed is believed': {
    edits: [
      {
        file: VALUE,
        right: 'if (!isGood || known.changes !== this.#changes()) return undefined;',
        wrong: '',
      },
    ],
    profiles: BOTH,
    words: STALE,
  },
};

describe('faults in caches', function () {
  // It ends by itself.
  this.timeout(0);

  for (const [title, { edits, profiles, words }] of Object.entries(FAULTS)) {
    for (const profile of profiles) {
      it(`${title}: ${profile}`, async () => {
        const { exploreCaches } = await importWithFaults<typeof service>(
          `caches-${title.replaceAll(' ', '-')}`,
          edits,
          'test/cached/cache-service.js',
          ['test/locks'],
        );
        let found: unknown;
        let seed = 0;
        while (found === undefined && (seed += 1) <= SEEDS) {
          const options = { seeds: [seed], profile, isSlow: seed % 2 === 0 };
          await exploreCaches(options).catch((error: unknown) => (found = error));
        }
        console.log(`      found at seed ${seed}`);
        expect(String(found)).to.match(words);
      });
    }
  }

  for (const stack of ['o2cb', 'emulated'] as const) {
    it(`versions without tokens, which come twice: ${stack}`, async () => {
      const { readAfterLoss } = await importWithFaults<typeof lostBlock>(
        'caches-versions',
        VERSION,
        'test/cached/lost-block.js',
        ['test/stackglue'],
      );
      expect(await readAfterLoss(stack)).to.equal(1);
    });
  }
});
