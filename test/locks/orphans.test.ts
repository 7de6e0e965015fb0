/** Locks that outlive their process: left, kept, adopted and given up. */
import { expect } from 'chai';
import { constants } from 'node:os';

import { createEmulatedUserPlugin, DLM_LKF, type StackOperations } from '../../lib/glue.js';
import { DlmError, openLockspace, type Lock, type Lockspace, type Mode } from '../../lib/index.js';
import { explore } from '../../lib/simulator/index.js';
import { lksbState } from '../../lib/stackglue/lksb.js';
import { freshCluster } from '../stackglue/test-node.js';
import { atRest, codeOf, rejection, WORLDS } from './worlds.js';

const NAME = 'volume-7';
const KEPT = { persistent: true } as const;
const GROUP = 'orphans';

/** A process of node 1. */
interface Service {
  readonly ls: Lockspace;
  /** It ends, and is told nothing more. */
  readonly end: () => Promise<void>;
}

interface Scene {
  readonly start: () => Promise<Service>;
  /** Another process of node 1, which stays; and one of node 2. */
  readonly same: Lockspace;
  readonly other: Lockspace;
}

type Run = (body: (scene: Scene) => Promise<void>) => Promise<void>;

const onEmulation: Run = async (body) => {
  const cluster = freshCluster();
  const open: Lockspace[] = [];
  const openOn = async (node: number): Promise<Lockspace> => {
    const ls = await openLockspace(GROUP, { stack: 'emulated', node, cluster });
    open.push(ls);
    return ls;
  };
  const start = async (): Promise<Service> => {
    const ls = await openOn(1);
    return { ls, end: () => ls.close() };
  };
  try {
    await body({ start, same: await openOn(1), other: await openOn(2) });
  } finally {
    for (const ls of open) await ls.close();
  }
};

const inSimulator: Run = async (body) => {
  await explore({
    seeds: 20,
    profile: 'fsdlm',
    run: async (simulation) => {
      const node = simulation.node(1);
      const start = async (): Promise<Service> => {
        const process = node.spawn();
        const ls = await openLockspace(GROUP, { stack: process.plugin });
        const end = (): Promise<void> => {
          process.end();
          return Promise.resolve();
        };
        return { ls, end };
      };
      const same = await openLockspace(GROUP, { stack: node.plugin });
      const other = await openLockspace(GROUP, { stack: simulation.node(2).plugin });
      await body({ start, same, other });
    },
  });
};

const text = (lock: Lock): string => lock.value.toString('utf8').replace(/\0+$/, '');

/** Whether `ls` is kept out of the mode. */
async function isBusy(ls: Lockspace, mode: Mode = 'PR', name = NAME): Promise<boolean> {
  const lock = await ls.tryLock(name, mode);
  await lock?.release();
  return lock === null;
}

/** The lock that was left; fails where there is none. */
async function adopt(ls: Lockspace, ...rest: Parameters<Lockspace['adopt']>): Promise<Lock> {
  const lock = await ls.adopt(...rest);
  if (lock === null) throw new Error('nothing was left');
  return lock;
}

for (const [title, run] of [
  ['the emulated stack user', onEmulation],
  ['the simulator, profile fsdlm', inSimulator],
] as const) {
  describe(`persistent locks on ${title}`, () => {
    it('keep others out when their process has ended, until who adopts them releases', () =>
      run(async ({ start, other, same }) => {
        const first = await start();
        const lock = await first.ls.lock(NAME, 'EX', KEPT);
        expect(lock.persistent).to.equal(true);
        await first.end();
        expect(await isBusy(other)).to.equal(true);
        const { ls } = await start();
        const waiting = other.lock(NAME, 'EX', { timeoutMs: 60_000 });
        const adopted = await adopt(ls, NAME, 'EX');
        expect([adopted.mode, adopted.held, adopted.persistent]).to.deep.equal(['EX', true, false]);
        expect(await isBusy(same)).to.equal(true);
        await adopted.release();
        await (await waiting).release();
      }));

    it('are what it takes: without that a lock goes with its process', () =>
      run(async ({ start, same, other }) => {
        const first = await start();
        expect((await first.ls.lock(NAME, 'EX')).persistent).to.equal(false);
        const waiting = other.lock(NAME, 'EX', { timeoutMs: 60_000 });
        await first.end();
        await (await waiting).release();
        expect(await same.adopt(NAME, 'EX')).to.equal(null);
      }));

    it('bring their value along, as it was written last', () =>
      run(async ({ start, other }) => {
        const first = await start();
        const options = { persistent: true, value: true } as const;
        const lock = await first.ls.lock(NAME, 'EX', options);
        lock.value = Buffer.from('step 3');
        await lock.writeValue();
        lock.value = Buffer.from('step 4');
        await first.end();
        const second = await start();
        // In the way of an adopter that would ask in turn.
        const waiting = other.lock(NAME, 'PR', { timeoutMs: 60_000, value: true });
        const adopted = await adopt(second.ls, NAME, 'EX', options);
        expect([adopted.valueState, text(adopted)]).to.deep.equal(['fresh', 'step 3']);
        await atRest(second.ls);
        adopted.value = Buffer.from('step 5');
        await adopted.release();
        const read = await waiting;
        expect([read.valueState, text(read)]).to.deep.equal(['fresh', 'step 5']);
        await read.release();
      }));

    it('bring a value that nobody has written, and the whole block', () =>
      run(async ({ start, same }) => {
        for (const mode of ['EX', 'PR'] as const) {
          const first = await start();
          await first.ls.lock(NAME, mode, { persistent: true, raw: true });
          await first.end();
          const adopted = await adopt(same, NAME, mode, { raw: true });
          expect(adopted.value).to.deep.equal(Buffer.alloc(32));
          expect(adopted.valueState).to.equal('unwritten');
          await adopted.release();
        }
      }));

    it('keep a value that is only pinned', () =>
      run(async ({ start, same, other }) => {
        const first = await start();
        await first.ls.pin(NAME, KEPT);
        const writer = await other.lock(NAME, 'EX', { value: true });
        writer.value = Buffer.from('kept');
        await writer.release();
        await first.end();
        const reader = await other.lock(NAME, 'PR', { value: true });
        expect(text(reader)).to.equal('kept');
        await reader.release();
        await (await adopt(same, NAME, 'NL')).release();
      }));

    it('are adopted by one, in their mode, and only when their process has ended', () =>
      run(async ({ start, same }) => {
        const [first, second] = [await start(), await start()];
        expect(await same.adopt(NAME, 'EX')).to.equal(null);
        await first.ls.lock(NAME, 'EX', KEPT);
        expect(await same.adopt(NAME, 'EX')).to.equal(null);
        await first.end();
        const error = await rejection(same.adopt(NAME, 'PR'));
        expect(error).to.be.an.instanceOf(DlmError);
        expect(error).to.include({
          code: 'ERR_DLM_ORPHAN_MODE',
          kind: 'refused',
          op: 'adopt',
          resource: NAME,
          status: 'EAGAIN',
        });
        expect(await isBusy(same)).to.equal(true);
        const adopted = await adopt(same, NAME, 'EX');
        expect(await second.ls.adopt(NAME, 'EX')).to.equal(null);
        await adopted.release();
        expect(await isBusy(same, 'EX')).to.equal(false);
      }));

    it('are adopted on their node only', () =>
      run(async ({ start, same, other }) => {
        const first = await start();
        await first.ls.lock(NAME, 'EX', KEPT);
        await first.end();
        expect(await other.adopt(NAME, 'EX')).to.equal(null);
        await (await adopt(same, NAME, 'EX')).release();
      }));

    it('stay through conversions, in the mode that was held last', () =>
      run(async ({ start, same }) => {
        for (const [from, to] of [
          ['PR', 'EX'],
          ['EX', 'PR'],
          ['NL', 'PW'],
        ] as const) {
          const first = await start();
          const lock = await first.ls.lock(NAME, from, KEPT);
          await lock.convert(to);
          expect(lock.persistent).to.equal(true);
          await first.end();
          await (await adopt(same, NAME, to)).release();
        }
      }));

    it('stay in their old mode when their process ends in a conversion that waits', () =>
      run(async ({ start, same, other }) => {
        const first = await start();
        const lock = await first.ls.lock(NAME, 'PR', KEPT);
        const reader = await other.lock(NAME, 'PR');
        const waits = new Promise<Mode>((resolve) => (reader.onBlocked = resolve));
        lock.convert('EX').catch(() => undefined);
        expect(await waits).to.equal('EX');
        await first.end();
        await (await adopt(same, NAME, 'PR')).release();
        await reader.release();
      }));

    it('leave nothing of a process that ends while it waits', () =>
      run(async ({ start, same, other }) => {
        const first = await start();
        const held = await other.lock(NAME, 'EX');
        const waits = new Promise<Mode>((resolve) => (held.onBlocked = resolve));
        first.ls.lock(NAME, 'EX', KEPT).catch(() => undefined);
        expect(await waits).to.equal('EX');
        await first.end();
        expect(await same.adopt(NAME, 'EX')).to.equal(null);
        await held.release();
        expect(await isBusy(same, 'EX')).to.equal(false);
      }));

    it('end with their release, and so with using', () =>
      run(async ({ start, same }) => {
        const first = await start();
        const lock = await first.ls.lock(NAME, 'EX', KEPT);
        await lock.release();
        await first.ls.using(NAME, 'EX', KEPT, ({ persistent }) => {
          expect(persistent).to.equal(true);
        });
        await first.end();
        expect(await same.adopt(NAME, 'EX')).to.equal(null);
        expect(await isBusy(same, 'EX')).to.equal(false);
      }));

    it('stay when their program closes the lockspace, but for those that it releases', () =>
      run(async ({ start, same }) => {
        const { ls } = await start();
        const [kept, released] = [await ls.lock(NAME, 'EX', KEPT), await ls.lock('b', 'EX', KEPT)];
        const gone = released.release();
        await ls.close();
        await gone;
        expect(kept.lost.reason).to.have.property('code', 'ERR_DLM_CLOSED');
        expect(await same.adopt('b', 'EX')).to.equal(null);
        await (await adopt(same, NAME, 'EX')).release();
      }));

    it('stay when a release waits for a conversion, and the lockspace is closed: it rejects', () =>
      run(async ({ start, same, other }) => {
        const { ls } = await start();
        const lock = await ls.lock(NAME, 'PR', KEPT);
        const reader = await other.lock(NAME, 'PR');
        const converting = codeOf(lock.convert('EX'));
        const released = codeOf(lock.release());
        await ls.close();
        expect(await converting).to.equal('ERR_DLM_RELEASED');
        expect(await released).to.equal('ERR_DLM_CLOSED');
        await (await adopt(same, NAME, 'PR')).release();
        await reader.release();
      }));

    it('are persistent for as long as each adopter says', () =>
      run(async ({ start, same }) => {
        const first = await start();
        await first.ls.lock(NAME, 'EX', KEPT);
        await first.end();
        const second = await start();
        expect((await adopt(second.ls, NAME, 'EX', KEPT)).persistent).to.equal(true);
        await second.end();
        const third = await start();
        const adopted = await adopt(third.ls, NAME, 'EX', KEPT);
        await adopted.convert('PR');
        await third.end();
        const last = await start();
        await adopt(last.ls, NAME, 'PR');
        await last.end();
        await (await same.lock(NAME, 'EX', { timeoutMs: 60_000 })).release();
        expect(await same.adopt(NAME, 'PR')).to.equal(null);
      }));

    it('are taken by tryLock and lockAll, too, or not at all', () =>
      run(async ({ start, same, other }) => {
        const first = await start();
        const held = await other.lock('b', 'EX');
        expect(await first.ls.tryLock('b', 'EX', KEPT)).to.equal(null);
        const limited = { persistent: true, timeoutMs: 1 } as const;
        expect(await codeOf(first.ls.lockAll(['a', 'b'], 'EX', limited))).to.equal(
          'ERR_DLM_TIMEOUT',
        );
        await atRest(first.ls);
        expect(await isBusy(same, 'EX', 'a')).to.equal(false);
        await held.release();
        expect((await first.ls.tryLock('b', 'EX', KEPT))?.persistent).to.equal(true);
        await first.ls.lockAll(['a', 'c'], 'EX', KEPT);
        await first.end();
        for (const name of ['a', 'b', 'c']) await (await adopt(same, name, 'EX')).release();
      }));

    it('leave nothing when a limit is reached in the middle', () =>
      run(async ({ start, same }) => {
        const { ls, end } = await start();
        for (let turns = 0; turns < 12; turns += 1) {
          const controller = new AbortController();
          const asked = ls.lock(NAME, 'EX', { persistent: true, signal: controller.signal });
          for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
          controller.abort(new Error('enough'));
          await asked.then(
            (lock) => lock.release(),
            () => undefined,
          );
          await atRest(ls);
          expect(await isBusy(same, 'EX')).to.equal(false);
        }
        await end();
        expect(await same.adopt(NAME, 'EX')).to.equal(null);
      }));

    it('go by a purge: of one process, or of all that have ended', () =>
      run(async ({ start, same, other }) => {
        const pids: number[] = [];
        for (const name of ['a', 'b', 'c']) {
          const { ls, end } = await start();
          pids.push(ls.ownPid ?? 0);
          const lock = await ls.lock(name, 'EX', { persistent: true, value: true });
          lock.value = Buffer.from('half');
          await lock.writeValue();
          await end();
        }
        expect(new Set([...pids, same.ownPid]).size).to.equal(4);
        await other.pin('a');
        const stays = await same.lock('d', 'EX', KEPT);
        const [a, b, c] = ['a', 'b', 'c'].map((name) =>
          other.lock(name, 'EX', { value: true, timeoutMs: 60_000 }),
        ) as [Promise<Lock>, Promise<Lock>, Promise<Lock>];
        await same.purge({ node: 1, pid: pids[0] });
        expect((await a).valueState).to.equal('invalid');
        expect(await isBusy(same, 'PR', 'b')).to.equal(true);
        await other.purge({ node: 1, pid: pids[1] });
        await (await b).release();
        expect(await isBusy(same, 'PR', 'c')).to.equal(true);
        await same.purge();
        await (await c).release();
        await (await a).release();
        expect(await isBusy(other, 'PR', 'd')).to.equal(true);
        await stays.release();
      }));

    it('are not purged with what lives: the own ones, and after the end', () =>
      run(async ({ start, same }) => {
        const { ls } = await start();
        const lock = await ls.lock(NAME, 'EX', KEPT);
        const own = await rejection(ls.purge({ pid: ls.ownPid }));
        expect(own).to.include({ code: 'ERR_DLM_REFUSED', status: 'EINVAL' });
        expect(lock.held).to.equal(true);
        expect(await isBusy(same)).to.equal(true);
        await lock.release();
        await ls.close();
        expect(await codeOf(ls.purge())).to.equal('ERR_DLM_CLOSED');
        expect(await codeOf(ls.adopt(NAME, 'EX'))).to.equal('ERR_DLM_CLOSED');
        expect(ls.ownPid).to.equal(undefined);
      }));

    it('name what is wrong with an argument, and change nothing', () =>
      run(async ({ start, same }) => {
        const first = await start();
        await first.ls.lock(NAME, 'EX', KEPT);
        await first.end();
        const calls: [string, () => Promise<unknown>][] = [
          ['options.persistent', () => same.lock(NAME, 'EX', { persistent: 1 as never })],
          ['options.persistent', () => same.adopt(NAME, 'EX', { persistent: 'yes' as never })],
          ['options.transactionId', () => same.lock(NAME, 'EX', { transactionId: 7 as never })],
          ['options.transactionId', () => same.adopt(NAME, 'EX', { transactionId: -1n })],
          ['options.transactionId', () => same.lockAll([], 'EX', { transactionId: 2n ** 64n })],
          ['options.timeoutMs', () => same.adopt(NAME, 'EX', { timeoutMs: 1 } as never)],
          ['options', () => same.adopt(NAME, 'EX', null as never)],
          ['name', () => same.adopt('', 'EX')],
          ['name', () => same.adopt('\ud800', 'EX')],
          ['mode', () => same.adopt(NAME, 'XX' as never)],
          ['options', () => same.purge(7 as never)],
          ['options.node', () => same.purge({ node: 0 })],
          ['options.pid', () => same.purge({ pid: 1.5 })],
          ['options.pids', () => same.purge({ pids: 1 } as never)],
        ];
        for (const [argument, call] of calls) {
          expect(await rejection(call()), argument).to.have.property('argument', argument);
        }
        await (await adopt(same, NAME, 'EX', { transactionId: 7n })).release();
      }));
  });
}

for (const world of WORLDS.filter(({ stack }) => stack === 'o2cb')) {
  it(`persistent locks, adoptions and purges are refused on ${world.title}`, () =>
    world.run(async (nodes) => {
      const ls = await nodes.open(1);
      const calls = [
        () => ls.lock(NAME, 'EX', KEPT),
        () => ls.tryLock(NAME, 'EX', KEPT),
        () => ls.using(NAME, 'EX', KEPT, () => undefined),
        () => ls.lockAll([NAME], 'EX', KEPT),
        () => ls.pin(NAME, KEPT),
        () => ls.adopt(NAME, 'EX'),
        () => ls.purge(),
      ];
      for (const call of calls) {
        const error = await rejection(call());
        expect(error).to.include({ code: 'ERR_DLM_NO_ORPHANS', kind: 'misuse' });
        expect((error as Error).message).to.contain('"user"');
      }
      expect(ls.ownPid).to.equal(undefined);
      const lock = await ls.tryLock(NAME, 'EX', { persistent: false, transactionId: 7n });
      expect(lock?.persistent).to.equal(false);
      await lock?.release();
    }));
}

describe('what a lock manager may refuse of persistent locks', () => {
  /** A node whose requests with such a flag are refused. */
  async function openRefusing(cluster: string, flag: number): Promise<Lockspace> {
    const plugin = createEmulatedUserPlugin({ cluster, node: 1 });
    const inner = plugin.operations;
    const operations = {
      ...inner,
      dlmLock: (...args: Parameters<StackOperations['dlmLock']>): number =>
        (args[3] & flag) === 0 ? inner.dlmLock(...args) : -constants.errno.ENOMEM,
    };
    return openLockspace(GROUP, { stack: { ...plugin, operations } });
  }

  it('to make one persistent: it rejects, and nothing is left', async () => {
    const cluster = freshCluster();
    const ls = await openRefusing(cluster, DLM_LKF.PERSISTENT);
    const other = await openLockspace(GROUP, { stack: 'emulated', cluster, node: 2 });
    for (const value of [false, true]) {
      const error = await rejection(ls.lock(NAME, 'EX', { persistent: true, value }));
      expect(error).to.include({ code: 'ERR_DLM_REFUSED', status: 'ENOMEM' });
      await atRest(ls);
      expect(await isBusy(other, 'EX')).to.equal(false);
    }
    await ls.close();
    await other.close();
  });

  it('to adopt one: it rejects, and what was left stays', async () => {
    const cluster = freshCluster();
    const [first, same] = await Promise.all(
      [1, 1].map((node) => openLockspace(GROUP, { stack: 'emulated', cluster, node })),
    );
    await first?.lock(NAME, 'EX', KEPT);
    await first?.close();
    const ls = await openRefusing(cluster, DLM_LKF.ORPHAN);
    expect(await rejection(ls.adopt(NAME, 'EX'))).to.include({
      code: 'ERR_DLM_REFUSED',
      op: 'adopt',
    });
    expect((await same?.adopt(NAME, 'EX'))?.held).to.equal(true);
    await ls.close();
    await same?.close();
  });

  it('to read its value: the lock is adopted, and the value is invalid', async () => {
    const cluster = freshCluster();
    const [first, same] = await Promise.all(
      [1, 1].map((node) => openLockspace(GROUP, { stack: 'emulated', cluster, node })),
    );
    await first?.lock(NAME, 'EX', KEPT);
    await first?.close();
    const ls = await openRefusing(cluster, DLM_LKF.EXPEDITE);
    const adopted = await adopt(ls, NAME, 'EX', { value: true });
    expect([adopted.held, adopted.valueState]).to.deep.equal([true, 'invalid']);
    await adopted.release();
    await ls.close();
    await same?.close();
  });
});

it('a transaction is of the lock that was taken with it, and of no other', async () => {
  const plugin = createEmulatedUserPlugin({ cluster: freshCluster() });
  const seen: (bigint | undefined)[] = [];
  const inner = plugin.operations;
  const operations = {
    ...inner,
    dlmLock: (...args: Parameters<StackOperations['dlmLock']>): number => {
      if (args[4] === NAME) seen.push(lksbState(args[2]).transactionId);
      return inner.dlmLock(...args);
    },
  };
  const ls = await openLockspace(GROUP, { stack: { ...plugin, operations } });
  for (const transactionId of [undefined, 7n, undefined, 2n ** 64n - 1n, undefined]) {
    await (await ls.lock(NAME, 'EX', { transactionId })).release();
  }
  expect(seen).to.deep.equal([undefined, 7n, undefined, 2n ** 64n - 1n, undefined]);
  await ls.close();
});
