/** Seeded random numbers for tests: the seed is printed, and STACKGLUE_SEED sets it. */
import { Random as SeededRandom } from '../../scripts/random.js';

/** A generator that knows its seed, for whoever wants to print it. */
export class Random extends SeededRandom {
  readonly seed: number;

  constructor(seed = Number(process.env.STACKGLUE_SEED ?? Math.trunc(Math.random() * 2 ** 32))) {
    super(seed);
    this.seed = seed >>> 0;
  }
}
