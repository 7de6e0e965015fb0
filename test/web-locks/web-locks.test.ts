/** Web Locks among nodes, the same on every stack. */
import { expect } from 'chai';

import type { Lockspace } from '../../lib/index.js';
import { webLocks, type WebLock, type WebLockManager } from '../../lib/web-locks/index.js';
import { rejection, WORLDS, type Nodes, type World } from '../locks/worlds.js';
import { hold, seen } from './gates.js';

/** Nobody else has anything there. */
async function isFree(locks: WebLockManager, name: string): Promise<boolean> {
  return locks.request(name, { ifAvailable: true }, (lock) => lock !== null);
}

async function nameOf(promise: Promise<unknown>): Promise<unknown> {
  const error = await rejection(promise);
  if (!(error instanceof DOMException)) throw error;
  return error.name;
}

async function open(nodes: Nodes, ...numbers: number[]): Promise<[Lockspace, WebLockManager][]> {
  const opened: [Lockspace, WebLockManager][] = [];
  for (const number of numbers) {
    const ls = await nodes.open(number);
    opened.push([ls, webLocks(ls)]);
  }
  return opened;
}

function suite(world: World): void {
  const test = (
    title: string,
    body: (
      one: WebLockManager,
      two: WebLockManager,
      spaces: readonly Lockspace[],
      nodes: Nodes,
    ) => Promise<void>,
  ): void => {
    it(title, () =>
      world.run(async (nodes) => {
        const both = await open(nodes, 1, 2);
        await body(
          both[0]![1],
          both[1]![1],
          both.map(([ls]) => ls),
          nodes,
        );
        for (const [ls] of both) await ls.close();
      }),
    );
  };

  test('an exclusive lock keeps the other node out until its callback has ended', async (one, two) => {
    const first = hold(one, 'name');
    expect(await first.called).to.include({ name: 'name', mode: 'exclusive' });
    expect(await isFree(two, 'name')).to.equal(false);
    const order: string[] = [];
    const second = two.request('name', () => order.push('second'));
    order.push('first ends');
    first.open('result');
    expect(await first.outcome).to.equal('result');
    await second;
    expect(order).to.deep.equal(['first ends', 'second']);
  });

  test('shared locks go together, and an exclusive one waits for all of them', async (one, two) => {
    const readers = [hold(one, 'name', { mode: 'shared' }), hold(two, 'name', { mode: 'shared' })];
    for (const { called } of readers) expect(await called).to.include({ mode: 'shared' });
    let isWritten = false;
    const writer = two.request('name', () => (isWritten = true));
    readers[0]!.open();
    await readers[0]!.outcome;
    expect(isWritten).to.equal(false);
    readers[1]!.open();
    await writer;
  });

  test('a lock is free for others when the promise has settled, whatever with', async (one, two) => {
    const failure = new Error('the work failed');
    const works: ((lock: WebLock | null) => unknown)[] = [
      () => {
        throw failure;
      },
      () => Promise.reject(failure),
      () => ({ then: (_: unknown, reject: (error: Error) => void) => reject(failure) }),
    ];
    for (const work of works) {
      expect(await rejection(one.request('name', work))).to.equal(failure);
      expect(await isFree(two, 'name')).to.equal(true);
    }
    const thenable = { then: (resolve: (value: number) => void) => resolve(7) };
    expect(await one.request('name', () => thenable)).to.equal(7);
    expect(await isFree(two, 'name')).to.equal(true);
  });

  test('in one process shared waits behind an exclusive one that waits', async (one, two) => {
    const reader = hold(two, 'name', { mode: 'shared' });
    await reader.called;
    const order: string[] = [];
    const writer = one.request('name', () => order.push('writer'));
    const late = one.request('name', { mode: 'shared' }, () => order.push('late'));
    expect(
      await one.request('name', { mode: 'shared', ifAvailable: true }, (lock) => lock),
    ).to.equal(null);
    reader.open();
    await Promise.all([writer, late]);
    expect(order).to.deep.equal(['writer', 'late']);
  });

  test('an abort ends the wait at once, and lets the next ones in', async (one, two) => {
    const reader = hold(two, 'name', { mode: 'shared' });
    await reader.called;
    const ending = new AbortController();
    const { signal } = ending;
    const writer = one.request('name', { signal }, () => 'never');
    const late = hold(one, 'name', { mode: 'shared', signal });
    const reason = new Error('no more');
    const other = one.request('name', { mode: 'shared' }, () => 'read');
    const first = new AbortController();
    const given = one.request('name', { signal: first.signal }, () => 'never');
    first.abort();
    expect(await nameOf(given)).to.equal('AbortError');
    ending.abort(reason);
    expect(await rejection(writer)).to.equal(reason);
    expect(await rejection(late.outcome)).to.equal(reason);
    expect(await other).to.equal('read');
    reader.open();
    expect(await isFree(two, 'none')).to.equal(true);
  });

  test('a signal means nothing any more when the lock is granted', async (one) => {
    const ending = new AbortController();
    const gate = hold(one, 'name', { signal: ending.signal });
    await gate.called;
    ending.abort();
    gate.open('done');
    expect(await gate.outcome).to.equal('done');
  });

  test('what is stolen is taken from the other node, before those who wait', async (one, two) => {
    const robbed = hold(one, 'name');
    await robbed.called;
    const order: string[] = [];
    const waiting = [one, two].map((locks) =>
      locks.request('name', () => {
        order.push('waited');
      }),
    );
    const thief = hold(two, 'name', { steal: true });
    expect(await thief.called).to.include({ name: 'name', mode: 'exclusive' });
    expect(await nameOf(robbed.outcome)).to.equal('AbortError');
    expect(await isFree(one, 'name')).to.equal(false);
    order.push('stolen');
    thief.open('mine');
    expect(await thief.outcome).to.equal('mine');
    await Promise.all(waiting);
    expect(order).to.deep.equal(['stolen', 'waited', 'waited']);
    // What it does now is nobody's concern.
    robbed.open();
  });

  test('all who share are robbed, and who steals can be robbed, too', async (one, two) => {
    const readers = [one, two, one].map((locks) => hold(locks, 'name', { mode: 'shared' }));
    for (const { called } of readers) await called;
    const thieves = [
      hold(one, 'name', { steal: true }),
      hold(two, 'name', { steal: true }),
      hold(one, 'name', { steal: true }),
    ];
    for (const { outcome } of readers) expect(await nameOf(outcome)).to.equal('AbortError');
    await Promise.all(thieves.map(({ called }) => called));
    // One is left, and has it.
    const outcomes = thieves.map(async ({ outcome }, index) => {
      await outcome.catch(() => undefined);
      return index;
    });
    const lost = [await Promise.race(outcomes)];
    lost.push(await Promise.race(outcomes.filter((_, index) => !lost.includes(index))));
    const [last] = [0, 1, 2].filter((index) => !lost.includes(index));
    for (const index of lost) {
      expect(await nameOf(thieves[index]!.outcome)).to.equal('AbortError');
    }
    thieves[last!]!.open('last');
    expect(await thieves[last!]!.outcome).to.equal('last');
    expect(await isFree(two, 'name')).to.equal(true);
  });

  test('what nobody has is stolen, too, and nothing is left of it', async (one, two) => {
    expect(await one.request('name', { steal: true }, (lock) => lock?.name)).to.equal('name');
    const gate = hold(two, 'name');
    await gate.called;
    const waits = one.request('name', () => 'at last');
    // It is in the way, and nobody steals: it keeps it.
    gate.open('kept');
    expect(await gate.outcome).to.equal('kept');
    expect(await waits).to.equal('at last');
  });

  test('query() shows the whole cluster', async (one, two) => {
    expect(await seen(one)).to.deep.equal({ held: [], pending: [] });
    const long = 'ä\ud800'.repeat(40);
    const gates = [
      hold(one, 'a'),
      hold(two, 'b', { mode: 'shared' }),
      hold(one, 'b', { mode: 'shared' }),
      hold(two, long),
    ];
    for (const { called } of gates) await called;
    const waiting = [hold(two, 'a'), hold(one, long, { mode: 'shared' })];
    // Who has asked itself is there to be asked.
    for (const locks of [one, two]) await locks.query();
    for (const locks of [one, two]) {
      const { held, pending } = await seen(locks);
      expect(held.sort()).to.deep.equal(
        ['a exclusive', 'b shared', 'b shared', `${long} exclusive`].sort(),
      );
      expect(pending.sort()).to.deep.equal(['a exclusive', `${long} shared`].sort());
    }
    const { held = [], pending = [] } = await one.query();
    const clients = new Set(held.map(({ clientId }) => clientId));
    expect(clients.size).to.equal(2);
    const clientOf = (list: typeof held, name: string): unknown =>
      list.find((each) => each.name === name)?.clientId;
    // A deadlock can be seen.
    expect(clientOf(held, 'a')).to.equal(clientOf(pending, long));
    expect(clientOf(held, long)).to.equal(clientOf(pending, 'a'));
    for (const gate of [...gates, ...waiting]) gate.open();
    await Promise.all([...gates, ...waiting].map(({ outcome }) => outcome));
    expect(await seen(two)).to.deep.equal({ held: [], pending: [] });
  });

  test('queries do not get into each other’s way', async (one, two) => {
    const gate = hold(one, 'name');
    await gate.called;
    const answers = await Promise.all([one, two, two, one].map((locks) => seen(locks)));
    for (const answer of answers) {
      expect(answer).to.deep.equal({ held: ['name exclusive'], pending: [] });
    }
    gate.open();
    await gate.outcome;
  });

  test('what is closed is lost: AbortError, then InvalidStateError', async (one, two, spaces) => {
    const held = hold(one, 'name');
    await held.called;
    const waits = hold(one, 'name');
    await spaces[0]!.close();
    for (const { outcome } of [held, waits]) {
      const error = await rejection(outcome);
      expect(error).to.include({ name: 'AbortError' });
      expect((error as DOMException).cause).to.include({ code: 'ERR_DLM_CLOSED' });
    }
    for (const late of [one.request('name', () => 1), one.query()]) {
      const error = await rejection(late);
      expect(error).to.include({ name: 'InvalidStateError' });
      expect((error as DOMException).cause).to.include({ code: 'ERR_DLM_CLOSED' });
    }
    expect(await two.request('name', () => 'free')).to.equal('free');
  });

  it('a holder that dies gives way to those who wait', () =>
    world.run(async (nodes) => {
      const [[, one], [ls, two]] = (await open(nodes, 1, 2)) as [
        [Lockspace, WebLockManager],
        [Lockspace, WebLockManager],
      ];
      const gate = hold(one, 'name');
      await gate.called;
      const thief = hold(two, 'name', { steal: true });
      const next = two.request('name', () => 'next');
      nodes.kill(1);
      expect(await thief.called).to.include({ name: 'name' });
      thief.open();
      expect(await next).to.equal('next');
      expect(await seen(two)).to.deep.equal({ held: [], pending: [] });
      if (nodes.outlives) expect(await nameOf(gate.outcome)).to.equal('AbortError');
      await ls.close();
    }));
}

describe('web locks', () => {
  for (const world of WORLDS) {
    describe(world.title, () => suite(world));
  }

  it('a lockspace has one lock manager', async () => {
    await WORLDS[0]!.run(async (nodes) => {
      const [a, b] = [await nodes.open(1), await nodes.open(2)];
      expect(webLocks(a)).to.equal(webLocks(a));
      expect(webLocks(a)).not.to.equal(webLocks(b));
    });
  });
});
