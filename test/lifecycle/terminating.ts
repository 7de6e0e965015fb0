/** Workers that are terminated at each step of a connection's life: no crash, and no lock left behind. */
import { expect } from 'chai';

import { runChild } from './run-child.js';

/** The steps, of which the last two are those of a stack `user` that is not there. */
export const STEPS = [
  'loading',
  'loaded',
  'connecting',
  'connected',
  'lock in flight',
  'inside granted',
  'locked',
  'blocked',
  'inside blocking',
  'unlock in flight',
  'inside unlocked',
  'unlocked',
  'disconnecting',
  'disconnected',
  'user connecting',
  'user failed',
];

/** Declares a test for each step, which so many workers come to. */
export function harmNobody(steps: readonly string[], workers: number, stack?: string): void {
  for (const step of steps) {
    it(`harms nobody: ${step}`, async () => {
      const more = stack === undefined ? [] : [stack];
      const child = runChild(new URL('children/workers.js', import.meta.url), [
        step,
        `${workers}`,
        ...more,
      ]);
      const exit = await child.exit;
      expect(exit, exit.output).to.include({ code: 0, signal: null });
    });
  }
}
