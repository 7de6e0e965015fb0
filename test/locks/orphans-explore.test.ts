/**
 * Persistent locks under many seeds: services that lock, convert, release, adopt and close, and end at any moment.
 * What was held at rest keeps others out, and all that is left can be adopted.
 */
import { expect } from 'chai';

import { DlmError, openLockspace, type Lock, type Lockspace, type Mode } from '../../lib/index.js';
import { explore, type Simulation } from '../../lib/simulator/index.js';
import { atRest } from './worlds.js';

/** `STACKGLUE_SEEDS=5000 npm test -- test/locks/orphans-explore.test.ts` looks longer. */
const SEEDS = Number(process.env.STACKGLUE_SEEDS ?? (process.env.CI === 'true' ? 500 : 150));
const NAMES = ['a', 'b'] as const;
const MODES = ['EX', 'PR', 'NL'] as const satisfies readonly Mode[];
const LIVES = 8;
/** Milliseconds; opening takes about 2, and a request about 2. */
const LIFE_MAX = 40;
const EXPECTED = ['ERR_DLM_TIMEOUT', 'ERR_DLM_ORPHAN_MODE', 'ERR_DLM_DEADLOCK', 'ERR_DLM_CLOSED'];

type Name = (typeof NAMES)[number];
type Seen = 'left' | 'adopted' | 'otherMode' | 'closed' | 'keptOut' | 'letIn';

/** One life of the service. */
class Life {
  readonly #ls: Lockspace;
  readonly #seen: Record<Seen, number>;
  readonly #locks = new Map<Name, Lock>();
  /** What nobody else may get while it is so: held in EX, and nothing is being done with it. */
  readonly atRest = new Set<Name>();
  hasEnded = false;

  constructor(ls: Lockspace, seen: Record<Seen, number>) {
    this.#ls = ls;
    this.#seen = seen;
  }

  #pick<Item>(items: readonly Item[]): Item {
    return items[Math.floor(this.#ls.clock.random() * items.length)] as Item;
  }

  async #step(left: Set<Name>): Promise<boolean> {
    const name = this.#pick(NAMES);
    const mode = this.#pick(MODES);
    const lock = this.#locks.get(name);
    if (lock === undefined) {
      const adopted = await this.#ls.adopt(name, mode, { persistent: true });
      if (adopted !== null) {
        this.#seen.adopted += 1;
        left.delete(name);
      }
      const taken =
        adopted ?? (await this.#ls.lock(name, mode, { persistent: true, timeoutMs: 5 }));
      this.#locks.set(name, taken);
    } else if (this.#pick([true, false])) {
      this.atRest.delete(name);
      await lock.convert(mode, { timeoutMs: 5 });
    } else {
      this.atRest.delete(name);
      this.#locks.delete(name);
      await lock.release();
    }
    if (this.#locks.get(name)?.mode === 'EX') this.atRest.add(name);
    return this.#pick([true, true, true, true, true, true, false]);
  }

  async run(left: Set<Name>): Promise<void> {
    for (let goesOn = true; goesOn && !this.hasEnded;) {
      try {
        goesOn = await this.#step(left);
      } catch (error) {
        if (!(error instanceof DlmError && EXPECTED.includes(error.code))) throw error;
        if (error.code === 'ERR_DLM_ORPHAN_MODE') this.#seen.otherMode += 1;
      }
    }
    if (this.hasEnded) return;
    this.#seen.closed += 1;
    await this.#ls.close();
  }
}

async function scene(simulation: Simulation, seen: Record<Seen, number>): Promise<void> {
  const node = simulation.node(1);
  const same = await openLockspace('orphans', { stack: node.plugin });
  const other = await openLockspace('orphans', { stack: simulation.node(2).plugin });
  const left = new Set<Name>();
  for (let life = 0; life < LIVES; life += 1) {
    const process = node.spawn();
    const ls = await openLockspace('orphans', { stack: process.plugin });
    const inTheWay = await other.tryLock('a', 'EX');
    const service = new Life(ls, seen);
    const failed = service.run(left).then(
      () => undefined,
      (error: unknown) => error,
    );
    // Nothing of a process goes on when it has ended, so neither does what waits for it.
    const ended = simulation.sleep(same.clock.random() * LIFE_MAX).then(() => undefined);
    const error = await Promise.race([failed, ended]);
    service.hasEnded = true;
    process.end();
    if (error !== undefined) throw error as Error;
    await inTheWay?.release();
    for (const name of service.atRest) left.add(name);
    seen.left += service.atRest.size;
    for (const name of NAMES) {
      const lock = await other.tryLock(name, 'PR');
      if (left.has(name)) expect(lock, `${name} is kept`).to.equal(null);
      seen[lock === null ? 'keptOut' : 'letIn'] += 1;
      await lock?.release();
    }
  }
  for (const name of NAMES) {
    await adoptAll(same, name);
    for (const ls of [same, other]) {
      await (await ls.lock(name, 'EX', { timeoutMs: 1000 })).release();
    }
  }
  await atRest(same);
}

/** Takes up all that was left of a name, and gives it up. */
async function adoptAll(ls: Lockspace, name: Name): Promise<void> {
  for (const mode of MODES) {
    for (;;) {
      const isLast = mode === MODES.at(-1);
      const lock = await ls.adopt(name, mode).catch((error: unknown) => {
        if (isLast || !(error instanceof DlmError && error.code === 'ERR_DLM_ORPHAN_MODE')) {
          throw error;
        }
        return null;
      });
      if (lock === null) break;
      await lock.release();
    }
  }
}

describe('persistent locks, explored', function () {
  // It ends by itself.
  this.timeout(0);

  it(`protect on, and all that is left can be adopted: ${SEEDS} seeds`, async () => {
    const seen = { left: 0, adopted: 0, otherMode: 0, closed: 0, keptOut: 0, letIn: 0 };
    await explore({ seeds: SEEDS, profile: 'fsdlm', run: (each) => scene(each, seen) });
    for (const [what, count] of Object.entries(seen)) expect(count, what).to.be.greaterThan(0);
  });
});
