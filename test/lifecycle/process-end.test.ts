/** A process ends when it should, stays when it should, and ends cleanly whatever it holds. */
import { expect } from 'chai';

import { runChild, type Child } from './run-child.js';

function start(state: string): Child {
  return runChild(new URL('children/ends.js', import.meta.url), [state]);
}

async function expectExit(child: Child, code: number | null, signal: string | null): Promise<void> {
  const exit = await child.exit;
  expect(exit, exit.output).to.include({ code, signal });
}

describe('end of a process', () => {
  for (const state of [
    'imported',
    'default glue',
    'failed connect',
    'unlocked',
    'disconnected',
    'unref',
  ]) {
    it(`comes by itself when nothing keeps it: ${state}`, () => expectExit(start(state), 0, null));
  }

  for (const [state, connections] of [
    ['connected', 2],
    ['unref ref', 1],
  ] as const) {
    it(`waits for the disconnect: ${state}`, async () => {
      const child = start(state);
      // A connection that keeps the event loop going has one handle that does.
      expect(await child.message()).to.deep.equal(Array(connections).fill('async'));
      child.send('disconnect');
      await expectExit(child, 0, null);
    });
  }

  it('comes by process.exit() with locks held, in flight and waiting', () =>
    expectExit(start('exit'), 7, null));

  for (const state of ['throw', 'reject']) {
    it(`comes by an error that nobody catches with locks held: ${state}`, async () => {
      const child = start(state);
      await expectExit(child, 1, null);
      expect((await child.exit).output).to.match(/with locks held/);
    });
  }

  for (const signal of ['SIGTERM', 'SIGKILL', 'SIGINT'] as const) {
    it(`comes by ${signal} with locks held`, async () => {
      const child = start('connected');
      await child.message();
      child.kill(signal);
      await expectExit(child, null, signal);
    });
  }
});
