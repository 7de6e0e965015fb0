/** Signals that calls are given: those of Node.js, however many wait with one, and those of libraries. */
import { expect } from 'chai';
import { getEventListeners, once } from 'node:events';

import { DlmError, openLockspace, type Lockspace } from '../../lib/index.js';
import { freshCluster } from '../stackglue/test-node.js';
import { atRest, codeOf, rejection } from './worlds.js';

type Listener = (event: unknown) => void;

/** As old libraries make them, on an EventEmitter: listeners are functions, and there is no reason. */
class LibrarySignal {
  aborted = false;
  readonly listeners = new Set<Listener>();

  addEventListener(_: string, listener: unknown): void {
    if (typeof listener !== 'function') throw new TypeError('The listener must be a function');
    this.listeners.add(listener as Listener);
  }

  removeEventListener(_: string, listener: Listener): void {
    this.listeners.delete(listener);
  }

  abort(): void {
    this.aborted = true;
    for (const listener of this.listeners) listener({ type: 'abort' });
  }

  get asSignal(): AbortSignal {
    return this as unknown as AbortSignal;
  }
}

for (const stack of ['o2cb', 'emulated'] as const) {
  describe(`signals on ${stack}`, () => {
    let cluster: string;
    let a: Lockspace;
    let b: Lockspace;

    beforeEach(async () => {
      cluster = freshCluster();
      a = await openLockspace('signals', { stack, cluster, node: 1 });
      b = await openLockspace('signals', { stack, cluster, node: 2 });
    });
    afterEach(async () => {
      await a.close();
      await b.close();
    });

    const isFree = async (name: string): Promise<boolean> => {
      const lock = await b.tryLock(name, 'EX');
      await lock?.release();
      return lock !== null;
    };

    it('one signal for many waits has one listener, none at rest, and nobody is warned', async () => {
      const warnings: Error[] = [];
      const onWarning = (warning: Error): number => warnings.push(warning);
      process.on('warning', onWarning);
      try {
        const held = await a.lock('many', 'EX');
        const { signal } = new AbortController();
        const controller = new AbortController();
        const waiting = Array.from({ length: 50 }, () =>
          rejection(b.lock('many', 'EX', { signal: controller.signal })),
        );
        let end!: () => void;
        const ended = new Promise<void>((resolve) => (end = resolve));
        const inUse = Array.from({ length: 50 }, (__, index) =>
          a.using(`used ${index}`, 'EX', { signal }, async (_, its) => {
            await ended;
            expect(its.aborted).to.equal(false);
          }),
        );
        await a.using('last', 'EX', () => undefined);
        expect(getEventListeners(signal, 'abort')).to.have.length(1);
        const reason = new Error('enough');
        controller.abort(reason);
        expect(new Set(await Promise.all(waiting))).to.deep.equal(new Set([reason]));
        end();
        await Promise.all(inUse);
        for (const each of [signal, controller.signal]) {
          expect(getEventListeners(each, 'abort')).to.deep.equal([]);
        }
        await held.release();
        await atRest(b);
        // Warnings come a turn later.
        await new Promise(setImmediate);
        expect(warnings).to.deep.equal([]);
      } finally {
        process.off('warning', onWarning);
      }
    });

    it("a library's signal ends waits, and what it does not say is said for it", async () => {
      const held = await a.lock('library', 'EX');
      const library = new LibrarySignal();
      const signal = library.asSignal;
      const waiting = rejection(b.lock('library', 'EX', { signal }));
      const used = rejection(
        a.using('used', 'EX', { signal }, async (_, its) => {
          await once(its, 'abort');
          its.throwIfAborted();
        }),
      );
      await a.using('last', 'EX', () => undefined);
      library.abort();
      const late = b.lock('other', 'EX', { signal });
      const opening = openLockspace('more', { stack, cluster, node: 3, signal });
      for (const each of [waiting, used, rejection(late), rejection(opening)]) {
        expect(await each).to.have.property('name', 'AbortError');
      }
      expect(library.listeners.size).to.equal(0);
      await held.release();
    });

    it('what only looks like a signal is refused, and nothing is left of the call', async () => {
      const incomplete = { aborted: false, addEventListener: () => undefined } as never;
      expect(await codeOf(a.lock('n', 'EX', { signal: incomplete }))).to.equal(
        'ERR_INVALID_ARG_TYPE',
      );
      const failure = new Error('no listeners here');
      const signal = {
        aborted: false,
        addEventListener() {
          throw failure;
        },
        removeEventListener: () => undefined,
      } as never;
      expect(await rejection(a.lock('n', 'EX', { signal }))).to.equal(failure);
      await atRest(a);
      expect(await isFree('n')).to.equal(true);
      const lock = await a.lock('n', 'PR');
      expect(await rejection(lock.convert('EX', { signal }))).to.equal(failure);
      // The one before is being taken back, so this one waits behind it.
      expect(await rejection(lock.convert('EX', { signal }))).to.equal(failure);
      await lock.convert('EX', { timeoutMs: 60_000 });
      await lock.release();
      const opening = openLockspace('more', { stack, cluster, node: 3, signal });
      expect(await rejection(opening)).to.equal(failure);
      expect(a.withdrawals).to.equal(0);
    });

    it('a timeout names a few holders, however many there are', async () => {
      const readers = await Promise.all(Array.from({ length: 50 }, () => a.lock('read', 'PR')));
      const error = await rejection(b.lock('read', 'EX', { timeoutMs: 1 }));
      expect(error).to.be.an.instanceOf(DlmError);
      expect((error as DlmError).message).to.match(
        /held by (node 1 \(PR\), ){3}node 1 \(PR\) and others$/,
      );
      await atRest(b);
      await Promise.all(readers.map((reader) => reader.release()));
    });
  });
}
