/** Cached locks: what a program is promised, on both emulations and in the simulator. */
import { once } from 'node:events';

import { expect } from 'chai';

import { killEmulatedUserNode, killO2cbNode } from '../../lib/glue.js';
import {
  openLockspace,
  type CachedLock,
  type CachedOptions,
  type Hold,
  type Lockspace,
  type RevokeReason,
} from '../../lib/index.js';
import { freshCluster } from '../stackglue/test-node.js';
import { codeOf, rejection, WORLDS, type Nodes } from '../locks/worlds.js';
import { readAfterLoss } from './lost-block.js';

/** What handlers were called with. */
type Told = ['PR' | 'NL', RevokeReason][];

/** A node with a cached lock, and what its handler was called with. */
interface Cacher {
  readonly lockspace: Lockspace;
  readonly cached: CachedLock;
  readonly told: Told;
}

const NAME = 'inode/42';

async function cacher(
  nodes: Nodes,
  node: number,
  options: CachedOptions = { minHoldMs: 0 },
): Promise<Cacher> {
  const lockspace = await nodes.open(node);
  const told: Told = [];
  const cached = lockspace.cached(NAME, {
    onRevoke: (to, reason) => void told.push([to, reason]),
    ...options,
  });
  return { lockspace, cached, told };
}

/** Resolves when the condition holds; each look is a moment of the lockspace's clock later. */
async function until(lockspace: Lockspace, condition: () => boolean): Promise<void> {
  while (!condition()) {
    await new Promise<void>((resolve) => lockspace.clock.setTimeout(resolve, 0.2));
  }
}

/** Whether the promise has not been settled; all that is due has been done. */
async function waits(lockspace: Lockspace, promise: Promise<unknown>): Promise<boolean> {
  let isSettled = false;
  const settled = (): void => void (isSettled = true);
  promise.then(settled, settled);
  await new Promise<void>((resolve) => lockspace.clock.setTimeout(resolve, 5));
  return !isSettled;
}

const release = (hold: Hold | null): void => {
  if (hold === null) throw new Error('it was to be a hold');
  hold.release();
};

for (const world of WORLDS) {
  describe(`cached locks: ${world.title}`, () => {
    const test = (title: string, body: (nodes: Nodes) => Promise<void>): void => {
      it(title, () => world.run(body));
    };

    test('asks nobody while it covers what is wanted', async (nodes) => {
      const { cached, told } = await cacher(nodes, 1);
      expect(cached.tryHold('PR')).to.equal(null);
      expect(cached.mode).to.equal('NL');
      (await cached.hold('EX')).release();
      expect(cached.mode).to.equal('EX');
      release(cached.tryHold('EX'));
      const readers = [cached.tryHold('PR'), cached.tryHold('PR')];
      expect(readers.map((hold) => hold?.mode)).to.deep.equal(['PR', 'PR']);
      expect(cached.tryHold('EX')).to.equal(null);
      readers.forEach(release);
      expect(told).to.deep.equal([]);
    });

    test('holds of one process exclude each other as those of two', async (nodes) => {
      const { lockspace, cached } = await cacher(nodes, 1);
      const writer = await cached.hold('EX');
      expect(cached.tryHold('PR')).to.equal(null);
      const second = cached.hold('EX');
      const reader = cached.hold('PR');
      expect(await waits(lockspace, second)).to.equal(true);
      writer.release();
      const next = await second;
      // Not past the one who came first.
      expect(await waits(lockspace, reader)).to.equal(true);
      next.release();
      (await reader).release();
    });

    test('goes to the highest mode that others can live with', async (nodes) => {
      const [a, b] = [await cacher(nodes, 1), await cacher(nodes, 2)];
      (await a.cached.hold('EX')).release();
      const reader = await b.cached.hold('PR');
      expect([a.cached.mode, b.cached.mode]).to.deep.equal(['PR', 'PR']);
      expect(a.told).to.deep.equal([['PR', 'wanted']]);
      release(a.cached.tryHold('PR'));
      reader.release();
      (await a.cached.hold('EX')).release();
      expect([a.cached.mode, b.cached.mode]).to.deep.equal(['EX', 'NL']);
      expect(b.told).to.deep.equal([['NL', 'wanted']]);
    });

    test('present holds finish, new ones above what is left wait', async (nodes) => {
      const [a, b] = [await cacher(nodes, 1), await cacher(nodes, 2)];
      const writer = await a.cached.hold('EX');
      const wanted = b.cached.hold('PR');
      await until(a.lockspace, () => a.lockspace.revocations().length > 0);
      const [revocation] = a.lockspace.revocations();
      expect(revocation).to.deep.include({
        name: NAME,
        from: 'EX',
        to: 'PR',
        reason: 'wanted',
        state: 'holds',
        holds: { PR: 0, EX: 1 },
      });
      expect(a.cached.tryHold('EX')).to.equal(null);
      expect(await waits(b.lockspace, wanted)).to.equal(true);
      expect(a.told).to.deep.equal([]);
      writer.release();
      (await wanted).release();
      expect(a.told).to.deep.equal([['PR', 'wanted']]);
      await until(a.lockspace, () => a.lockspace.revocations().length === 0);
    });

    test('tells the cluster when the handler has done its work, not before', async (nodes) => {
      let store!: () => void;
      const stored = new Promise<void>((resolve) => (store = resolve));
      const a = await cacher(nodes, 1, { minHoldMs: 0, onRevoke: () => stored });
      const b = await cacher(nodes, 2);
      (await a.cached.hold('EX')).release();
      const wanted = b.cached.hold('EX');
      await until(a.lockspace, () => a.lockspace.revocations()[0]?.state === 'onRevoke');
      expect(await waits(b.lockspace, wanted)).to.equal(true);
      store();
      (await wanted).release();
    });

    test('does not give away what could not be stored, and tries again', async (nodes) => {
      const failures: unknown[] = [];
      let isFull = true;
      let calls = 0;
      const a = await cacher(nodes, 1, {
        minHoldMs: 0,
        onRevoke: () => {
          calls += 1;
          if (isFull) throw new Error('no space left');
        },
      });
      const b = await cacher(nodes, 2);
      a.lockspace.on('revokeFailed', (name, error) => failures.push([name, String(error)]));
      (await a.cached.hold('EX')).release();
      const wanted = b.cached.hold('EX');
      await until(a.lockspace, () => calls === 2);
      const [revocation] = a.lockspace.revocations();
      expect(String(revocation?.error)).to.equal('Error: no space left');
      expect(await waits(b.lockspace, wanted)).to.equal(true);
      isFull = false;
      (await wanted).release();
      expect(calls).to.be.greaterThan(2);
      expect(failures[0]).to.deep.equal([NAME, 'Error: no space left']);
    });

    test('whoever waits for a step up has it before it is given away', async (nodes) => {
      const [a, b] = [await cacher(nodes, 1), await cacher(nodes, 2)];
      const rounds = 20;
      let held = 0;
      const work = async ({ cached }: Cacher): Promise<void> => {
        for (let round = 0; round < rounds; round += 1) {
          const hold = await cached.hold('EX');
          expect((held += 1)).to.equal(1);
          await Promise.resolve();
          held -= 1;
          hold.release();
        }
      };
      await Promise.all([work(a), work(b)]);
    });

    test('two that hold PR and both want EX both get it', async (nodes) => {
      const cachers = [await cacher(nodes, 1), await cacher(nodes, 2), await cacher(nodes, 3)];
      for (let round = 0; round < 5; round += 1) {
        const readers = await Promise.all(cachers.map(({ cached }) => cached.hold('PR')));
        readers.forEach(release);
        await Promise.all(cachers.map(({ cached }) => cached.using('EX', () => undefined)));
      }
      for (const { told } of cachers) expect(told.length).to.be.greaterThan(0);
    });

    test('two that hold PR with a hold inside wait for each other only until it ends', async (nodes) => {
      const [a, b] = [await cacher(nodes, 1), await cacher(nodes, 2)];
      const readers = [await a.cached.hold('PR'), await b.cached.hold('PR')];
      const writers = [a.cached.hold('EX'), b.cached.hold('EX')];
      expect(await waits(a.lockspace, Promise.race(writers))).to.equal(true);
      readers.forEach(release);
      const first = await Promise.race(writers);
      first.release();
      for (const hold of await Promise.all(writers)) hold.release();
    });

    test('PR inside PR never waits, EX inside PR is refused', async (nodes) => {
      const [a, b] = [await cacher(nodes, 1), await cacher(nodes, 2)];
      const outer = await a.cached.hold('PR');
      const wanted = b.cached.hold('EX');
      const writer = a.cached.hold('EX');
      await until(a.lockspace, () => a.cached.tryHold('PR') === null);
      const inner = await a.cached.hold('PR', { within: outer });
      release(a.cached.tryHold('PR', { within: inner }));
      const error = await rejection(a.cached.hold('EX', { within: outer }));
      expect(error).to.include({ code: 'ERR_DLM_NESTED', kind: 'misuse' });
      inner.release();
      outer.release();
      // Whichever is first.
      const holds = [writer, wanted].map(async (hold) => (await hold).release());
      await Promise.all(holds);
    });

    test('inside EX there is all, and it lasts as long as its last hold', async (nodes) => {
      const { lockspace, cached } = await cacher(nodes, 1);
      const outer = await cached.hold('EX');
      const inner = await cached.hold('EX', { within: outer });
      const reader = cached.tryHold('PR', { within: inner });
      outer.release();
      inner.release();
      const next = cached.hold('PR');
      expect(await waits(lockspace, next)).to.equal(true);
      release(reader);
      (await next).release();
    });

    test('PR inside PR inside EX counts as EX until it ends', async (nodes) => {
      const { cached } = await cacher(nodes, 1);
      const outer = await cached.hold('EX');
      const middle = await cached.hold('PR', { within: outer });
      const inner = await cached.hold('PR', { within: middle });
      outer.release();
      middle.release();
      expect(cached.tryHold('PR')).to.equal(null);
      inner.release();
      release(cached.tryHold('EX'));
    });

    test('shared holds in EX go with each other only', async (nodes) => {
      const { cached } = await cacher(nodes, 1);
      const first = await cached.hold('EX', { shared: true });
      const second = cached.tryHold('EX', { shared: true });
      expect(cached.tryHold('EX')).to.equal(null);
      expect(cached.tryHold('PR')).to.equal(null);
      first.release();
      expect(cached.tryHold('EX')).to.equal(null);
      release(second);
      const alone = cached.tryHold('EX');
      expect(cached.tryHold('EX', { shared: true })).to.equal(null);
      release(alone);
    });

    test('a wait ends by its limit, and what was asked for with it', async (nodes) => {
      const [a, b] = [await cacher(nodes, 1), await cacher(nodes, 2)];
      const writer = await a.cached.hold('EX');
      expect(await codeOf(b.cached.hold('EX', { timeoutMs: 3 }))).to.equal('ERR_DLM_TIMEOUT');
      const reason = new Error('enough');
      const controller = new AbortController();
      const aborted = b.cached.hold('PR', { signal: controller.signal });
      controller.abort(reason);
      expect(await rejection(aborted)).to.equal(reason);
      writer.release();
      (await a.cached.hold('EX')).release();
      (await b.cached.hold('EX')).release();
    });

    test('who waits for this process itself is told so', async (nodes) => {
      const { cached } = await cacher(nodes, 1);
      const hold = await cached.hold('PR');
      const error = await rejection(cached.hold('EX', { timeoutMs: 3 }));
      expect(String(error)).to.match(/this process itself holds it, 1 in PR.*"within"/);
      hold.release();
    });

    test('what nobody uses is given back, oldest first', async (nodes) => {
      const lockspace = await nodes.open(1);
      const gone: string[] = [];
      const names = ['a', 'b', 'c', 'd'];
      const locks = names.map((name) =>
        lockspace.cached(name, { onRevoke: (to, reason) => gone.push(`${name} ${to} ${reason}`) }),
      );
      for (const cached of locks) (await cached.hold('PR')).release();
      release(locks[0]?.tryHold('PR') ?? null);
      const held = locks[1]?.tryHold('PR') ?? null;
      expect(await lockspace.trim({ keep: 2 })).to.equal(2);
      expect(gone).to.deep.equal(['c NL idle', 'd NL idle']);
      expect(await lockspace.trim()).to.equal(1);
      expect(locks.map(({ mode }) => mode)).to.deep.equal(['NL', 'PR', 'NL', 'NL']);
      release(held);
      (await locks[2]!.hold('EX')).release();
    });

    test('what is beyond maxIdle goes, oldest first', async (nodes) => {
      const lockspace = await nodes.open(1, { cache: { maxIdle: 3 } });
      const locks = Array.from({ length: 6 }, (_, index) => lockspace.cached(`n${index}`));
      for (const cached of locks) (await cached.hold('PR')).release();
      await until(lockspace, () => locks.filter(({ mode }) => mode !== 'NL').length <= 3);
      expect(locks.map(({ mode }) => mode).slice(3)).to.deep.equal(['PR', 'PR', 'PR']);
    });

    test('what nobody has used for idleMs goes', async (nodes) => {
      const lockspace = await nodes.open(1, { cache: { idleMs: 20 } });
      const [idle, held] = [lockspace.cached('idle'), lockspace.cached('held')];
      (await idle.hold('PR')).release();
      const hold = await held.hold('PR');
      await until(lockspace, () => idle.mode === 'NL');
      expect(held.mode).to.equal('PR');
      hold.release();
      await until(lockspace, () => held.mode === 'NL');
    });

    test('close stores what is cached while the lock is still here', async (nodes) => {
      let isStored = false;
      const a = await cacher(nodes, 1, {
        minHoldMs: 0,
        onRevoke: async (to, reason) => {
          expect([to, reason]).to.deep.equal(['NL', 'closed']);
          await new Promise<void>((resolve) => a.lockspace.clock.setTimeout(resolve, 3));
          isStored = true;
        },
      });
      const b = await cacher(nodes, 2);
      const hold = await a.cached.hold('EX');
      const wanted = b.cached.hold('EX').then((next) => {
        expect(isStored).to.equal(true);
        next.release();
      });
      const closed = a.lockspace.close();
      expect(hold.held).to.equal(false);
      expect(hold.lost.aborted).to.equal(true);
      expect(a.cached.tryHold('PR')).to.equal(null);
      expect(await codeOf(a.cached.hold('PR'))).to.equal('ERR_DLM_CLOSED');
      await Promise.all([closed, wanted]);
    });

    test('close has stored what was about to go', async (nodes) => {
      const [a, b] = [await cacher(nodes, 1), await cacher(nodes, 2)];
      const hold = await a.cached.hold('EX');
      const wanted = b.cached.hold('EX');
      await until(a.lockspace, () => a.lockspace.revocations().length > 0);
      // In the same turn as the handler's call.
      hold.release();
      await a.lockspace.close();
      expect(a.told.map(([to]) => to)).to.deep.equal(['NL']);
      (await wanted).release();
    });

    test('close tells of NL although EX was on its way to PR', async (nodes) => {
      let isStored = false;
      const told: string[] = [];
      const a = await cacher(nodes, 1, {
        minHoldMs: 0,
        onRevoke: async (to) => {
          told.push(to);
          await until(a.lockspace, () => isStored);
        },
      });
      const b = await cacher(nodes, 2);
      (await a.cached.hold('EX')).release();
      const wanted = b.cached.hold('PR');
      await until(a.lockspace, () => told.length > 0);
      const closed = a.lockspace.close();
      isStored = true;
      await closed;
      expect(told).to.deep.equal(['PR', 'NL']);
      (await wanted).release();
    });

    test('names are copies', async (nodes) => {
      const { lockspace } = await cacher(nodes, 1);
      const cached = lockspace.cached(Uint8Array.of(120));
      (cached.name as Uint8Array)[0] = 121;
      expect(cached.name).to.deep.equal(Uint8Array.of(120));
      (await cached.hold('EX')).release();
      // Text and its bytes are one name.
      release(lockspace.cached('x').tryHold('EX'));
      const lock = await lockspace.lock(Uint8Array.of(122), 'EX');
      (lock.name as Uint8Array)[0] = 121;
      expect(lock.name).to.deep.equal(Uint8Array.of(122));
    });

    test('close rejects when something could not be stored, and is done', async (nodes) => {
      const a = await cacher(nodes, 1, {
        onRevoke: () => {
          throw new Error('no space left');
        },
      });
      const b = await cacher(nodes, 2);
      (await a.cached.hold('EX')).release();
      const error = await rejection(a.lockspace.close());
      expect(error).to.include({ code: 'ERR_DLM_REVOKE' });
      (await b.cached.hold('EX')).release();
      // Once closed, it stays so.
      expect(await rejection(a.lockspace.close())).to.equal(error);
      await nodes.open(1);
    });
  });
}

describe('cached locks that are lost', () => {
  for (const stack of ['o2cb', 'emulated'] as const) {
    /** A node of a cluster of its own, whose power is cut by what is resolved to. */
    const node = async (): Promise<[Lockspace, () => void]> => {
      const cluster = freshCluster();
      const kill = stack === 'o2cb' ? killO2cbNode : killEmulatedUserNode;
      const lockspace = await openLockspace('lost', { stack, node: 1, cluster });
      return [lockspace, () => kill(1, cluster)];
    };

    it(`tell every hold and every handler: ${stack}`, async () => {
      const [lockspace, kill] = await node();
      const told: Told = [];
      const onRevoke = (to: 'PR' | 'NL', reason: RevokeReason): void =>
        void told.push([to, reason]);
      const [held, idle] = [
        lockspace.cached('a', { onRevoke }),
        lockspace.cached('b', { onRevoke }),
      ];
      const hold = await held.hold('EX');
      const { lost } = hold;
      (await idle.hold('PR')).release();
      const waiting = codeOf(held.hold('PR'));
      kill();
      expect(await codeOf(lockspace.cached('c').hold('EX'))).to.equal('ERR_DLM_LOST');
      expect(await waiting).to.equal('ERR_DLM_LOST');
      expect(lost.reason).to.include({ code: 'ERR_DLM_LOST' });
      expect([hold.held, held.mode, idle.mode]).to.deep.equal([false, 'NL', 'NL']);
      expect(idle.tryHold('PR')).to.equal(null);
      hold.release();
      await lockspace.close();
      expect(told).to.deep.equal([
        ['NL', 'lost'],
        ['NL', 'lost'],
      ]);
    });

    it(`say so also while they are being closed: ${stack}`, async () => {
      const [lockspace, kill] = await node();
      const told: string[] = [];
      const names = Array.from({ length: 100 }, (_, index) => `n${index}`);
      for (const name of names) {
        const cached = lockspace.cached(name, {
          onRevoke: async (_, reason) => {
            told.push(reason);
            if (told.length === 1) kill();
            if (!lockspace.lost.aborted) await once(lockspace.lost, 'abort');
          },
        });
        (await cached.hold('EX')).release();
      }
      expect(await codeOf(lockspace.close())).to.equal('ERR_DLM_REVOKE');
      expect(told).to.have.length(100);
      expect(new Set(told)).to.deep.equal(new Set(['closed', 'lost']));
    });
  }
});

describe('cached values', () => {
  for (const stack of ['o2cb', 'emulated'] as const) {
    it(`have no version twice, also when the block was lost: ${stack}`, async () => {
      expect(await readAfterLoss(stack)).to.equal(2);
    });
  }
});
