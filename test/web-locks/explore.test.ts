/**
 * Programs that lock, share, steal, give up and query on nodes that die, stop and are cut off, under many seeds: no two that
 * exclude each other are ever in their callbacks with locks that have not been stolen or lost, and all goes on afterwards.
 */
import { expect } from 'chai';

import type { Lockspace } from '../../lib/index.js';
import {
  explore,
  type NodeContext,
  type Profile,
  type SimulatedNode,
  type Simulation,
} from '../../lib/simulator/index.js';
import { webLocks, type WebLockMode } from '../../lib/web-locks/index.js';
import { openAgain } from '../locks/open-again.js';

/** `STACKGLUE_SEEDS=20000 npm test -- test/web-locks/explore.test.ts` looks longer. */
const SEEDS = Number(process.env.STACKGLUE_SEEDS ?? (process.env.CI === 'true' ? 400 : 60));

const NAMES = ['a', 'b'];
const NODES = [1, 2, 3];
/** All milliseconds of virtual time. */
const WORK_MS = 150;
const HEALED_MS = 1500;
const CHECK_MS = 4000;

interface Tally {
  granted: number;
  shared: number;
  stolen: number;
  robbed: number;
  missed: number;
  aborted: number;
  lost: number;
  queried: number;
}

const newTally = (): Tally => ({
  granted: 0,
  shared: 0,
  stolen: 0,
  robbed: 0,
  missed: 0,
  aborted: 0,
  lost: 0,
  queried: 0,
});

/** Somebody in his callback, whose promise has not been rejected. */
interface Holder {
  readonly name: string;
  readonly mode: WebLockMode;
  readonly title: string;
  readonly isThere: () => boolean;
}

/** Knows who holds what, in the whole cluster. */
class Judge {
  readonly #holders = new Set<Holder>();

  enter(holder: Holder): void {
    for (const other of this.#holders) {
      if (other.name !== holder.name || !other.isThere()) continue;
      if (other.mode === 'shared' && holder.mode === 'shared') continue;
      throw new Error(`${holder.title} has "${holder.name}", and so has ${other.title}`);
    }
    this.#holders.add(holder);
  }

  /** Returns whether it was there. */
  leave(holder: Holder): boolean {
    return this.#holders.delete(holder);
  }
}

class Program {
  readonly #judge: Judge;
  readonly #node: NodeContext;
  readonly #runs: () => boolean;
  readonly #tally: Tally;
  #lives = 0;
  readonly over: Promise<void>;

  constructor(judge: Judge, node: NodeContext, runs: () => boolean, tally: Tally) {
    this.#judge = judge;
    this.#node = node;
    this.#runs = runs;
    this.#tally = tally;
    this.over = this.#live();
  }

  async check(): Promise<void> {
    await this.over;
    const ls = await this.#open();
    const locks = webLocks(ls);
    for (const name of NAMES) {
      await locks.request(name, () => undefined);
      await locks.request(name, { steal: true }, () => undefined);
    }
    await locks.query();
    await ls.close();
  }

  #open(): Promise<Lockspace> {
    return openAgain('web-locks', this.#node, () => undefined);
  }

  #below(limit: number): number {
    return Math.floor(this.#node.random() * limit);
  }

  async #live(): Promise<void> {
    while (this.#node.now() < WORK_MS) {
      this.#lives += 1;
      const ls = await this.#open();
      const works = Array.from({ length: 2 }, (_, index) => this.#work(ls, index));
      await Promise.all(works);
      await ls.close();
    }
  }

  async #work(ls: Lockspace, index: number): Promise<void> {
    const title = `node ${this.#node.number}, life ${this.#lives}, ${index}`;
    // A lockspace that is lost is opened anew.
    while (this.#node.now() < WORK_MS && !ls.lost.aborted) {
      try {
        await this.#once(ls, title);
      } catch (error) {
        if (!(error instanceof DOMException)) throw error;
        if (error.cause !== undefined) this.#tally.lost += 1;
        else if (error.name !== 'AbortError') throw error;
      }
      await this.#node.sleep(this.#below(4));
    }
  }

  async #once(ls: Lockspace, title: string): Promise<void> {
    const locks = webLocks(ls);
    const name = NAMES[this.#below(NAMES.length)]!;
    const mode: WebLockMode = this.#below(2) === 0 ? 'shared' : 'exclusive';
    const kind = this.#below(12);
    if (kind === 0) {
      await locks.query();
      this.#tally.queried += 1;
      return;
    }
    const steal = kind === 1;
    const ending = new AbortController();
    if (kind === 2) this.#node.setTimeout(() => ending.abort(), 1 + this.#below(30));
    const holder: Holder = {
      name,
      mode: steal ? 'exclusive' : mode,
      title,
      isThere: () => this.#runs() && ls.health.state !== 'lost',
    };
    const options = steal
      ? { steal }
      : { mode, ...(kind === 2 ? { signal: ending.signal } : kind === 3 && { ifAvailable: true }) };
    const outcome = locks.request(name, options, async (lock) => {
      if (lock === null) {
        this.#tally.missed += 1;
        return;
      }
      if (this.#runs()) this.#judge.enter(holder);
      this.#tally[steal ? 'stolen' : mode === 'shared' ? 'shared' : 'granted'] += 1;
      await this.#node.sleep(this.#below(6));
      this.#judge.leave(holder);
    });
    try {
      await outcome;
    } catch (error) {
      const wasIn = this.#judge.leave(holder);
      const isLost = error instanceof DOMException && error.cause !== undefined;
      if (wasIn && !isLost) this.#tally.robbed += 1;
      else if (ending.signal.aborted) this.#tally.aborted += 1;
      throw error;
    }
  }
}

function start(judge: Judge, simulation: Simulation, number: number, tally: Tally): SimulatedNode {
  return simulation.node(number, {
    program: (context) => {
      const itself = simulation.node(number);
      const runs = (): boolean => itself.state !== 'down' && itself.context === context;
      const program = new Program(judge, context, runs, tally);
      // What a dead node's code does is nobody's concern.
      program.over.catch((error: unknown) => {
        if (runs()) simulation.fail(error);
      });
      return { check: () => program.check() };
    },
  });
}

async function scenario(simulation: Simulation, tally: Tally): Promise<void> {
  const judge = new Judge();
  const nodes = NODES.map((number) => start(judge, simulation, number, tally));
  simulation.chaos({
    nodes,
    kills: 1,
    partitions: 1,
    pauses: 1,
    stops: 1,
    withinMs: WORK_MS,
    lengthMs: [2, 100],
  });
  await simulation.sleep(HEALED_MS);
  for (const node of nodes) if (node.state === 'down') node.start();
  await simulation.sleep(CHECK_MS - HEALED_MS);
  for (const node of nodes) await node.call('check');
}

describe('web locks, explored', () => {
  for (const profile of ['o2dlm', 'fsdlm'] as const satisfies readonly Profile[]) {
    it(`exclude each other, and go on: ${profile}, ${SEEDS} seeds`, async () => {
      const tally = newTally();
      const seeds = await explore({
        seeds: SEEDS,
        profile,
        delayUs: [10, 100],
        detectMs: 20,
        run: (simulation) => scenario(simulation, tally),
      });
      expect(seeds).to.equal(SEEDS);
      console.log(`      ${JSON.stringify(tally)}`);
      for (const [what, count] of Object.entries(tally) as [keyof Tally, number][]) {
        expect(count, what).to.be.greaterThan(0);
      }
    });
  }
});
