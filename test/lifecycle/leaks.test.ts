/** What is left of connections when they are gone: nothing. */
import { expect } from 'chai';

import { runChild } from './run-child.js';

interface Holdings {
  descriptors: number;
  threads: number;
  rss: number;
}

/**
 * A connection that stays behind holds its native object (an event batch, a chunk of 256 lock records;
 * some 20 KiB) and its batch in JavaScript (2 KiB). 4000 rounds of two connections would thus add some
 * 160 MiB. The heap of a process this small moves by a few MiB from one collection to the next, once it has
 * grown to what that many short-lived objects make of it, which takes the warm-up.
 */
const WARM_UP = 5000;
const ROUNDS = 4000;
const RSS_GROWTH_MAX = 24 * 2 ** 20;

describe('connections that are gone', function () {
  this.timeout(120_000);

  for (const [stack, warmUp, rounds] of [
    ['o2cb', WARM_UP, ROUNDS],
    ['pcmk', WARM_UP, ROUNDS],
    ['user', 20, 200],
  ] as const) {
    it(`leave no descriptor, thread or memory behind on ${stack === 'pcmk' ? 'emulated user' : stack}`, async () => {
      const script = new URL('children/leaks.js', import.meta.url);
      const child = runChild(script, [stack, `${warmUp}`, `${rounds}`], ['--expose-gc']);
      const exit = await child.exit;
      expect(exit, exit.output).to.include({ code: 0, signal: null });
      const { before, after } = JSON.parse(exit.stdout) as { before: Holdings; after: Holdings };
      expect(after.descriptors).to.equal(before.descriptors);
      expect(after.threads).to.equal(before.threads);
      expect(after.rss - before.rss, exit.stdout).to.be.below(RSS_GROWTH_MAX);
    });
  }
});
