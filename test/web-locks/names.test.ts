/** Names of Web Locks as names of locks: any text, and each its own lock. STACKGLUE_SEED repeats a run. */
import { expect } from 'chai';
import fc from 'fast-check';

import { openLockspace } from '../../lib/index.js';
import { lockName, ownName } from '../../lib/web-locks/names.js';
import { webLocks } from '../../lib/web-locks/index.js';
import { freshCluster } from '../stackglue/test-node.js';

const seed = Number(process.env.STACKGLUE_SEED ?? Math.trunc(Math.random() * 2 ** 31));

/** Any UTF-16 units, half pairs and zeros among them; many that are alike. */
const unit = fc.oneof(
  fc.constantFrom('a', 'b', '\0', ':', '#', 'ä', '€', '\ufffd', '\ud800', '\udc00', '😀'),
  fc.nat(0xffff).map((code) => String.fromCharCode(code)),
);
const name = fc.array(unit, { maxLength: 40 }).map((units) => units.join(''));

describe('names of web locks', () => {
  before(() => console.log(`      seed ${seed}`));

  it('fit every stack, and are different for different names', () => {
    const known = new Map<string, string>();
    const property = fc.property(name, (text) => {
      for (const purpose of ['lock', 'demand', 'turn'] as const) {
        const encoded = lockName(text, purpose);
        expect(Buffer.byteLength(encoded)).to.be.within(3, 32);
        expect(Buffer.from(encoded).toString()).to.equal(encoded);
        expect(encoded.endsWith('\0')).to.equal(false);
        expect(known.get(encoded) ?? text).to.equal(text);
        known.set(encoded, text);
        expect(lockName(text, purpose)).to.equal(encoded);
      }
    });
    fc.assert(property, { seed, numRuns: 5000 });
    expect(lockName('inode/42')).to.equal('wl:inode/42');
    expect(known.has(ownName('roll'))).to.equal(false);
  });

  for (const stack of ['o2cb', 'emulated'] as const) {
    it(`are all held at once, each for itself: ${stack}`, async () => {
      const cluster = freshCluster();
      const spaces = await Promise.all(
        [1, 2].map((node) => openLockspace('names', { stack, cluster, node })),
      );
      const managers = spaces.map(webLocks);
      const names = ['', 'abc\0def', 'abc\0', '\0', '\ud800', '\udc00', '\udc00\ud800', '\ufffd'];
      names.push('\uffff', 'a'.repeat(29), 'a'.repeat(30), 'a'.repeat(31), 'a'.repeat(100_000));
      names.push('$RECOVERY', 'version_lock', '$stackglue.sequencer', 'wl:', ':', '#', ' -');
      const holdAll = async (at: number): Promise<void> => {
        const text = names[at];
        if (text === undefined) return;
        await managers[at % 2]!.request(text, async (lock) => {
          expect(lock).to.include({ name: text });
          const other = managers[(at + 1) % 2]!;
          expect(await other.request(text, { ifAvailable: true }, (its) => its)).to.equal(null);
          await holdAll(at + 1);
        });
      };
      await holdAll(0);
      for (const space of spaces) await space.close();
    });
  }
});
