/** dlmfs on the emulation: what the differential test against the kernel takes for its behaviour. */
import { expect } from 'chai';

import { check, play } from '../../scripts/differential/o2dlm/checker.js';
import type {
  Command,
  HandleState,
  Observation,
  Step,
} from '../../scripts/differential/o2dlm/commands.js';
import { Generator } from '../../scripts/differential/o2dlm/generator.js';
import { buildChecker } from '../../scripts/differential/o2dlm/programs.js';
import { Random } from '../support/random.js';

const NODES = [1, 2, 3];

function open(node: number, handle: number, how: 'r' | 'w', tries = false): Command {
  return { kind: 'open', node, file: 0, handle, writes: how === 'w', tries };
}

function close(node: number, handle: number): Command {
  return { kind: 'close', node, file: 0, handle };
}

/** What lines of a play say. */
function observed(lines: string, opens: ReadonlyMap<number, boolean>): Observation {
  const handles = new Map<number, HandleState>();
  const unlinks = new Map<string, number>();
  for (const line of lines.split('\n').filter((each) => each !== '')) {
    const [, what = '', number = '', node = '', state = ''] =
      /^(h|unlink)(\d*)@(\d) (.*)$/.exec(line) ?? [];
    if (what === 'unlink') {
      unlinks.set(`${node}:0`, Number(state));
      continue;
    }
    const failed = /^failed with (\d+)$/.exec(state)?.[1];
    const result = state === 'waits' ? undefined : Number(failed ?? 0);
    handles.set(Number(number), {
      node: Number(node),
      file: 0,
      writes: opens.get(Number(number)) ?? false,
      result,
      blocked: state.startsWith('blocks'),
      block: /"(.*)"/.exec(state)?.[1] ?? '',
    });
  }
  return { handles, unlinks };
}

/** What the emulation sees when chance decides: `next` is asked for each step. */
async function playOn(
  seed: number,
  next: (seen: Observation) => readonly Command[] | undefined,
): Promise<Step[]> {
  const steps: Step[] = [];
  let seen: Observation = { handles: new Map(), unlinks: new Map() };
  const opens = new Map<number, boolean>();
  for (let commands = next(seen); commands !== undefined; commands = next(seen)) {
    for (const each of commands) if (each.kind === 'open') opens.set(each.handle, each.writes);
    const lines = await play(seed, NODES, [...steps.map((step) => step.commands), commands]);
    seen = observed(lines.at(-1) ?? '', opens);
    steps.push({ commands, seen });
  }
  return steps;
}

function playAll(...steps: Command[][]): Promise<Step[]> {
  const rest = [...steps];
  return playOn(1, () => rest.shift());
}

/** What was seen last, in words. */
async function lastOf(...steps: Command[][]): Promise<string> {
  return (await play(1, NODES, steps)).at(-1) ?? '';
}

describe('differential: dlmfs on the emulation', function () {
  before(async function () {
    this.timeout(0); // a compiler ends by itself
    await buildChecker();
  });

  it('keeps a lock that nobody has open until another node wants it', async function () {
    const cached = [[open(1, 1, 'w')], [close(1, 1)]];
    expect(await lastOf(...cached, [open(2, 2, 'w')])).to.equal('h2@2 block ""');
    expect(await lastOf([open(1, 1, 'w')], [open(2, 2, 'w')])).to.equal(
      'h1@1 blocks others, block ""\nh2@2 waits',
    );
  });

  it('hands on the value block when the lock goes down', async function () {
    const write: Command = { kind: 'write', node: 1, file: 0, handle: 1, bytes: '0102' };
    expect(await lastOf([open(1, 1, 'w')], [write], [close(1, 1)], [open(2, 2, 'r')])).to.equal(
      'h2@2 block "0102"',
    );
  });

  it('does not wait with O_NONBLOCK, and fails with ETXTBSY', async function () {
    expect(await lastOf([open(1, 1, 'r')], [open(2, 2, 'w', true)])).to.equal(
      'h1@1 block ""\nh2@2 failed with 26',
    );
  });

  it('ends an interrupted open with EINTR, but only when it would have gone on', async function () {
    const interrupt: Command = { kind: 'interrupt', node: 2, file: 0, handle: 2 };
    const waiting = [[open(1, 1, 'w')], [open(2, 2, 'w')], [interrupt]];
    expect(await lastOf(...waiting)).to.include('h2@2 waits');
    expect(await lastOf(...waiting, [close(1, 1)])).to.equal('h2@2 failed with 4');
  });

  it('refuses to unlink what is open, and forgets what is not', async function () {
    const unlink: Command = { kind: 'unlink', node: 1, file: 0 };
    expect(await lastOf([open(1, 1, 'r')], [unlink])).to.include('unlink@1 16');
    expect(await lastOf([open(1, 1, 'r')], [close(1, 1)], [unlink])).to.equal('unlink@1 0');
    expect(await lastOf([unlink])).to.equal('unlink@1 2');
  });

  it('grants what a dead node held, and zeroes the block that it could have written', async function () {
    const write: Command = { kind: 'write', node: 1, file: 0, handle: 1, bytes: 'ff' };
    const kill: Command = { kind: 'kill', node: 1 };
    expect(
      await lastOf([open(1, 1, 'w')], [write], [open(2, 2, 'w')], [kill], [close(2, 2)]),
    ).to.equal('');
    expect(await lastOf([open(1, 1, 'w')], [write], [open(2, 2, 'w')], [kill])).to.equal(
      'h2@2 block ""',
    );
  });
});

describe('differential: comparing with the kernel', function () {
  before(async function () {
    this.timeout(0); // a compiler ends by itself
    await buildChecker();
  });

  async function verdictOn(steps: readonly Step[]) {
    const [verdict] = await check([{ nodes: NODES, files: 1, steps }]);
    if (verdict === undefined) throw new Error('one sequence was to be checked');
    return verdict;
  }

  it('takes every order of what happened at once for possible', async function () {
    const cached = [[open(1, 1, 'w')], [close(1, 1)]];
    const two = open(2, 2, 'w');
    const three = open(3, 3, 'w');
    for (const waits of [2, 3]) {
      const order = waits === 3 ? [[two], [three]] : [[three], [two]];
      const last = (await playAll(...cached, ...order)).at(-1);
      if (last === undefined) throw new Error('four steps were played');
      const steps = [...(await playAll(...cached)), { commands: [two, three], seen: last.seen }];
      expect((await verdictOn(steps)).disagreement).to.equal(undefined);
    }
  });

  it('lets a signal come before or after what another node does at once', async function () {
    const interrupt: Command = { kind: 'interrupt', node: 2, file: 0, handle: 2 };
    const waiting = [[open(1, 1, 'w')], [open(2, 2, 'w')]];
    for (const order of [
      [[interrupt], [close(1, 1)]],
      [[close(1, 1)], [interrupt]],
    ]) {
      const last = (await playAll(...waiting, ...order)).at(-1);
      if (last === undefined) throw new Error('four steps were played');
      const steps = await playAll(...waiting);
      steps.push({ commands: [close(1, 1), interrupt], seen: last.seen });
      expect((await verdictOn(steps)).disagreement).to.equal(undefined);
    }
  });

  it('lets the block of a file go that only a dead node had locked', async function () {
    const write: Command = { kind: 'write', node: 3, file: 0, handle: 1, bytes: 'ff' };
    const unlink: Command = { kind: 'unlink', node: 3, file: 0 };
    const before = [[open(3, 1, 'w')], [write], [close(3, 1)], [open(2, 2, 'r')]];
    const steps = await playAll(
      ...before,
      [{ kind: 'kill', node: 2 }],
      [unlink],
      [open(1, 3, 'r')],
    );
    const last = steps.pop();
    const state = last?.seen.handles.get(3);
    if (last === undefined || state === undefined) throw new Error('node 1 has opened the file');
    for (const block of ['', 'ff']) {
      const seen = { ...last.seen, handles: new Map([[3, { ...state, block }]]) };
      const { disagreement } = await verdictOn([...steps, { ...last, seen }]);
      expect(disagreement, `block "${block}"`).to.equal(undefined);
    }
  });

  it('finds an outcome that no order has, and says where', async function () {
    const steps = await playAll([open(1, 1, 'w')], [open(2, 2, 'w')]);
    const last = steps[1];
    if (last === undefined) throw new Error('two steps were played');
    const both = new Map(
      [...last.seen.handles].map(([handle, state]) => [handle, { ...state, result: 0 }]),
    );
    const wrong = { commands: last.commands, seen: { ...last.seen, handles: both } };
    const { outcome, disagreement } = await verdictOn([...steps.slice(0, 1), wrong]);
    expect(outcome).to.equal('disagrees');
    expect(disagreement).to.include({ step: 1, file: 0 });
    expect(disagreement?.engine).to.deep.equal(['h1@1 blocks others, block ""\nh2@2 waits']);
  });

  it('finds the run that it has played itself, whatever chance decided', async () => {
    const { seed } = new Random();
    for (let number = 0; number < 5; number++) {
      const shape = { nodes: NODES, files: 1, commands: 30, racing: 0.3 };
      const generator = new Generator(new Random(seed + number), shape);
      const steps = await playOn(seed + number, (seen) => generator.next(seen));
      const { outcome } = await verdictOn(steps);
      expect(outcome, `seed ${seed}, sequence ${number}`).to.equal('agrees');
    }
  });
});
