/**
 * A sample of `npm run differential` with a fresh seed: an engine does what the kernel does, on random
 * sequences. scripts/differential/README.md says how they are compared.
 */
import { expect } from 'chai';
import { randomInt } from 'node:crypto';

import { BATCH as FSDLM_BATCH } from '../../../scripts/differential/fsdlm/differential.js';
import { runFsdlm } from '../../../scripts/differential/fsdlm/index.js';
import { runO2dlm } from '../../../scripts/differential/o2dlm/index.js';
import { BATCH as O2DLM_BATCH } from '../../../scripts/differential/o2dlm/run.js';
import { progress, requireVms, TEST_TIMEOUT_MS, type Kernel } from '../../support/vm-world.js';

/** In a profile's second batch a node dies. For o2dlm each batch boots machines of its own. */
const SAMPLES = {
  fsdlm: { run: runFsdlm, first: FSDLM_BATCH - 25, sequences: 50 },
  o2dlm: { run: runO2dlm, first: O2DLM_BATCH, sequences: 30 },
};
const COMMANDS = 50;

export function differential(kernel: Kernel, profile: keyof typeof SAMPLES): void {
  const { run, first, sequences } = SAMPLES[profile];
  describe(`random sequences on the ${profile} engine and on ${kernel}`, function () {
    this.timeout(TEST_TIMEOUT_MS);

    before(async function () {
      await requireVms(this);
    });

    it('tell every lock the same', async () => {
      const seed = randomInt(2 ** 31);
      const said: string[] = [];
      const { agreed, undecided, commands, disagreements } = await run({
        kernel,
        seed,
        sequences,
        commands: COMMANDS,
        first,
        shrinks: 0,
        say: (line) => said.push(line),
        progress,
      });
      const repeat = `npm run differential -- --profile ${profile} --kernel ${kernel} --seed ${seed} --first ${first} --sequences ${sequences}`;
      expect(disagreements, `${said.join('\n')}\nto repeat it: ${repeat}`).to.deep.equal([]);
      expect(undecided, `${said.join('\n')}\nto repeat it: ${repeat}`).to.equal(0);
      expect(agreed).to.equal(sequences);
      expect(commands).to.be.at.least(sequences * COMMANDS);
    });
  });
}
