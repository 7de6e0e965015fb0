/**
 * A sample of `npm run conformance` with a fresh seed: the o2dlm engine can do what the kernel's own o2dlm
 * does, on random sequences. scripts/conformance/o2dlm/README.md says how they are compared.
 */
import { expect } from 'chai';
import { randomInt } from 'node:crypto';

import { runO2dlm } from '../../../scripts/conformance/o2dlm/index.js';
import { progress, requireVms, type Kernel } from '../../support/vm-world.js';

const SEQUENCES = 30;
const COMMANDS = 50;

/** On a busy machine booting alone takes two minutes. */
const TIMEOUT_MS = 400_000;

/** Of a run's first batch, in which no node dies: booting one again takes as long as all the rest. */
export function o2dlmDifferential(kernel: Kernel): void {
  describe(`random sequences on the o2dlm engine and on dlmfs of ${kernel}`, function () {
    this.timeout(TIMEOUT_MS);

    before(async function () {
      await requireVms(this);
    });

    it('can be told the same by both', async () => {
      const seed = randomInt(2 ** 31);
      const said: string[] = [];
      const { agreed, commands, disagreements } = await runO2dlm({
        kernel,
        seed,
        sequences: SEQUENCES,
        commands: COMMANDS,
        shrinks: 0,
        say: (line) => said.push(line),
        progress,
      });
      const repeat = `npm run conformance -- --profile o2dlm --kernel ${kernel} --seed ${seed} --sequences ${SEQUENCES}`;
      expect(disagreements, `${said.join('\n')}\nto repeat it: ${repeat}`).to.deep.equal([]);
      expect(agreed).to.equal(SEQUENCES);
      expect(commands).to.be.at.least(SEQUENCES * COMMANDS);
    });
  });
}
