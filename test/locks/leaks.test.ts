/** What a million names leave in the heap. */
import { expect } from 'chai';

import { runChild } from '../lifecycle/run-child.js';

const MAX = 2 ** 20;

describe('locks that are gone', function () {
  // It ends by itself.
  this.timeout(0);

  for (const stack of ['o2cb', 'emulated']) {
    it(`leave less than a megabyte behind: 1,000,000 names on ${stack}`, async () => {
      const child = runChild(
        new URL('children/heap.js', import.meta.url),
        [stack],
        ['--expose-gc'],
      );
      const exit = await child.exit;
      // And nothing that would keep the process from its end.
      expect(exit, exit.output).to.include({ code: 0, signal: null });
      const { more, withdrawals } = JSON.parse(exit.stdout) as {
        more: number;
        withdrawals: number;
      };
      console.log(`      ${(more / 1024).toFixed(0)} KiB`);
      expect(withdrawals).to.equal(0);
      expect(more).to.be.below(MAX);
    });
  }
});
