import { harmNobody, STEPS } from './terminating.js';

describe('worker.terminate()', () => {
  harmNobody(STEPS, 6);
});
