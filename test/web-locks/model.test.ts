/**
 * Requests at random, several in one turn, against the algorithms of the specification: what is granted, in which order,
 * what is missed, robbed and aborted, and what query() shows. STACKGLUE_SEED repeats a run.
 */
import { expect } from 'chai';
import fc from 'fast-check';

import { openLockspace } from '../../lib/index.js';
import { webLocks, type WebLockManager, type WebLockMode } from '../../lib/web-locks/index.js';
import { freshCluster } from '../stackglue/test-node.js';
import { hold, type Gate } from './gates.js';
import { Model, type ModelRequest, type State } from './model.js';

const seed = Number(process.env.STACKGLUE_SEED ?? Math.trunc(Math.random() * 2 ** 31));
const RUNS = Number(process.env.STACKGLUE_RUNS ?? 300);

interface Ask {
  readonly kind: 'ask';
  readonly name: string;
  readonly mode: WebLockMode;
  readonly how: 'wait' | 'ifAvailable' | 'steal';
}
/** `pick`: which of those that there are. */
type Step = Ask | { readonly kind: 'abort' | 'release'; readonly pick: number };

const name = fc.constantFrom('a', 'b');
const mode = fc.constantFrom<WebLockMode>('exclusive', 'shared');
const ask: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('ask' as const),
      name,
      mode,
      how: fc.constant('wait' as const),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('ask' as const),
      name,
      mode,
      how: fc.constant('ifAvailable' as const),
    }),
  },
  {
    weight: 1,
    arbitrary: name.map((its): Ask => ({
      kind: 'ask',
      name: its,
      mode: 'exclusive',
      how: 'steal',
    })),
  },
);
const end: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom('abort' as const, 'release' as const, 'release' as const),
  pick: fc.nat(100),
});
/** Turns of a program: what is done in one of them is done without waiting for anything. */
const turns = fc.array(fc.array(fc.oneof(ask, end), { minLength: 1, maxLength: 6 }), {
  minLength: 1,
  maxLength: 8,
});

/** A request on both sides. */
interface Pair {
  readonly model: ModelRequest;
  readonly gate: Gate;
  readonly controller: AbortController;
  /** How the promise has settled. */
  settled: string | undefined;
}

const SETTLED: Readonly<Record<State, string | undefined>> = {
  pending: undefined,
  held: undefined,
  missed: 'opened',
  robbed: 'AbortError',
  aborted: 'given up',
  released: 'opened',
};

class Comparison {
  readonly #locks: WebLockManager;
  readonly #model = new Model();
  readonly #pairs: Pair[] = [];
  /** In which order callbacks were called, by name; misses not. */
  readonly #called: ModelRequest[] = [];
  /** They come before those who wait. */
  readonly #thieves = new Set<ModelRequest>();

  constructor(locks: WebLockManager) {
    this.#locks = locks;
  }

  async turn(steps: readonly Step[]): Promise<void> {
    // Whose state the program can know.
    const before = this.#pairs.map(({ model }) => model.state);
    const released: Pair[] = [];
    for (const step of steps) {
      if (step.kind === 'ask') {
        this.#ask(step);
        continue;
      }
      const wanted = step.kind === 'abort' ? 'pending' : 'held';
      const there = this.#pairs.filter(
        ({ model }, index) => before[index] === wanted && model.state === wanted,
      );
      const pair = there[step.pick % there.length];
      if (pair === undefined || released.includes(pair)) continue;
      if (step.kind === 'release') {
        pair.gate.open('opened');
        // The lock is given up in a later turn, by the reaction to the promise.
        released.push(pair);
      } else if (pair.model.state === 'pending') {
        pair.controller.abort('given up');
        this.#model.abort(pair.model);
      }
    }
    for (const { model } of released) if (model.state === 'held') this.#model.release(model);
    await this.#compare();
  }

  /** Lets go of everything, in turn. */
  async end(): Promise<void> {
    for (;;) {
      const held = this.#pairs.find(({ model }) => model.state === 'held');
      if (held === undefined) break;
      held.gate.open('opened');
      this.#model.release(held.model);
      await this.#compare();
    }
    expect(this.#model.pending).to.deep.equal({});
  }

  #ask({ name: itsName, mode: itsMode, how }: Ask): void {
    const model: ModelRequest = {
      id: this.#pairs.length,
      name: itsName,
      mode: itsMode,
      state: 'pending',
    };
    const controller = new AbortController();
    const { signal } = controller;
    const gate = hold(this.#locks, itsName, {
      mode: itsMode,
      ...(how === 'wait' && { signal }),
      ...(how === 'steal' && { steal: true }),
      ...(how === 'ifAvailable' && { ifAvailable: true }),
    });
    const pair: Pair = { model, gate, controller, settled: undefined };
    this.#pairs.push(pair);
    void gate.called.then((lock) => {
      if (lock === null) gate.open('opened');
      else this.#called.push(model);
    });
    gate.outcome.then(
      (value) => (pair.settled = value as string),
      (error: unknown) => {
        pair.settled = error instanceof DOMException ? error.name : (error as string);
      },
    );
    if (how === 'steal') this.#thieves.add(model);
    this.#model.request(model, how);
  }

  async #compare(): Promise<void> {
    for (const { model, gate } of this.#pairs) {
      if (model.state === 'held')
        expect(await gate.called, show(model)).to.include({ name: model.name });
      const isOver = SETTLED[model.state] !== undefined;
      if (isOver) await gate.outcome.catch(() => undefined);
    }
    const { held = [], pending = [] } = await this.#locks.query();
    for (const { model, settled } of this.#pairs) {
      expect(settled, show(model)).to.equal(SETTLED[model.state]);
    }
    const shown = held.map((lock) => `${lock.name} ${lock.mode}`);
    expect(shown.sort()).to.deep.equal(this.#model.held);
    expect(group(pending)).to.deep.equal(this.#model.pending);
    this.#checkOrder();
  }

  /** Those who wait for one name are called in the order of their queue. */
  #checkOrder(): void {
    for (const itsName of ['a', 'b']) {
      const called = this.#called.filter((each) => each.name === itsName);
      const waited = called.filter((each) => !this.#thieves.has(each)).map(({ id }) => id);
      expect(waited).to.deep.equal([...waited].sort((one, other) => one - other));
    }
  }
}

function show({ id, name: itsName, mode: itsMode, state }: ModelRequest): string {
  return `request ${id}, ${itsName} ${itsMode}, which is ${state}`;
}

function group(pending: readonly { name?: string; mode?: string }[]): Record<string, string[]> {
  const queues: Record<string, string[]> = {};
  for (const each of pending) (queues[`${each.name}`] ??= []).push(`${each.name} ${each.mode}`);
  return queues;
}

describe('web locks against the specification', () => {
  before(() => console.log(`      seed ${seed}`));

  for (const stack of ['o2cb', 'emulated'] as const) {
    it(`do what its algorithms do: ${stack}`, async () => {
      const cluster = freshCluster();
      let runs = 0;
      const property = fc.asyncProperty(turns, async (all) => {
        runs += 1;
        const ls = await openLockspace(`model-${runs}`, { stack, cluster, node: 1 });
        try {
          const comparison = new Comparison(webLocks(ls));
          for (const steps of all) await comparison.turn(steps);
          await comparison.end();
        } finally {
          await ls.close();
        }
      });
      await fc.assert(property, { seed, numRuns: RUNS });
    });
  }
});
