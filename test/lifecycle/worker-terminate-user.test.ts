import { harmNobody, STEPS } from './terminating.js';

/** The steps on which the emulated stack `user` has code of its own. */
const USER_STEPS = STEPS.slice(STEPS.indexOf('connecting'), STEPS.indexOf('disconnected'));

describe('worker.terminate() on the emulated stack user', () => {
  harmNobody(USER_STEPS, 4, 'pcmk');
});
