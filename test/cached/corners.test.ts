/** Corners of cached locks that were wrong once. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';

import { expect } from 'chai';

import {
  openLockspace,
  type CachedLock,
  type Hold,
  type Lockspace,
  type RevokeReason,
} from '../../lib/index.js';
import { freshCluster } from '../stackglue/test-node.js';
import { codeOf, rejection } from '../locks/worlds.js';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Resolves when a lock is told that it is in somebody's way. */
const blocked = (): Promise<void> =>
  new Promise((resolve) => {
    const hear = (): void => {
      unsubscribe('stackglue.lock.blocked', hear);
      resolve();
    };
    subscribe('stackglue.lock.blocked', hear);
  });

/** Resolves when the condition holds. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await turn();
}

for (const stack of ['o2cb', 'emulated'] as const) {
  describe(`corners of cached locks: ${stack}`, () => {
    let cluster: string;
    const opened: Lockspace[] = [];
    const open = async (node: number, options = {}): Promise<Lockspace> => {
      const lockspace = await openLockspace('corners', { stack, node, cluster, ...options });
      opened.push(lockspace);
      return lockspace;
    };

    beforeEach(() => (cluster = freshCluster()));
    afterEach(async () => {
      for (const lockspace of opened.splice(0)) await lockspace[Symbol.asyncDispose]();
    });

    it('what could not be stored because nobody used it stays in use', async () => {
      const lockspace = await open(1);
      let failures = 0;
      lockspace.on('revokeFailed', () => (failures += 1));
      const reasons: RevokeReason[] = [];
      const cached = lockspace.cached('x', {
        onRevoke: (_, reason) => {
          reasons.push(reason);
          throw new Error('no space left');
        },
      });
      (await cached.hold('EX')).release();
      expect(await lockspace.trim()).to.equal(0);
      expect(cached.mode).to.equal('EX');
      cached.tryHold('EX')?.release();
      expect(lockspace.revocations()).to.deep.equal([]);
      await until(() => failures === 1);
      expect(reasons).to.deep.equal(['idle']);
    });

    it('one that cannot be given back keeps no other from going', async () => {
      const lockspace = await open(1, { cache: { maxIdle: 10 } });
      let store!: () => void;
      const stored = new Promise<void>((resolve) => (store = resolve));
      const stuck = lockspace.cached('stuck', { onRevoke: () => stored });
      (await stuck.hold('EX')).release();
      const locks = Array.from({ length: 100 }, (_, index) => lockspace.cached(`n${index}`));
      for (const cached of locks) (await cached.hold('EX')).release();
      await until(() => locks.filter(({ mode }) => mode !== 'NL').length <= 10);
      expect(lockspace.revocations().map(({ name }) => name)).to.deep.equal(['stuck']);
      store();
    });

    it('a minimum hold that nobody can use ends', async () => {
      const [a, b] = [await open(1), await open(2)];
      const cached = a.cached('x', { minHoldMs: 60_000 });
      const reader = await cached.hold('PR');
      const told = blocked();
      const wanted = b.lock('x', 'EX');
      await told;
      const writer = cached.hold('EX');
      const next = cached.hold('PR');
      reader.release();
      await (await wanted).release();
      (await writer).release();
      (await next).release();
    });

    it('and so does one that is given back', async () => {
      const [a, b] = [await open(1), await open(2)];
      const cached = a.cached('x', { minHoldMs: 60_000 });
      (await cached.hold('EX')).release();
      const told = blocked();
      const wanted = b.lock('x', 'EX');
      await told;
      await cached.giveBack();
      await (await wanted).release();
    });

    it('a new object of a name is the same name', async () => {
      const lockspace = await open(1);
      (await lockspace.cached('x').hold('EX')).release();
      expect(lockspace.cached('x').mode).to.equal('EX');
      await lockspace.cached('x').giveBack();
      expect(lockspace.cached('x').mode).to.equal('NL');
    });

    it('each new closure is called, and many of them do no harm', async () => {
      const [a, b] = [await open(1), await open(2)];
      let calls = 0;
      for (let index = 0; index < 130_000; index += 1) {
        const cached = a.cached('x', { minHoldMs: 0, onRevoke: () => void (calls += 1) });
        (cached.tryHold('EX') ?? (await cached.hold('EX'))).release();
      }
      await (await b.lock('x', 'EX')).release();
      expect(calls).to.equal(130_000);
    });

    it('options are read once', async () => {
      const lockspace = await open(1);
      const cached = lockspace.cached('x');
      let reads = 0;
      const options = {
        get timeoutMs(): number {
          if ((reads += 1) > 1) throw new Error('read twice');
          return 1000;
        },
      };
      (await cached.hold('EX', options)).release();
      expect(reads).to.equal(1);
    });

    it('bad input is told by its name', async () => {
      const lockspace = await open(1);
      const cached = lockspace.cached('x');
      const hold = await cached.hold('PR');
      const wrong: readonly [() => unknown, string][] = [
        [() => lockspace.cached('', {}), 'name'],
        [() => lockspace.cached('x', { onRevoke: 1 as never }), 'options.onRevoke'],
        [() => lockspace.cached('x', { minHoldMs: -1 }), 'options.minHoldMs'],
        [() => lockspace.cached('x', { minHold: 1 } as never), 'options.minHold'],
        [() => cached.tryHold('NL' as never), 'mode'],
        [() => cached.tryHold('PR', null as never), 'options'],
        [() => cached.tryHold('PR', { within: {} as never }), 'options.within'],
        [() => cached.tryHold('PR', { within: new Proxy(hold, {}) }), 'options.within'],
        [() => cached.tryHold('EX', { shared: 1 as never }), 'options.shared'],
      ];
      for (const [call, argument] of wrong) {
        let error: unknown;
        try {
          call();
        } catch (thrown) {
          error = thrown;
        }
        expect(error).to.include({ argument });
      }
      const rejected: readonly [() => Promise<unknown>, string][] = [
        [() => cached.hold('CW' as never), 'mode'],
        [() => cached.hold('PR', { timeoutMs: -1 }), 'options.timeoutMs'],
        [() => cached.hold('PR', { signal: {} as AbortSignal }), 'options.signal'],
        [() => cached.using('PR', 1 as never), 'work'],
        [() => lockspace.trim({ keep: -1 }), 'options.keep'],
        [() => lockspace.trim({ concurrency: 0 }), 'options.concurrency'],
      ];
      for (const [call, argument] of rejected) {
        expect(await rejection(call())).to.include({ argument });
      }
      expect([cached.mode, hold.held]).to.deep.equal(['PR', true]);
      hold.release();
      hold.release();
      expect(() => cached.tryHold('PR', { within: hold })).to.throw(RangeError);
      cached.tryHold('EX')?.release();
    });

    it('a signal that calls back finds the hold counted', async () => {
      const [a] = [await open(1)];
      const cached: CachedLock = a.cached('x');
      const first = await cached.hold('EX');
      let second: Hold | null | undefined;
      const signal = {
        aborted: false,
        reason: undefined,
        addEventListener: () => undefined,
        removeEventListener: () => (second = cached.tryHold('EX')),
      } as unknown as AbortSignal;
      const waiting = cached.hold('EX', { signal });
      first.release();
      const hold = await waiting;
      expect(second).to.equal(null);
      hold.release();
    });

    it('nothing can be had by whoever hears of the end', async () => {
      const lockspace = await open(1);
      const [x, y] = [lockspace.cached('x'), lockspace.cached('y')];
      const hold = await x.hold('EX');
      (await y.hold('EX')).release();
      let found: Hold | null | undefined;
      hold.lost.addEventListener('abort', () => (found = y.tryHold('EX')));
      await lockspace.close();
      expect(found).to.equal(null);
    });

    it('a loss while a handler is at work does not call it again', async () => {
      const [a, b] = [await open(1), await open(2)];
      const told: string[] = [];
      let store!: () => void;
      const stored = new Promise<void>((resolve) => (store = resolve));
      const cached = a.cached('x', {
        minHoldMs: 0,
        onRevoke: async (to, reason) => {
          told.push(`${to} ${reason}`);
          await stored;
        },
      });
      (await cached.hold('EX')).release();
      const wanted = b.lock('x', 'EX');
      await until(() => told.length === 1);
      const closed = a.close();
      store();
      await closed;
      await (await wanted).release();
      expect(told).to.deep.equal(['NL wanted']);
    });

    it('what await using could not store is told', async () => {
      const lockspace = await open(1);
      const failed: unknown[] = [];
      lockspace.on('revokeFailed', (name, error) => failed.push([name, String(error)]));
      const cached = lockspace.cached('x', {
        onRevoke: () => {
          throw new Error('no space left');
        },
      });
      (await cached.hold('EX')).release();
      await lockspace[Symbol.asyncDispose]();
      await turn();
      expect(failed).to.deep.equal([['x', 'Error: no space left']]);
    });

    it('a node that comes later to a value that others fight for has its turn', async () => {
      let stored = 0;
      const value = async (node: number): Promise<() => Promise<number>> => {
        const cached = (await open(node, { tokens: true })).cachedValue<number>('v', {
          load: () => stored,
          store: (next) => void (stored = next),
          minHoldMs: 0,
        });
        return () => cached.update((old) => old + 1);
      };
      const updates = [await value(1), await value(2), await value(3)];
      let isOver = false;
      let count = 0;
      const works = updates.map(async (update) => {
        while (!isOver) {
          await update();
          count += 1;
          // What is covered takes no turn of the loop, and nobody would be heard.
          await turn();
        }
      });
      await until(() => count > 50);
      await (
        await value(4)
      )();
      isOver = true;
      await Promise.all(works);
      expect(stored).to.equal(count + 1);
    });

    it('values need tokens, and a name of their own', async () => {
      const options = { load: () => 1, store: () => undefined };
      const plain = await open(1);
      expect(() => plain.cachedValue('v', options))
        .to.throw()
        .with.property('code', 'ERR_DLM_NO_TOKEN');
      await plain.close();
      opened.pop();
      const lockspace = await open(1, { tokens: true });
      const value = lockspace.cachedValue('v', options);
      expect(await value.read()).to.equal(1);
      expect(await codeOf(lockspace.cached('v').hold('PR'))).to.equal('ERR_DLM_CACHED');
      const failing = lockspace.cachedValue<number>('w', {
        ...options,
        load: () => Promise.reject(new Error('not there')),
      });
      expect(String(await rejection(failing.read()))).to.equal('Error: not there');
      expect(failing.peek()).to.equal(undefined);
    });
  });
}
