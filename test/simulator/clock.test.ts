/** Time and chance as a stack has them, for what is built on its connections. */
import { expect } from 'chai';

import { createO2cbPlugin, realClock, StackGlue, type StackClock } from '../../lib/glue.js';
import { Simulation } from '../../lib/simulator/index.js';

const protocol = {
  maxVersion: { major: 1, minor: 0 },
  lockAst: () => undefined,
  blockingAst: () => undefined,
  unlockAst: () => undefined,
};

function connect(plugin: ReturnType<typeof createO2cbPlugin>) {
  const glue = new StackGlue();
  glue.register(plugin);
  glue.clusterStack = plugin.name === 'o2cb' ? 'o2cb' : 'pcmk';
  return glue.clusterConnect({
    stackName: glue.clusterStack,
    group: 'clocks',
    protocol,
    recoveryHandler: () => undefined,
  });
}

describe("a connection's clock", () => {
  it('is the real one where the stack brings none', async () => {
    const connection = await connect(createO2cbPlugin());
    const { clock } = connection.unref();
    expect(clock).to.equal(realClock);
    const before = clock.now();
    const never = clock.setTimeout(() => expect.fail('it was cleared'), 0);
    clock.clearTimeout(never);
    await new Promise<void>((resolve) => clock.setTimeout(resolve, 1));
    expect(clock.now()).to.be.above(before);
    expect(clock.random()).to.be.within(0, 1);
  });

  for (const profile of ['o2dlm', 'fsdlm'] as const) {
    it(`is virtual, and drawn from the seed, in a simulation of ${profile}`, async () => {
      const seen = async () => {
        const simulation = new Simulation({ seed: 7, profile });
        const told: number[] = [];
        simulation.node(1, {
          program: async ({ plugin }) => {
            const { clock }: { clock: StackClock } = await connect(plugin);
            const start = clock.now();
            clock.clearTimeout(clock.setTimeout(() => told.push(-1), 1));
            clock.setTimeout(() => told.push(clock.now() - start, clock.random()), 86_400_000);
          },
        });
        await simulation.settle();
        await simulation.close();
        return told;
      };
      const told = await seen();
      expect(told[0]).to.equal(86_400_000);
      expect(await seen()).to.deep.equal(told);
    });
  }
});
