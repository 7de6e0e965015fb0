/** The comparison itself: what it lets pass, and what it finds. */
import { expect } from 'chai';
import { constants } from 'node:os';

import { DLM_LKF, DLM_LOCK } from '../../lib/glue.js';
import type { WireEvent } from '../../scripts/differential/fsdlm/agent.js';
import type { BatchResult, History } from '../../scripts/differential/fsdlm/batch.js';
import { generate, judge } from '../../scripts/differential/fsdlm/differential.js';
import { brokenInvariants } from '../../scripts/differential/fsdlm/invariants.js';
import type { Command, Program, Step } from '../../scripts/differential/fsdlm/program.js';
import { Random } from '../support/random.js';

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

describe('differential: the comparison of profile fsdlm', function () {
  const { seed } = new Random();
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

  /** The invariants of the sequence of that number that a history breaks. */
  function brokenBy(run: number, history: History | undefined): readonly string[] {
    const program = programs[run];
    if (program === undefined || history === undefined) throw new Error(`no sequence ${run}`);
    return brokenInvariants(program, history);
  }

  it('finds the invariants kept', () => {
    for (const run of numbers) expect(brokenBy(run, result.histories[run])).to.deep.equal([]);
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
    const all = [...changed('a second completion')];
    expect(all).to.not.deep.equal([]);
    for (const { run, history } of all) expect(brokenBy(run, history)).to.not.deep.equal([]);
  });

  describe('what kernels were seen to do in races', () => {
    const { NL, CR, CW, PR, PW, EX } = DLM_LOCK;
    const { VALBLK, NOQUEUE, NOQUEUEBAST, FORCEUNLOCK, CANCEL } = DLM_LKF;
    const { EAGAIN, EBUSY } = constants.errno;
    const lock = (node: number, number: number, mode: number, flags = 0): Command => ({
      do: 'lock',
      node,
      lock: number,
      resource: 0,
      mode,
      flags,
    });
    const unlock = (node: number, number: number, flags = 0, lvb?: string): Command => ({
      do: 'unlock',
      node,
      lock: number,
      flags,
      ...(lvb === undefined ? {} : { lvb }),
    });

    const convert = (
      node: number,
      number: number,
      mode: number,
      flags = 0,
      lvb?: string,
    ): Command => ({
      do: 'convert',
      node,
      lock: number,
      mode,
      flags,
      ...(lvb === undefined ? {} : { lvb }),
    });

    /** Judges one sequence that the kernel answered so, step by step. */
    async function disagreements(
      story: readonly (readonly [Step, Readonly<Record<number, WireEvent[]>>])[],
    ): Promise<string[]> {
      const steps = story.map(([step]) => step);
      const told = story.map(
        ([, events]) => new Map(Object.entries(events).map(([of, list]) => [Number(of), list])),
      );
      const kernel = { histories: [{ steps: told }], notices: [] };
      const found = await judge([{ name: 'story', steps }], kernel, '6.1');
      return found.flatMap(({ engine }) => engine);
    }
    const granted = (of: number, lvb = ''): WireEvent => [of, 'c', 0, 0, lvb];

    it('a grant that meets an unlock by force brings no value block', async () => {
      const story = (lvb: string) =>
        disagreements([
          [[lock(3, 0, EX)], { 0: [granted(0)] }],
          [[lock(1, 1, EX)], { 0: [[0, 'b', EX]] }],
          [[lock(2, 2, PR)], {}],
          [
            [unlock(3, 0, VALBLK | FORCEUNLOCK, 'v2')],
            { 0: [[0, 'u', 0, 0]], 1: [granted(1), [1, 'b', PR]] },
          ],
          [[lock(3, 3, CR, VALBLK)], {}],
          [[lock(3, 4, EX)], { 1: [[1, 'b', EX]] }],
          [[lock(2, 5, CW, VALBLK)], {}],
          [
            [unlock(2, 2, CANCEL), unlock(3, 3, CANCEL)],
            { 2: [[2, 'x', 0, 0]], 3: [[3, 'x', 0, 0]] },
          ],
          [
            [convert(1, 1, CW, VALBLK, 'v4'), lock(2, 6, NL, VALBLK | FORCEUNLOCK)],
            { 1: [granted(1, 'v4'), [1, 'b', EX]] },
          ],
          [
            [unlock(2, 5, FORCEUNLOCK), unlock(3, 4, CANCEL)],
            {
              4: [[4, 'x', 0, 0]],
              5: [granted(5, lvb), [5, 'u', 0, 0]],
              6: [granted(6, 'v4')],
            },
          ],
        ]);
      expect(await story('')).to.deep.equal([]);
      expect(await story('of nobody')).to.not.deep.equal([]);
    });

    it('a lock whose unlock was refused while it waited is held in the mode that it asked for', async () => {
      expect(
        await disagreements([
          [[lock(3, 0, CW)], { 0: [granted(0)] }],
          [[lock(2, 1, EX)], { 0: [[0, 'b', EX]] }],
          [
            [unlock(2, 1), unlock(3, 0)],
            { 0: [[0, 'u', 0, 0]], 1: [[1, 'r', -EBUSY], granted(1)] },
          ],
          [[lock(3, 2, NL)], { 2: [granted(2)] }],
          [
            [convert(2, 1, CR), lock(1, 3, PW, NOQUEUE | NOQUEUEBAST)],
            { 1: [granted(1)], 3: [[3, 'c', -EAGAIN, 0, '']] },
          ],
        ]),
      ).to.deep.equal([]);
    });

    it('a conversion that raced with the grant of its lock has a completion of its own', () => {
      const steps = [
        [lock(1, 0, EX)],
        [lock(3, 1, PR)],
        [unlock(1, 0), convert(3, 1, CR)],
        [unlock(3, 1)],
      ];
      const told = (events: WireEvent[]) => ({
        steps: [
          new Map([[0, [granted(0)]]]),
          new Map([[0, [[0, 'b', PR]] as WireEvent[]]]),
          new Map([
            [0, [[0, 'u', 0, 0]]],
            [1, events],
          ] as [number, WireEvent[]][]),
          new Map([[1, [[1, 'u', 0, 0]] as WireEvent[]]]),
        ],
      });
      const broken = (...events: WireEvent[]) =>
        brokenInvariants({ name: 'story', steps }, told(events));
      expect(broken(granted(1), granted(1))).to.deep.equal([]);
      expect(broken([1, 'r', -EBUSY], granted(1))).to.deep.equal([]);
      expect(broken([1, 'r', -EBUSY], granted(1), granted(1))).to.have.lengthOf(1);
    });
  });
});
