/** Locks with promises, the same on every stack: taken, waited for, converted, given up, lost. */
import { expect } from 'chai';

import type { Lock, Mode } from '../../lib/index.js';
import { atRest, codeOf, rejection, WORLDS, type Nodes, type World } from './worlds.js';

function suite(world: World): void {
  const test = (title: string, body: (nodes: Nodes) => Promise<void>): void => {
    it(title, () => world.run(body));
  };

  test('a lock is held until it is released, and then the next is granted', async (nodes) => {
    const [a, b] = [await nodes.open(1), await nodes.open(2)];
    const lock = await a.lock('name', 'EX');
    expect(lock).to.include({ name: 'name', mode: 'EX', held: true });
    expect(await b.tryLock('name', 'PR')).to.equal(null);
    const order: string[] = [];
    const next = b.lock('name', 'EX').then((its) => {
      order.push('granted');
      return its;
    });
    await a.lock('other', 'EX');
    order.push('released');
    await lock.release();
    expect(lock.held).to.equal(false);
    await (await next).release();
    expect(order).to.deep.equal(['released', 'granted']);
    await a.close();
    await b.close();
  });

  test('readers share, and a writer waits for all of them', async (nodes) => {
    const [a, b, c] = [await nodes.open(1), await nodes.open(2), await nodes.open(3)];
    const readers = [await a.lock('shared', 'PR'), await b.lock('shared', 'PR')];
    let isGranted = false;
    const writer = c.lock('shared', 'EX').then((lock) => {
      isGranted = true;
      return lock;
    });
    await readers[0]!.release();
    expect(isGranted).to.equal(false);
    await readers[1]!.release();
    await (await writer).release();
  });

  if (world.keepsOrder) {
    test('nobody waits behind more than those who asked before', async (nodes) => {
      const spaces = [await nodes.open(1), await nodes.open(2), await nodes.open(3)];
      const first = await spaces[0]!.lock('queue', 'EX');
      const order: number[] = [];
      const waiting = Array.from({ length: 30 }, async (_, index) => {
        // Some give up, and change nothing for the others.
        const signal = index % 5 === 4 ? AbortSignal.timeout(0) : undefined;
        const lock = await spaces[index % 3]!.lock('queue', 'EX', { signal }).catch(() => null);
        if (lock === null) return;
        order.push(index);
        await lock.release();
      });
      await Promise.all(waiting.filter((__, index) => index % 5 === 4));
      await first.release();
      await Promise.all(waiting);
      const expected = Array.from({ length: 30 }, (__, index) => index);
      expect(order).to.deep.equal(expected.filter((index) => index % 5 !== 4));
    });
  }

  test('using returns what its work does, and releases whatever becomes of it', async (nodes) => {
    const [a, b] = [await nodes.open(1), await nodes.open(2)];
    const isFree = async (): Promise<boolean> => {
      const lock = await b.tryLock('used', 'EX');
      await lock?.release();
      return lock !== null;
    };
    const failure = new Error('the work failed');
    const works: (() => unknown)[] = [
      () => 1,
      () => Promise.resolve(1),
      () => ({ then: (resolve: (value: number) => void) => resolve(1) }),
    ];
    for (const work of works) {
      expect(await a.using('used', 'EX', work)).to.equal(1);
      expect(await isFree()).to.equal(true);
    }
    const failing: (() => unknown)[] = [
      () => {
        throw failure;
      },
      () => Promise.reject(failure),
    ];
    for (const work of failing) {
      expect(await rejection(a.using('used', 'EX', work))).to.equal(failure);
      expect(await isFree()).to.equal(true);
    }
    await a.using('used', 'EX', {}, async (lock, signal) => {
      expect(lock.mode).to.equal('EX');
      expect(signal.aborted).to.equal(false);
      expect(await isFree()).to.equal(false);
    });
  });

  test('using gives the signal to any function that can look at it', async (nodes) => {
    const a = await nodes.open(1);
    function withArguments(lock: Lock): unknown {
      return [lock].map(() => arguments.length)[0];
    }
    const withArrow = (...[lock, signal]: [Lock, AbortSignal]): unknown =>
      [lock].map(() => signal.aborted)[0];
    expect(await a.using('seen', 'EX', withArguments)).to.equal(2);
    expect(await a.using('seen', 'EX', withArrow)).to.equal(false);
    const failure = new Error('no length');
    const work = Object.defineProperty(() => 1, 'length', {
      get() {
        throw failure;
      },
    });
    expect(await rejection(a.using('seen', 'EX', work))).to.equal(failure);
    await (await a.lock('seen', 'EX', { timeoutMs: 60_000 })).release();
  });

  test('await using releases at the end of the block', async (nodes) => {
    const [a, b] = [await nodes.open(1), await nodes.open(2)];
    {
      await using lock = await a.lock('block', 'EX');
      expect(lock.held).to.equal(true);
      expect(await b.tryLock('block', 'EX')).to.equal(null);
    }
    const lock = await b.tryLock('block', 'EX');
    expect(lock).not.to.equal(null);
    await lock?.release();
  });

  test('release can be asked for again, and is the same', async (nodes) => {
    const a = await nodes.open(1);
    const lock = await a.lock('again', 'EX');
    const released = lock.release();
    expect(lock.release()).to.equal(released);
    await released;
    await lock.release();
    await lock[Symbol.asyncDispose]();
    expect(await codeOf(lock.convert('NL'))).to.equal('ERR_DLM_RELEASED');
  });

  test('a timeout rejects, takes the request back, and leaves the lock to others', async (nodes) => {
    const [a, b] = [await nodes.open(1), await nodes.open(2)];
    const lock = await a.lock('late', 'EX');
    const error = (await rejection(b.lock('late', 'EX', { timeoutMs: 5 }))) as Error;
    expect(error).to.include({ code: 'ERR_DLM_TIMEOUT', isRetryable: true });
    expect(error.message).to.match(/^Waited 5 ms for EX on "late" in lockspace "lock-suite"/);
    await atRest(b);
    await lock.release();
    const next = await a.tryLock('late', 'EX');
    expect(next).not.to.equal(null);
    await next?.release();
  });

  test('an abort rejects at once with its reason, and an aborted signal asks for nothing', async (nodes) => {
    const [a, b] = [await nodes.open(1), await nodes.open(2)];
    const lock = await a.lock('aborted', 'EX');
    const controller = new AbortController();
    const reason = { why: 'a reason of any kind' };
    const waiting = b.lock('aborted', 'EX', { signal: controller.signal });
    const caught = rejection(waiting);
    controller.abort(reason);
    expect(b.withdrawals).to.equal(1);
    expect(await caught).to.equal(reason);
    expect(await rejection(b.lock('x', 'EX', { signal: controller.signal }))).to.equal(reason);
    expect(await rejection(b.tryLock('x', 'EX', { signal: controller.signal }))).to.equal(reason);
    await lock.release();
    await atRest(b);
    expect(await a.tryLock('aborted', 'EX')).not.to.equal(null);
  });

  test('a grant that crosses an abort is given back untold', async (nodes) => {
    const [a, b] = [await nodes.open(1), await nodes.open(2)];
    const controller = new AbortController();
    const waiting = b.lock('crossing', 'EX', { signal: controller.signal });
    controller.abort(new Error('enough'));
    expect(await rejection(waiting)).to.have.property('message', 'enough');
    await atRest(b);
    const lock = await a.tryLock('crossing', 'EX');
    expect(lock).not.to.equal(null);
    await lock?.release();
  });

  test('down conversions do not wait, and let others in', async (nodes) => {
    const [a, b] = [await nodes.open(1), await nodes.open(2)];
    const lock = await a.lock('down', 'EX');
    const reader = b.lock('down', 'PR');
    await lock.convert('PR');
    expect(lock.mode).to.equal('PR');
    await (await reader).release();
    await lock.convert('PR');
    await lock.convert('NL');
    expect(lock).to.include({ mode: 'NL', held: true });
    const writer = await b.lock('down', 'EX');
    await writer.release();
    await lock.release();
  });

  test('an up conversion waits, and an abort leaves the old mode', async (nodes) => {
    const [a, b] = [await nodes.open(1), await nodes.open(2)];
    const [lock, other] = [await a.lock('up', 'PR'), await b.lock('up', 'PR')];
    expect(await codeOf(lock.convert('EX', { timeoutMs: 5 }))).to.equal('ERR_DLM_TIMEOUT');
    expect(lock.mode).to.equal('PR');
    const next = lock.convert('EX', { timeoutMs: 60_000 });
    expect(await codeOf(lock.convert('NL'))).to.equal('ERR_DLM_BUSY');
    await other.release();
    await next;
    expect(lock.mode).to.equal('EX');
    expect(await b.tryLock('up', 'PR')).to.equal(null);
    await atRest(a);
    await lock.release();
  });

  test('while a conversion is given up, the mode is what is certain', async (nodes) => {
    const [a, b] = [await nodes.open(1), await nodes.open(2)];
    const lock = await a.lock('certain', 'EX');
    const reader = b.lock('certain', 'PR');
    const controller = new AbortController();
    const converting = rejection(lock.convert('PR', { signal: controller.signal }));
    // It may be granted before this side hears of it, and the reader then, too.
    expect(lock.mode).to.equal('PR');
    controller.abort(new Error('enough'));
    expect(await converting).to.have.property('message', 'enough');
    await atRest(a);
    if (lock.mode === 'EX') await lock.convert('PR');
    await (await reader).release();
    const up = lock.convert('EX', { timeoutMs: 60_000 });
    expect(lock.mode).to.equal('PR');
    await up;
    expect(lock.mode).to.equal('EX');
    await lock.release();
  });

  test('an up conversion that was granted while it was given up is taken back', async (nodes) => {
    const [a, b] = [await nodes.open(1), await nodes.open(2)];
    const lock = await a.lock('back', 'PR');
    const controller = new AbortController();
    const converting = rejection(lock.convert('EX', { signal: controller.signal }));
    controller.abort(new Error('enough'));
    // The next one waits for what is being taken back, and can be given up, too.
    const other = new AbortController();
    const again = rejection(lock.convert('EX', { signal: other.signal }));
    other.abort(new Error('once more'));
    expect(await converting).to.have.property('message', 'enough');
    expect(await again).to.have.property('message', 'once more');
    const third = lock.convert('NL', { timeoutMs: 60_000 });
    await third;
    expect(lock.mode).to.equal('NL');
    await lock.convert('PR', { timeoutMs: 60_000 });
    await atRest(a);
    expect(lock).to.include({ mode: 'PR', held: true });
    const reader = await b.tryLock('back', 'PR');
    expect(reader).not.to.equal(null);
    await reader?.release();
    await lock.release();
  });

  test('a release ends the conversion that is under way', async (nodes) => {
    const [a, b] = [await nodes.open(1), await nodes.open(2)];
    const [lock, other] = [await a.lock('both', 'PR'), await b.lock('both', 'PR')];
    const converting = codeOf(lock.convert('EX', { timeoutMs: 60_000 }));
    const released = lock.release();
    expect(await converting).to.equal('ERR_DLM_RELEASED');
    await released;
    await other.release();
    expect(await b.tryLock('both', 'EX')).not.to.equal(null);
    expect(a.withdrawals).to.equal(0);
  });

  if (!world.detectsDeadlocks) {
    test('an up conversion without a limit is refused where nobody finds deadlocks', async (nodes) => {
      const a = await nodes.open(1);
      const lock = await a.lock('deadlock', 'PR');
      expect(await codeOf(lock.convert('EX'))).to.equal('ERR_DLM_NO_LIMIT');
      await lock.convert('EX', { signal: new AbortController().signal });
      expect(lock.mode).to.equal('EX');
    });
  }

  if (world.detectsDeadlocks) {
    test('tells the second of two conversions that deadlock', async (nodes) => {
      const [a, b] = [await nodes.open(1), await nodes.open(2)];
      const locks = [await a.lock('two', 'PR'), await b.lock('two', 'PR')];
      const conversions = locks.map((lock) => lock.convert('EX').then(() => lock));
      // Where requests travel, either may be the second.
      const told = await Promise.any(
        conversions.map(async (conversion, at) => ({ at, code: await codeOf(conversion) })),
      );
      expect(told.code).to.equal('ERR_DLM_DEADLOCK');
      if (world.keepsOrder) expect(told.at).to.equal(1);
      expect(locks[told.at]?.mode).to.equal('PR');
      await locks[told.at]?.release();
      const winner = await conversions[1 - told.at];
      expect(winner?.mode).to.equal('EX');
      await winner?.release();
    });
  }

  test('lockAll takes all or none, whatever the order that they are named in', async (nodes) => {
    const [a, b] = [await nodes.open(1), await nodes.open(2)];
    const both = await a.lockAll(['b', 'a'], 'EX');
    expect(both.locks.map(({ name }) => name)).to.deep.equal(['b', 'a']);
    expect(await codeOf(b.lockAll(['c', 'b'], 'EX', { timeoutMs: 5 }))).to.equal('ERR_DLM_TIMEOUT');
    // Nothing is left of the attempt.
    await atRest(b);
    const third = await a.lock('c', 'EX', { timeoutMs: 60_000 });
    await both.release();
    const crossing = await Promise.all([
      b.lockAll(['x', 'y'], 'EX').then((set) => set.release()),
      a.lockAll(['y', 'x'], 'EX').then((set) => set.release()),
    ]);
    expect(crossing).to.have.length(2);
    expect(await codeOf(a.lockAll(['n', Buffer.from('n')], 'EX'))).to.equal('ERR_OUT_OF_RANGE');
    expect((await a.lockAll([], 'EX')).locks).to.deep.equal([]);
    await third.release();
  });

  test('lockAll looks at all names before it asks for one', async (nodes) => {
    const [a, b] = [await nodes.open(1), await nodes.open(2)];
    // Who waited for this one would not hear of the other.
    const lock = await b.lock('a', 'EX');
    const sparse: string[] = ['a'];
    sparse[2] = 'c';
    const bad: [string, readonly string[]][] = [
      ['names[1]', ['a', '\ud800']],
      ['names[0]', ['\ud801', '\ud800']],
      ['names[1]', sparse],
    ];
    for (const [argument, names] of bad) {
      expect(await rejection(a.lockAll(names, 'EX'))).to.have.property('argument', argument);
    }
    const reason = new Error('enough');
    const signal = AbortSignal.abort(reason);
    expect(await rejection(a.lockAll([], 'EX', { signal }))).to.equal(reason);
    await lock.release();
  });

  test('who stands in the way is told once for each higher mode', async (nodes) => {
    const [a, b] = [await nodes.open(1), await nodes.open(2)];
    const lock = await a.lock('wanted', 'EX');
    const told: Mode[] = [];
    const events: [Lock, Mode][] = [];
    a.on('blocked', (...args) => events.push(args));
    const first = new Promise<void>((resolve) => {
      lock.onBlocked = (mode) => {
        told.push(mode);
        resolve();
      };
    });
    const reader = b.lock('wanted', 'PR');
    await first;
    const more = new Promise<void>((resolve) => {
      lock.onBlocked = (mode) => {
        told.push(mode);
        resolve();
      };
    });
    const granted = await Promise.all([
      reader.then((its) => its.release()),
      (async () => {
        await lock.convert('NL');
        await lock.convert('EX', { timeoutMs: 60_000 });
        const writer = b.lock('wanted', 'EX');
        await more;
        await lock.release();
        await (await writer).release();
      })(),
    ]);
    expect(granted).to.have.length(2);
    expect(told).to.deep.equal(['PR', 'EX']);
    expect(events).to.deep.equal([
      [lock, 'PR'],
      [lock, 'EX'],
    ]);
  });

  test('onBlocked that is set late hears what was wanted before', async (nodes) => {
    const [a, b] = [await nodes.open(1), await nodes.open(2)];
    const lock = await a.lock('early', 'EX');
    const blocked = new Promise((resolve) => a.once('blocked', resolve));
    const waiting = b.lock('early', 'EX');
    await blocked;
    const told = await new Promise<Mode>((resolve) => (lock.onBlocked = resolve));
    expect(told).to.equal('EX');
    await lock.release();
    await (await waiting).release();
  });

  test('close gives up all, and who waits or holds is told', async (nodes) => {
    const [a, b] = [await nodes.open(1), await nodes.open(2)];
    const held = await a.lock('closing', 'EX');
    const mine = await b.lock('mine', 'EX');
    const waiting = codeOf(b.lock('closing', 'EX'));
    const trying = codeOf(b.tryLock('closing', 'EX'));
    const closing = b.close();
    expect(b.close()).to.equal(closing);
    expect(mine.lost.reason).to.include({ code: 'ERR_DLM_CLOSED' });
    expect(b.health).to.include({ state: 'lost', reason: 'closed' });
    expect(await waiting).to.equal('ERR_DLM_CLOSED');
    // On o2cb the call itself has answered before.
    expect(['ERR_DLM_CLOSED', null]).to.include(await trying.catch(() => null));
    expect(await codeOf(mine.release())).to.equal('ERR_DLM_CLOSED');
    await mine[Symbol.asyncDispose]();
    expect(await codeOf(b.lock('any', 'EX'))).to.equal('ERR_DLM_CLOSED');
    await closing;
    expect(await codeOf(b.lock('any', 'EX'))).to.equal('ERR_DLM_CLOSED');
    expect(b.members()).to.deep.equal([]);
    expect(b.withdrawals).to.equal(0);
    const freed = await a.lock('mine', 'EX');
    await freed.release();
    expect(held.lost.aborted).to.equal(false);
    await held.release();
  });

  test('a release that close overtakes has not failed', async (nodes) => {
    const [a, b] = [await nodes.open(1), await nodes.open(2)];
    const lock = await a.lock('overtaken', 'EX');
    const released = lock.release();
    await Promise.all([a.close(), released]);
    await (await b.lock('overtaken', 'EX')).release();
  });

  test('who hears of a close may call whatever he likes', async (nodes) => {
    const a = await nodes.open(1);
    const [lock, other] = [await a.lock('one', 'EX'), await a.lock('two', 'EX')];
    const heard: Promise<unknown>[] = [];
    lock.lost.addEventListener('abort', () => {
      heard.push(a.close());
      heard.push(codeOf(lock.release()), codeOf(other.release()), codeOf(a.lock('three', 'EX')));
      heard.push(codeOf(other.convert('NL')));
    });
    await a.close();
    const closed = 'ERR_DLM_CLOSED';
    expect(await Promise.all(heard)).to.deep.equal([undefined, closed, closed, closed, closed]);
  });

  test('a death gives the locks to others, who are told of it first', async (nodes) => {
    const [a, b] = [await nodes.open(1), await nodes.open(2)];
    const lock = await a.lock('dying', 'EX');
    const { lost } = lock;
    const heard: string[] = [];
    b.on('memberFailed', (node) => heard.push(`failed ${node}`));
    const next = b.lock('dying', 'EX').then((its) => {
      heard.push('granted');
      return its;
    });
    await b.lock('other', 'EX');
    const waiting = nodes.outlives ? codeOf(a.lock('other', 'EX')) : undefined;
    nodes.kill(1);
    await (await next).release();
    expect(heard).to.deep.equal(['failed 1', 'granted']);
    if (!nodes.outlives) return;
    expect(await waiting).to.equal('ERR_DLM_LOST');
    expect(lost.aborted).to.equal(true);
    expect(lock.held).to.equal(false);
    expect(await codeOf(lock.release())).to.equal('ERR_DLM_LOST');
    expect(await codeOf(a.lock('more', 'EX'))).to.equal('ERR_DLM_LOST');
  });

  test('an idle node that is killed finds out', async (nodes) => {
    if (!nodes.outlives) return;
    const a = await nodes.open(1);
    const lost = new Promise((resolve) => a.lost.addEventListener('abort', resolve));
    nodes.kill(1);
    await lost;
    expect(a.lost.reason).to.include({ code: 'ERR_DLM_LOST' });
    expect(a.health).to.include({ state: 'lost', reason: 'nodeDead' });
  });

  test('names are text or bytes, and one is not the other only by how it is given', async (nodes) => {
    const [a, b] = [await nodes.open(1), await nodes.open(2)];
    const bytes = Buffer.from('näme');
    const lock = await a.lock(bytes, 'EX');
    bytes.fill(0);
    expect(Buffer.from(lock.name as Uint8Array).toString()).to.equal('näme');
    expect(await b.tryLock('näme', 'EX')).to.equal(null);
    const longest = 'n'.repeat(world.stack === 'o2cb' ? 32 : 64);
    await (await a.lock(longest, 'EX')).release();
    const bad = [
      '',
      `${longest}n`,
      '$RECOVERY',
      'version_lock',
      '\ud800',
      'zero\0',
      new Uint8Array(0),
    ];
    for (const name of bad) {
      expect(await rejection(a.lock(name, 'EX')), String(name)).to.be.an.instanceOf(RangeError);
    }
    expect(await rejection(a.lock(7 as never, 'EX'))).to.be.an.instanceOf(TypeError);
  });

  test('bad arguments are rejections that name them, and change nothing', async (nodes) => {
    const a = await nodes.open(1);
    const calls: [string, Promise<unknown>][] = [
      ['mode', a.lock('n', 'XX' as never)],
      ['mode', a.lock('n', undefined as never)],
      ['options.signal', a.lock('n', 'EX', { signal: 1 as never })],
      ['options.timeoutMs', a.lock('n', 'EX', { timeoutMs: -1 })],
      ['options.timeoutMs', a.lock('n', 'EX', { timeoutMs: Number.NaN })],
      ['options.timeoutMs', a.tryLock('n', 'EX', { timeoutMs: 2 ** 31 })],
      ['options.timeout', a.lock('n', 'EX', { timeout: 5 } as never)],
      ['options', a.lock('n', 'EX', null as never)],
      ['work', a.using('n', 'EX', undefined as never)],
      ['work', a.using('n', 'EX', {}, 7 as never)],
      ['names', a.lockAll('n' as never, 'EX')],
      ['names[1]', a.lockAll(['n', ''], 'EX')],
    ];
    for (const [argument, call] of calls) {
      const error = (await rejection(call)) as Error;
      expect(error, argument).to.have.property('argument', argument);
    }
    if (world.stack === 'o2cb')
      expect(await codeOf(a.lock('n', 'PW'))).to.equal('ERR_OUT_OF_RANGE');
    const lock = await a.tryLock('n', 'EX');
    expect(lock).not.to.equal(null);
    expect(await rejection(lock!.convert('XX' as never))).to.be.an.instanceOf(RangeError);
    expect(() => (lock!.onBlocked = 7 as never)).to.throw(TypeError);
    await lock?.release();
    expect(a.withdrawals).to.equal(0);
  });

  test('errors show who waited', async (nodes) => {
    const [a, b] = [await nodes.open(1), await nodes.open(2)];
    const lock = await a.lock('stack', 'EX');
    async function whoWaits(): Promise<void> {
      await b.lock('stack', 'EX', { timeoutMs: 1 });
    }
    async function whoUses(): Promise<void> {
      await b.using('stack', 'EX', { timeoutMs: 1 }, () => undefined);
    }
    for (const waiter of [whoWaits, whoUses]) {
      const { stack } = (await rejection(waiter())) as Error;
      expect(stack).to.contain(`async ${waiter.name}`);
    }
    await lock.release();
  });
}

describe('locks with promises', () => {
  for (const world of WORLDS) describe(`on ${world.title}`, () => suite(world));
});
