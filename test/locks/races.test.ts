/**
 * Grants against aborts, timeouts and closes, 100,000 of them; whoever wins, nothing is left. Who wins is
 * decided by the order in which things are done, which a seed draws, and never by how fast the host is.
 */
import { expect } from 'chai';
import { getEventListeners } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';

import { DlmError, openLockspace, type Lock, type Lockspace } from '../../lib/index.js';
import { freshCluster } from '../stackglue/test-node.js';
import { Random } from '../support/random.js';
import { scriptedStack, type ManualClock } from './scripted.js';

const RACES = 100_000;
const RACES_EACH = 10;
const TIMEOUT_MS = 5;
const LATER_MS = 1000;

type Winner = 'grant' | 'abort' | 'timeout' | 'close';
const WINNERS: readonly Winner[] = ['grant', 'abort', 'timeout', 'close'];

class Race {
  readonly controller = new AbortController();
  readonly outcome: Promise<Winner>;
  granted: Lock | undefined;

  constructor(
    readonly waiter: Lockspace,
    readonly holder: Lock,
    /** Who is given a start. */
    readonly favourite: Winner,
  ) {
    this.outcome = this.#run();
  }

  async #run(): Promise<Winner> {
    try {
      this.granted = await this.waiter.lock(this.holder.name, 'EX', {
        signal: this.controller.signal,
        timeoutMs: this.favourite === 'timeout' ? TIMEOUT_MS : LATER_MS,
      });
      return 'grant';
    } catch (error) {
      if (error === this.controller.signal.reason) return 'abort';
      if (!(error instanceof DlmError)) throw error;
      if (error.code === 'ERR_DLM_TIMEOUT') return 'timeout';
      expect(error.code).to.equal('ERR_DLM_CLOSED');
      return 'close';
    }
  }
}

/** All races on one lockspace: its time and its end are theirs together. */
async function batch(
  races: readonly Race[],
  waiter: Lockspace,
  clock: ManualClock,
  random: Random,
): Promise<Winner[]> {
  const favour = (favourite: Winner, action: (race: Race) => void): void => {
    for (const race of races) if (race.favourite === favourite) action(race);
  };
  const release = (race: Race): void => void race.holder.release();
  const abort = (race: Race): void => race.controller.abort();
  const sometimesLater = async (): Promise<void> => {
    if (random.chance(0.5)) await nextTurn();
  };

  // A grant is on its way when the request is given up; or it is not.
  if (random.chance(0.5)) favour('abort', release);
  favour('abort', abort);
  if (random.chance(0.5)) favour('timeout', release);
  clock.advance(TIMEOUT_MS);
  // What loses to a grant comes in its very turn, or later.
  favour('grant', release);
  for (const race of races) if (race.favourite === 'grant') await race.outcome;
  await sometimesLater();
  favour('grant', abort);
  // The same with the end of all.
  if (random.chance(0.5)) favour('close', release);
  const closing = waiter.close();
  favour('close', abort);
  clock.advance(LATER_MS);
  await sometimesLater();
  await closing;
  return Promise.all(races.map((race) => race.outcome));
}

describe('races of a grant', function () {
  this.timeout(0);

  for (const stack of ['o2cb', 'user'] as const) {
    it(`against abort, timeout and close leave nothing: ${stack}`, async () => {
      const random = new Random();
      console.log(`      seed ${random.seed}`);
      const cluster = freshCluster();
      const { plugin } = scriptedStack(stack, 1, cluster);
      const holders = await openLockspace('races', { stack: plugin });
      const wins: Record<Winner, number> = { grant: 0, abort: 0, timeout: 0, close: 0 };
      for (let count = 0; count < RACES / 2; count += RACES_EACH) {
        const { plugin: waiting, clock } = scriptedStack(stack, 2, cluster);
        const waiter = await openLockspace('races', { stack: waiting });
        const races: Race[] = [];
        for (let index = 0; index < RACES_EACH; index += 1) {
          const holder = await holders.lock(`race-${index}`, 'EX');
          const favourite = random.pick(WINNERS);
          races.push(new Race(waiter, holder, favourite));
        }
        const winners = await batch(races, waiter, clock, random);
        for (const [index, winner] of winners.entries()) {
          wins[winner] += 1;
          const race = races[index]!;
          expect(getEventListeners(race.controller.signal, 'abort')).to.deep.equal([]);
          await race.holder.release();
          expect(race.granted !== undefined).to.equal(winner === 'grant');
        }
        expect(clock.pending).to.equal(0);
        expect(waiter.withdrawals).to.equal(0);
        for (let index = 0; index < RACES_EACH; index += 1) {
          const free = await holders.tryLock(`race-${index}`, 'EX');
          expect(free, `race-${index}`).not.to.equal(null);
          await free?.release();
        }
      }
      await holders.close();
      console.log(`      ${JSON.stringify(wins)}`);
      for (const winner of WINNERS) expect(wins[winner], winner).to.be.at.least(RACES / 2 / 5);
    });
  }
});
