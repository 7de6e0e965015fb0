/** All faults at once, at random: what programs are told stays in order, and nothing is lost or told twice. */
import { expect } from 'chai';

import { explore, replay, type Simulation } from '../../lib/simulator/index.js';
import { judgedScenario } from './judged-service.js';
import { PROFILES } from './support.js';

const SEEDS = 150;

for (const profile of PROFILES) {
  it(`random faults of all kinds, profile ${profile}: who is told what, once and in order`, async () => {
    const given = process.env.STACKGLUE_SEED;
    const first = given === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(given);
    console.log(`      seed ${first}`);
    const count = Number(process.env.STACKGLUE_SEEDS ?? SEEDS);
    const seeds = Array.from({ length: count }, (_, i) => first + i);
    const seen = { grants: 0, losses: 0, stops: 0 };
    let history: Simulation['history'] | undefined;
    await explore({
      profile,
      seeds,
      recoveryMs: [0, 400],
      quorumMs: 700,
      detectMs: 1500,
      run: async (simulation) => {
        const judge = await judgedScenario(simulation);
        seen.grants += judge.grants;
        seen.losses += judge.losses;
        seen.stops += judge.stops;
        ({ history } = simulation);
      },
    });
    expect(seen.grants / count, 'grants').to.be.above(20);
    expect(seen.losses, 'losses').to.be.above(0);
    expect(seen.stops / count, 'stops').to.be.above(1);
    if (history !== undefined) await replay(history.toString(), judgedScenario);
  });
}
