/**
 * A sample of `npm run conformance` with a fresh seed: the fsdlm engine does what the kernel's DLM does,
 * on random sequences. scripts/conformance/README.md says how they are compared.
 */
import { expect } from 'chai';
import { randomInt } from 'node:crypto';

import { BATCH } from '../../../scripts/conformance/fsdlm/differential.js';
import { runFsdlm } from '../../../scripts/conformance/fsdlm/index.js';
import { progress, requireVms, type Kernel } from '../../support/vm-world.js';

/** Of two batches; in the second of them a node dies. */
const SEQUENCES = 200;
const COMMANDS = 50;

/** On a busy machine booting alone takes a minute. */
const TIMEOUT_MS = 300_000;

export function differential(kernel: Kernel): void {
  describe(`random sequences on the engine and on ${kernel}`, function () {
    this.timeout(TIMEOUT_MS);

    before(async function () {
      await requireVms(this);
    });

    it('tell every lock the same', async () => {
      const seed = randomInt(2 ** 31);
      const said: string[] = [];
      const { agreed, commands, disagreements } = await runFsdlm({
        kernel,
        seed,
        sequences: SEQUENCES,
        commands: COMMANDS,
        first: BATCH - SEQUENCES / 2,
        shrinks: 0,
        say: (line) => said.push(line),
        progress,
      });
      const repeat = `npm run conformance -- --kernel ${kernel} --seed ${seed} --first ${BATCH - SEQUENCES / 2} --sequences ${SEQUENCES}`;
      expect(disagreements, `${said.join('\n')}\nto repeat it: ${repeat}`).to.deep.equal([]);
      expect(agreed).to.equal(SEQUENCES);
      expect(commands).to.be.at.least(SEQUENCES * COMMANDS);
    });
  });
}
