/** Nodes that fight for a name make progress, each of them, in virtual time. */
import { expect } from 'chai';

import { openLockspace, type Lockspace } from '../../lib/index.js';
import { explore, type NodeContext, type Simulation } from '../../lib/simulator/index.js';

/** Virtual milliseconds that they fight, and that a hold lasts. */
const FIGHT_MS = 3000;
const HOLD_MS = 1;
const SEEDS = 10;

const open = (node: NodeContext): Promise<Lockspace> =>
  openLockspace('fight', { stack: node.plugin });

/** Holds in EX again and again, until the time is over. Returns how often. */
async function write(node: NodeContext, lockspace: Lockspace, onHold: () => void): Promise<number> {
  const cached = lockspace.cached('x');
  let holds = 0;
  while (node.now() < FIGHT_MS) {
    const hold = cached.tryHold('EX') ?? (await cached.hold('EX'));
    onHold();
    await node.sleep(HOLD_MS);
    hold.release();
    holds += 1;
  }
  return holds;
}

const contexts = (simulation: Simulation, count: number): NodeContext[] =>
  Array.from({ length: count }, (_, index) => simulation.node(index + 1).context);

for (const profile of ['o2dlm', 'fsdlm'] as const) {
  describe(`cached locks that nodes fight for: ${profile}`, () => {
    for (const count of [2, 3]) {
      it(`${count} that write in turn have their share, and several holds for each hand-over`, async () => {
        await explore({
          seeds: SEEDS,
          profile,
          run: async (simulation) => {
            const nodes = contexts(simulation, count);
            const lockspaces = await Promise.all(nodes.map(open));
            let last = -1;
            let handOvers = 0;
            const holds = await Promise.all(
              nodes.map((node, index) =>
                write(node, lockspaces[index]!, () => {
                  if (last !== index) handOvers += 1;
                  last = index;
                }),
              ),
            );
            const all = holds.reduce((sum, each) => sum + each, 0);
            for (const each of holds) expect(each / all).to.be.at.least(0.8 / count);
            expect(all / handOvers).to.be.at.least(5);
            expect(handOvers).to.be.greaterThan(10);
            await Promise.all(lockspaces.map((lockspace) => lockspace.close()));
          },
        });
      });
    }

    it('a writer among readers that never rest has its turn', async () => {
      await explore({
        seeds: SEEDS,
        profile,
        run: async (simulation) => {
          const nodes = contexts(simulation, 3) as [NodeContext, NodeContext, NodeContext];
          const lockspaces = await Promise.all(nodes.map(open));
          const read = async (node: NodeContext, lockspace: Lockspace): Promise<void> => {
            const cached = lockspace.cached('x');
            while (node.now() < FIGHT_MS) {
              const hold = cached.tryHold('PR') ?? (await cached.hold('PR'));
              await node.sleep(HOLD_MS);
              hold.release();
            }
          };
          const [a, b, c] = nodes;
          const [ofA, ofB, ofC] = lockspaces as [Lockspace, Lockspace, Lockspace];
          const [writes] = await Promise.all([
            write(c, ofC, () => undefined),
            read(a, ofA),
            read(b, ofB),
          ]);
          expect(writes).to.be.greaterThan(20);
          await Promise.all(lockspaces.map((lockspace) => lockspace.close()));
        },
      });
    });

    it('those that lock without a cache have their turn, too', async () => {
      await explore({
        seeds: SEEDS,
        profile,
        run: async (simulation) => {
          const [a, b, c] = contexts(simulation, 3) as [NodeContext, NodeContext, NodeContext];
          const lockspaces = await Promise.all([a, b, c].map(open));
          const [ofA, ofB, ofC] = lockspaces as [Lockspace, Lockspace, Lockspace];
          let plain = 0;
          const work = async (): Promise<void> => {
            while (c.now() < FIGHT_MS) {
              await ofC.using('x', 'EX', () => c.sleep(HOLD_MS));
              plain += 1;
            }
          };
          await Promise.all([
            write(a, ofA, () => undefined),
            write(b, ofB, () => undefined),
            work(),
          ]);
          // About one in each round of the caches.
          expect(plain).to.be.greaterThan(5);
          await Promise.all(lockspaces.map((lockspace) => lockspace.close()));
        },
      });
    });
  });
}
