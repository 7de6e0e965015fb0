/**
 * Elections under many seeds, while leaders die, stand still and are cut off: what is led, and refuses lower tokens, sees one
 * leader after the other; no two lead at once who are there; and there always is a successor.
 */
import { expect } from 'chai';

import { DlmError } from '../../lib/index.js';
import {
  explore,
  type NodeContext,
  type Profile,
  type SimulatedNode,
  type Simulation,
} from '../../lib/simulator/index.js';
import { elect, type Term } from '../../lib/recipes/index.js';
import { openAgain } from '../locks/open-again.js';

/** `STACKGLUE_SEEDS=20000 npm test -- test/recipes/elect-explore.test.ts` looks longer. */
const SEEDS = Number(process.env.STACKGLUE_SEEDS ?? (process.env.CI === 'true' ? 400 : 60));

const NODES = [1, 2, 3];
/** It stays, and does nothing, so that tokens are remembered. */
const WITNESS = 4;
/** All milliseconds of virtual time. */
const CHAOS_MS = 100;
const WORK_MS = 150;
const HEALED_MS = 1500;
const CHECK_MS = 3000;

const EVENTS = ['terms', 'steppedDown', 'left', 'lost', 'afterFailure'] as const;
type Tally = Record<(typeof EVENTS)[number], number>;

/** What is led. It has seen a token, and takes nothing that comes with a lower one. */
class Led {
  readonly #tally: Tally;
  #highest = 0n;
  #leader: { readonly token: bigint; readonly isThere: () => boolean } | undefined;

  constructor(tally: Tally) {
    this.#tally = tally;
  }

  begin(token: bigint, isThere: () => boolean): void {
    const before = this.#leader;
    if (before?.isThere() === true) throw new Error(`${token} begins while ${before.token} leads`);
    if (token <= this.#highest) throw new Error(`${token} is not above ${this.#highest}`);
    if (before !== undefined) this.#tally.afterFailure += 1;
    this.#highest = token;
    this.#leader = { token, isThere };
    this.#tally.terms += 1;
  }

  /** Whether it takes what comes with this token. */
  takes(token: bigint): boolean {
    return token >= this.#highest;
  }

  end(token: bigint): void {
    if (this.#leader?.token === token) this.#leader = undefined;
  }
}

class Candidate {
  readonly #led: Led;
  readonly #node: NodeContext;
  readonly #runs: () => boolean;
  readonly #tally: Tally;
  readonly over: Promise<void>;

  constructor(led: Led, node: NodeContext, runs: () => boolean, tally: Tally) {
    this.#led = led;
    this.#node = node;
    this.#runs = runs;
    this.#tally = tally;
    this.over = this.#live();
  }

  /** When all is well whoever stands leads. */
  async check(): Promise<void> {
    await this.over;
    await this.#stand(true);
  }

  async #live(): Promise<void> {
    while (this.#node.now() < WORK_MS) await this.#stand(false);
  }

  async #stand(once: boolean): Promise<void> {
    const ls = await openAgain(
      'elections',
      this.#node,
      () => undefined,
      () => ({ tokens: true }),
    );
    try {
      for await (const term of elect(ls, 'leader')) {
        await this.#lead(term);
        if (once || this.#node.now() >= WORK_MS) break;
        if (this.#node.random() < 0.2) {
          this.#tally.left += 1;
          break;
        }
        this.#tally.steppedDown += 1;
      }
    } catch (error) {
      if (!(error instanceof DlmError && error.code === 'ERR_DLM_LOST')) throw error;
      this.#tally.lost += 1;
    }
    await ls.close();
  }

  async #lead({ token, signal }: Term): Promise<void> {
    // What a node that is dead has been told before is nobody's concern.
    if (this.#runs()) this.#led.begin(token, () => this.#runs() && !signal.aborted);
    const leads = (): boolean => this.#runs() && !signal.aborted;
    for (let writes = 0; writes < 3; writes += 1) {
      await this.#node.sleep(this.#node.random() * 3);
      if (!this.#led.takes(token) && leads()) throw new Error(`${token} is refused, and leads`);
    }
    this.#led.end(token);
  }
}

function start(led: Led, simulation: Simulation, number: number, tally: Tally): SimulatedNode {
  return simulation.node(number, {
    program: (context) => {
      const itself = simulation.node(number);
      const runs = (): boolean => itself.state !== 'down' && itself.context === context;
      const candidate = new Candidate(led, context, runs, tally);
      candidate.over.catch((error: unknown) => {
        if (runs()) simulation.fail(error);
      });
      return { check: () => candidate.check() };
    },
  });
}

async function scenario(simulation: Simulation, tally: Tally): Promise<void> {
  const led = new Led(tally);
  const witness = simulation.node(WITNESS);
  await openAgain(
    'elections',
    witness.context,
    () => undefined,
    () => ({ tokens: true }),
  );
  const nodes = NODES.map((number) => start(led, simulation, number, tally));
  simulation.chaos({
    nodes,
    kills: 2,
    partitions: 2,
    pauses: 2,
    stops: 1,
    withinMs: CHAOS_MS,
    lengthMs: [2, 100],
  });
  await simulation.sleep(HEALED_MS);
  for (const node of nodes) if (node.state === 'down') node.start();
  await simulation.sleep(CHECK_MS - HEALED_MS);
  for (const node of nodes) await node.call('check');
}

describe('elect, explored', () => {
  for (const profile of ['o2dlm', 'fsdlm'] as const satisfies readonly Profile[]) {
    it(`one leads after the other: ${profile}, ${SEEDS} seeds`, async () => {
      const tally = Object.fromEntries(EVENTS.map((event) => [event, 0])) as Tally;
      const seeds = await explore({
        seeds: SEEDS,
        profile,
        delayUs: [10, 100],
        detectMs: 20,
        run: (simulation) => scenario(simulation, tally),
      });
      expect(seeds).to.equal(SEEDS);
      console.log(`      ${JSON.stringify(tally)}`);
      for (const event of EVENTS) expect(tally[event], event).to.be.greaterThan(0);
    });
  }
});
