/** worker.terminate() at each step of a connection's life: no crash, and no lock left behind. */
import { expect } from 'chai';

import { runChild } from './run-child.js';

const STEPS = [
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

/** Workers for each step. */
const ROUNDS = 10;

/** Steps on which the emulated stack `user` has code of its own, and workers for each. */
const USER_STEPS = STEPS.slice(STEPS.indexOf('connecting'), STEPS.indexOf('disconnected'));
const USER_ROUNDS = 4;

describe('worker.terminate()', () => {
  for (const step of STEPS) {
    it(`harms nobody: ${step}`, async () => {
      const child = runChild(new URL('children/workers.js', import.meta.url), [step, `${ROUNDS}`]);
      const exit = await child.exit;
      expect(exit, exit.output).to.include({ code: 0, signal: null });
    });
  }

  for (const step of USER_STEPS) {
    it(`harms nobody on the emulated stack user: ${step}`, async () => {
      const arguments_ = [step, `${USER_ROUNDS}`, 'pcmk'];
      const child = runChild(new URL('children/workers.js', import.meta.url), arguments_);
      const exit = await child.exit;
      expect(exit, exit.output).to.include({ code: 0, signal: null });
    });
  }
});
