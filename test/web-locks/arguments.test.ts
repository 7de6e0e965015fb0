/** What `request()` takes, as Web IDL and the specification have it, and in which order it looks. */
import { expect } from 'chai';

import { openLockspace, type Lockspace } from '../../lib/index.js';
import { webLocks } from '../../lib/web-locks/index.js';
import { rejection } from '../locks/worlds.js';

describe('arguments of web locks', () => {
  let ls: Lockspace;
  let ask: (...args: unknown[]) => Promise<unknown>;
  const never = (): never => {
    throw new Error('the callback is not to be called');
  };

  before(async () => {
    ls = await openLockspace('arguments', { stack: 'o2cb' });
    const locks = webLocks(ls);
    ask = locks.request.bind(locks) as typeof ask;
  });
  after(() => ls.close());

  async function nameOf(...args: unknown[]): Promise<string> {
    const error = await rejection(ask(...args));
    expect(error).to.be.an.instanceOf(Error);
    return (error as Error).name;
  }

  it('rejects with a TypeError what is not well formed', async () => {
    const bad: unknown[][] = [[], ['name'], [Symbol('name'), never], ['name', {}]];
    for (const callback of [undefined, null, 123, 'abc', [], {}, Promise.resolve()]) {
      bad.push(['name', callback], ['name', {}, callback], ['name', undefined, callback]);
    }
    bad.push(['name', never, undefined]);
    for (const options of [1, 'text', true, Symbol('options')]) bad.push(['name', options, never]);
    for (const mode of ['foo', null, 1, {}, Symbol('mode')]) bad.push(['name', { mode }, never]);
    const prototyped: unknown = Object.create(AbortSignal.prototype);
    for (const signal of [
      'a',
      1.5,
      false,
      null,
      {},
      Symbol('signal'),
      never,
      globalThis,
      prototyped,
    ]) {
      bad.push(['name', { signal }, never]);
    }
    for (const args of bad) expect(await nameOf(...args)).to.equal('TypeError');
  });

  it('converts what can be', async () => {
    const gives = async (args: unknown[], name: string, mode: string): Promise<void> => {
      expect(await ask(...args, (lock: unknown) => lock)).to.include({ name, mode });
    };
    await gives([1], '1', 'exclusive');
    await gives([null], 'null', 'exclusive');
    await gives([undefined], 'undefined', 'exclusive');
    await gives([{ toString: () => 'text' }, null], 'text', 'exclusive');
    await gives(['name', undefined], 'name', 'exclusive');
    await gives(['name', () => 1], 'name', 'exclusive');
    await gives(['name', { mode: { toString: () => 'shared' } }], 'name', 'shared');
    await gives(['name', { mode: undefined, signal: undefined, steal: 0 }], 'name', 'exclusive');
    await gives(['name', { ifAvailable: 'yes', mode: ['shared'] }], 'name', 'shared');
    await gives(['name', Object.create({ mode: 'shared' })], 'name', 'shared');
    expect(
      await ask('name', (lock: unknown) => lock, 1).catch((error: unknown) => error),
    ).to.be.an.instanceOf(TypeError);
  });

  it('looks at the arguments in order, and each once', async () => {
    const looks: string[] = [];
    const options = Object.defineProperties(
      {},
      Object.fromEntries(
        ['steal', 'signal', 'mode', 'ifAvailable', 'other'].map((name) => [
          name,
          { get: () => void looks.push(name), enumerable: true },
        ]),
      ),
    );
    const name = {
      toString: () => {
        looks.push('name');
        return 'name';
      },
    };
    await ask(name, options, () => 1);
    expect(looks).to.deep.equal(['name', 'ifAvailable', 'mode', 'signal', 'steal']);
    const failure = new Error('of the getter');
    const throwing = {
      get mode(): string {
        throw failure;
      },
      get signal(): never {
        return never();
      },
    };
    expect(await rejection(ask('-', throwing, 'no callback'))).to.equal(failure);
    const unnamed = {
      toString: () => {
        throw failure;
      },
    };
    expect(await rejection(ask(unnamed, { mode: 'foo' }, never))).to.equal(failure);
  });

  it('has its errors in the order of the specification', async () => {
    const aborted = AbortSignal.abort(new Error('aborted'));
    const { signal } = new AbortController();
    const all = { mode: 'shared', steal: true, ifAvailable: true, signal: aborted };
    // TypeErrors first.
    expect(await nameOf('-', { ...all, mode: 'foo' }, never)).to.equal('TypeError');
    expect(await nameOf('-', { ...all, signal: 1 }, never)).to.equal('TypeError');
    expect(await nameOf('-', all, undefined)).to.equal('TypeError');
    const said: unknown[] = [];
    for (const args of [
      ['-name', all],
      ['-', {}],
      ['name', all],
      ['name', { steal: true, mode: 'shared', signal }],
      ['name', { steal: true, signal: aborted }],
      ['name', { ifAvailable: true, signal: aborted }],
      ['name', { signal: aborted }],
    ]) {
      const error = (await rejection(ask(...args, never))) as Error;
      said.push([error.name, error.message]);
    }
    const unsupported = (message: string): string[] => ['NotSupportedError', message];
    expect(said).to.deep.equal([
      unsupported('The name of a lock must not begin with "-"'),
      unsupported('The name of a lock must not begin with "-"'),
      unsupported('"steal" and "ifAvailable" cannot both be true'),
      unsupported('"steal" takes the mode "exclusive"'),
      unsupported('"signal" cannot be combined with "steal" or "ifAvailable"'),
      unsupported('"signal" cannot be combined with "steal" or "ifAvailable"'),
      ['Error', 'aborted'],
    ]);
  });

  it('is only for what webLocks() makes, of a lockspace', async () => {
    const locks = webLocks(ls);
    const { request, query } = locks as unknown as Record<string, () => Promise<unknown>>;
    for (const error of [
      await rejection(Reflect.apply(request!, {}, ['name', never] as never)),
      await rejection(Reflect.apply(query!, {}, [])),
    ]) {
      expect(error).to.be.an.instanceOf(TypeError);
    }
    for (const bad of [undefined, null, 1, 'ls', {}]) {
      expect(() => webLocks(bad as never))
        .to.throw(TypeError)
        .with.property('argument', 'ls');
    }
    expect(Object.prototype.toString.call(locks)).to.equal('[object LockManager]');
    expect(request).to.have.length(2);
  });

  it('gives a Lock whose attributes can only be read, and that nobody changes', async () => {
    await ask('name', (lock: Record<string, unknown>) => {
      expect(Object.prototype.toString.call(lock)).to.equal('[object Lock]');
      expect(() => {
        lock.name = 'other';
      }).to.throw(TypeError);
      const keys: string[] = [];
      for (const key in lock) keys.push(key);
      expect(keys.sort()).to.deep.equal(['mode', 'name']);
    });
  });
});
