/** A node that is cut off: its lockspace stops, and the programs that use it go on. */
import { expect } from 'chai';
import { setTimeout as sleep } from 'node:timers/promises';

import { LineProcess, useCluster } from '../support/vm-world.js';
import { longestPause, longestPauseAlone, median, splitPauses } from '../support/pauses.js';
import type { ServiceReport } from '../guest/watched-service.js';

/** How long the node is cut off; this is what is measured, not a wait for something. */
const CUT_OFF_MS = 20_000;

/** In so many parts of that time calls are made: an odd number, for a median. */
const ROUNDS = 11;

/** By how much a loop may pause longer than that of a program that does nothing. */
const EXTRA_PAUSE_MS = 50;

/**
 * For each round: how much longer the service's loop paused than its idle neighbour's, at most, both
 * without the time in which the other's did not turn either.
 */
function extraPauses(service: ServiceReport, idle: ServiceReport): number[] {
  const own = splitPauses(service.pauses, service.time, ROUNDS);
  return own.map((pauses, round) => {
    const neighbours = splitPauses(idle.pauses, service.time, ROUNDS)[round] ?? [];
    return longestPauseAlone(pauses, idle.pauses) - longestPauseAlone(neighbours, service.pauses);
  });
}

function describeReport(name: string, { pauses, ...rest }: ServiceReport): string {
  const longestPauseMs = Math.round(longestPause(pauses));
  const { ticks, answers, completions } = rest;
  const slowestAnswerMs = Math.round(rest.slowestAnswerMs);
  const all = { longestPauseMs, ticks, answers, slowestAnswerMs, completions };
  return `${name.padEnd(8)}${JSON.stringify(all)}`;
}

describe('a node that is cut off', function () {
  this.timeout(180_000);
  const getCluster = useCluster({ nodes: 3, membership: 'corosync' });

  it('stops the lockspace but not the event loop', async () => {
    const cluster = getCluster();
    // Other members, so that being alone means to be without quorum.
    await cluster.node(2).exec('dlm_tool join watched');
    await cluster.node(3).exec('dlm_tool join watched');
    const startService = (kind: string): LineProcess =>
      new LineProcess(
        cluster.node(1).spawn(`exec node dist/test/guest/watched-service.js ${kind}`),
      );
    const idle = startService('idle');
    const locking = startService('locks');
    const stalling = startService('stalls');
    const services = [idle, locking, stalling];
    expect(await idle.line()).to.equal('prepared');
    expect(await locking.line()).to.equal('prepared 1');
    expect(await stalling.line()).to.equal('prepared');
    for (const service of services) expect(await service.ask('warm up')).to.equal('warm');

    await cluster.isolate(1);
    await cluster.node(1).exec(
      // The lockspace is stopped once dlm_controld has written 0 to its control file.
      'until dlm_tool ls | grep -q "stop\\|wait"; do usleep 50000; done',
    );
    for (const service of services) expect(await service.ask('start')).to.equal('started');
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const service of services) {
        expect(await service.ask(`round ${round} of ${ROUNDS}`)).to.equal('done');
      }
      await sleep(CUT_OFF_MS / ROUNDS);
    }
    const report = async (service: LineProcess): Promise<ServiceReport> =>
      JSON.parse(await service.ask('report')) as ServiceReport;
    const calm = await report(idle);
    const busy = await report(locking);
    const stalled = await report(stalling);
    const extra = extraPauses(busy, calm);
    const extraOfStalls = extraPauses(stalled, calm);
    const inMs = (values: readonly number[]): string => values.map(Math.round).join(', ');
    console.log(`      ${describeReport('idle', calm)}`);
    console.log(`      ${describeReport('locking', busy)}`);
    console.log(`      ${describeReport('stalling', stalled)}`);
    console.log(
      `      more than idle, each round: ${inMs(extra)} ms; stalls ${inMs(extraOfStalls)} ms`,
    );

    expect(busy.completions, 'of 100 calls').to.be.below(100);
    expect(median(extra)).to.be.below(EXTRA_PAUSE_MS);
    // A loop that stands still for 400 ms in each round is seen.
    expect(median(extraOfStalls)).to.be.above(EXTRA_PAUSE_MS);
    for (const { ticks, answers } of [calm, busy]) {
      expect(ticks).to.be.above(CUT_OFF_MS / 20 / 4);
      expect(answers).to.be.above(CUT_OFF_MS / 20 / 8);
    }
  });
});
