/** dlmfs on the emulation: what the differential test against the kernel takes for its behaviour. */
import { expect } from 'chai';

import { check } from '../../scripts/conformance/o2dlm/checker.js';
import { firstChoices } from '../../scripts/conformance/o2dlm/choices.js';
import { linesOf, type Command, type Step } from '../../scripts/conformance/o2dlm/commands.js';
import { Model } from '../../scripts/conformance/o2dlm/model.js';

const NODES = [1, 2, 3];

function open(node: number, handle: number, how: 'r' | 'w', tries = false): Command {
  return { kind: 'open', node, file: 0, handle, writes: how === 'w', tries };
}

function close(node: number, handle: number): Command {
  return { kind: 'close', node, file: 0, handle };
}

async function play(...steps: Command[][]): Promise<Step[]> {
  const model = await Model.start({ nodes: NODES, choices: firstChoices, recoveryOrder: NODES });
  const played: Step[] = [];
  for (const commands of steps) {
    played.push({ commands, seen: await model.step(commands) });
  }
  await model.close();
  return played;
}

/** What was seen last, in words. */
async function lastOf(...steps: Command[][]): Promise<string> {
  const seen = (await play(...steps)).at(-1)?.seen;
  return seen === undefined ? '' : linesOf(seen, 0);
}

describe('conformance: dlmfs on the emulation', function () {
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

describe('conformance: comparing with the kernel', function () {
  const cached = [[open(1, 1, 'w')], [close(1, 1)]];
  const two = open(2, 2, 'w');
  const three = open(3, 3, 'w');

  /** The same commands, in an order that says nothing when they are given at once. */
  function reordered(steps: readonly Step[]): Step[] {
    return steps.map(({ commands, seen }) => ({ commands: [...commands].reverse(), seen }));
  }

  it('takes every order of what happened at once for possible', async function () {
    for (const order of [
      [two, three],
      [three, two],
    ]) {
      const steps = await play(...cached, order);
      expect(linesOf(steps[2]?.seen ?? { handles: new Map(), unlinks: new Map() }, 0)).to.include(
        'waits',
      );
      expect((await check(NODES, 1, steps)).disagreement).to.equal(undefined);
      const { disagreement, runs } = await check(NODES, 1, reordered(steps));
      expect(disagreement).to.equal(undefined);
      expect(runs).to.be.greaterThan(1);
    }
  });

  it('finds an outcome that no order has, and says where', async function () {
    const steps = await play([open(1, 1, 'w')], [two]);
    const last = steps[1];
    if (last === undefined) throw new Error('two steps were played');
    const both = new Map(
      [...last.seen.handles].map(([handle, state]) => [handle, { ...state, result: 0 }]),
    );
    const wrong = { commands: last.commands, seen: { ...last.seen, handles: both } };
    const { disagreement } = await check(NODES, 1, [...steps.slice(0, 1), wrong]);
    expect(disagreement).to.include({ step: 1, file: 0 });
    expect(disagreement?.engine).to.deep.equal(['h1@1 blocks others, block ""\nh2@2 waits']);
  });
});
