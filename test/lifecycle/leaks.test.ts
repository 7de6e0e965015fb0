/** What is left of connections when they are gone: nothing. */
import { expect } from 'chai';

import { runChild } from './run-child.js';

/** Until the process has what it keeps for good: threads of Node.js, memory of modules and statistics. */
const WARM_UP = 20;
const ROUNDS = 100;

describe('connections that are gone', () => {
  for (const stack of ['o2cb', 'pcmk', 'user']) {
    it(`leave nothing of them behind on ${stack === 'pcmk' ? 'emulated user' : stack}`, async () => {
      const script = new URL('children/leaks.js', import.meta.url);
      // Printing a warning would open a handle in the middle of it.
      const flags = ['--expose-gc', '--disable-warning=ExperimentalWarning'];
      const child = runChild(script, [stack, `${WARM_UP}`, `${ROUNDS}`], flags);
      const exit = await child.exit;
      expect(exit, exit.output).to.include({ code: 0, signal: null });
    });
  }
});
