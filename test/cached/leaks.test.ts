/** What revocations leave in the heap. */
import { expect } from 'chai';

import { runChild } from '../lifecycle/run-child.js';

const MAX = 2 ** 19;
/** `STACKGLUE_REVOCATIONS=1000000 npm test -- test/cached/leaks.test.ts` looks longer. */
const COUNT = Number(process.env.STACKGLUE_REVOCATIONS ?? 100_000);

describe('revocations', function () {
  // It ends by itself.
  this.timeout(0);

  for (const stack of ['o2cb', 'emulated']) {
    it(`leave nothing behind: ${COUNT} hand-overs on ${stack}`, async () => {
      const child = runChild(
        new URL('children/heap.js', import.meta.url),
        [stack, String(COUNT)],
        ['--expose-gc'],
      );
      const exit = await child.exit;
      // And nothing that would keep the process from its end.
      expect(exit, exit.output).to.include({ code: 0, signal: null });
      const { more, revoked } = JSON.parse(exit.stdout) as { more: number; revoked: number };
      console.log(`      ${(more / 1024).toFixed(0)} KiB, ${revoked} revocations`);
      expect(revoked).to.be.greaterThan(COUNT / 2);
      expect(more).to.be.below(MAX);
    });
  }
});
