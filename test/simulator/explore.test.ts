/** The same scenario under many seeds: the example with its planted bug, and without. */
import { expect } from 'chai';

import { explore, replay, Simulation, SimulationError } from '../../lib/simulator/index.js';
import { takeNumbers } from '../../scripts/demo/simulator/scenario.js';
import { failureOf, PROFILES } from './support.js';

const SEEDS = 100;

for (const profile of PROFILES) {
  describe(`exploring seeds, profile ${profile}`, () => {
    it('finds the bug that is planted in a service, and shows it again', async () => {
      const buggy = (simulation: Simulation) => takeNumbers(simulation, false);
      const error = await failureOf(explore({ profile, seeds: SEEDS, run: buggy }));
      if (!(error instanceof SimulationError)) throw error;
      expect(error.code).to.equal('ERR_DLM_SIMULATION_FAILED');
      expect(error.message).to.match(/^Seed \d+ shows it: n\d and n\d both have \d+\n/);
      expect(error.message).to.include(error.history.tail(5).split('\n').at(-1));

      const again = failureOf(explore({ profile, seeds: [error.seed], run: buggy }));
      expect((await again).message).to.equal(error.message);
      const replayed: unknown = await replay(error.history.toString(), buggy).catch(
        (thrown: unknown) => thrown,
      );
      expect(String(replayed)).to.equal(String(error.cause));

      const fixed = replay(error.history, (simulation) => takeNumbers(simulation, true));
      expect(await failureOf(fixed)).to.include({ code: 'ERR_DLM_SIMULATION_DIVERGED' });
    });

    it('finds nothing in the service without it, with the same seeds', async () => {
      const right = (simulation: Simulation) => takeNumbers(simulation, true);
      expect(await explore({ profile, seeds: SEEDS, run: right })).to.equal(SEEDS);
    });
  });
}

describe('exploring seeds', () => {
  it('stops at the first seed that fails', async () => {
    const seeds: number[] = [];
    const error = await failureOf(
      explore({
        seeds: [4, 9, 2],
        run: (simulation) => {
          seeds.push(simulation.seed);
          if (simulation.seed === 9) throw new Error('nine');
        },
      }),
    );
    expect(seeds).to.deep.equal([4, 9]);
    expect(error).to.include({ seed: 9 });
    expect(error.message).to.match(/^Seed 9 shows it: nine\n/);
  });
});
