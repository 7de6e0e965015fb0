/** The comparison itself: what it lets pass, and what it finds. */
import { expect } from 'chai';
import { randomInt } from 'node:crypto';

import type { WireEvent } from '../../scripts/conformance/fsdlm/agent.js';
import type { BatchResult, History } from '../../scripts/conformance/fsdlm/batch.js';
import { generate, judge } from '../../scripts/conformance/fsdlm/differential.js';
import { brokenInvariants } from '../../scripts/conformance/fsdlm/invariants.js';
import type { Program } from '../../scripts/conformance/fsdlm/program.js';

const SEQUENCES = 50;
const COMMANDS = 50;
const numbers = Array.from({ length: SEQUENCES }, (_, index) => index);

/** A copy in which one lock was told something else, in the first step where `change` changes it. */
function tampered(
  history: History,
  change: (events: readonly WireEvent[]) => WireEvent[] | undefined,
): History | undefined {
  for (const [index, step] of history.steps.entries()) {
    for (const [lock, events] of step) {
      const changed = change(events);
      if (changed === undefined) continue;
      const steps = history.steps.with(index, new Map([...step, [lock, changed]]));
      return { ...history, steps };
    }
  }
  return undefined;
}

const isGrant = ([, kind, value]: WireEvent): boolean => kind === 'c' && value === 0;

const ways: Readonly<Record<string, (events: readonly WireEvent[]) => WireEvent[] | undefined>> = {
  'a completion that does not come': (events) =>
    events.some(isGrant) ? events.filter((event) => !isGrant(event)) : undefined,
  'a second completion': (events) => {
    const grant = events.find(isGrant);
    return grant && [...events, grant];
  },
};

describe('conformance: the comparison of profile fsdlm', function () {
  this.timeout(60_000);
  const seed = randomInt(2 ** 31);
  let programs: Program[];
  let result: BatchResult;

  before(async function () {
    ({ programs, result } = await generate(seed, numbers, COMMANDS, 0));
  });

  afterEach(function () {
    if (this.currentTest?.state === 'failed') console.log(`      seed ${seed}`);
  });

  /** The result, with one program's history replaced. */
  const withHistory = (run: number, history: History): BatchResult => ({
    ...result,
    histories: result.histories.with(run, history),
  });

  /** Each sequence in turn, changed, as long as it can be. */
  function* changed(way: string): Generator<{ run: number; history: History }> {
    for (const [run, history] of result.histories.entries()) {
      const other = tampered(history, (events) => ways[way]?.(events));
      if (other !== undefined) yield { run, history: other };
    }
  }

  it('makes the same sequences of the same seed', async () => {
    const again = await generate(seed, numbers, COMMANDS, 0);
    expect(again.programs).to.deep.equal(programs);
    expect(again.result).to.deep.equal(result);
  });

  it('has commands of all nodes, on several resources, and races', () => {
    const commands = programs.flatMap(({ steps }) => steps.flat());
    expect(commands).to.have.length.of.at.least(SEQUENCES * COMMANDS);
    expect(new Set(commands.map(({ node }) => node))).to.deep.equal(new Set([1, 2, 3]));
    expect(programs.flatMap(({ steps }) => steps).some((step) => step.length === 2)).to.equal(true);
  });

  it('agrees with itself', async () => {
    expect(await judge(programs, result, '6.1')).to.deep.equal([]);
  });

  it('finds the invariants kept', () => {
    for (const [run, program] of programs.entries()) {
      const history = result.histories[run];
      if (history !== undefined) expect(brokenInvariants(program, history)).to.deep.equal([]);
    }
  });

  for (const way of Object.keys(ways)) {
    it(`finds ${way}`, async () => {
      let count = 0;
      for (const { run, history } of changed(way)) {
        const found = await judge(programs, withHistory(run, history), '6.1', result);
        expect(found.map(({ program }) => program.name)).to.deep.equal([programs[run]?.name]);
        if (++count === 5) break;
      }
      expect(count).to.equal(5);
    });
  }

  it('finds that a second completion breaks the invariants', () => {
    for (const { run, history } of changed('a second completion')) {
      const program = programs[run];
      if (program !== undefined) expect(brokenInvariants(program, history)).to.not.deep.equal([]);
    }
  });
});
