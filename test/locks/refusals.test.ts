/** What a lock manager may answer, and seldom does: refusals of each call and of each completion. */
import { expect } from 'chai';
import { constants } from 'node:os';

import { DLM_LKF, type StackConnection, type DlmLksb, type StackPlugin } from '../../lib/glue.js';
import { DlmError, openLockspace, type Lock, type Lockspace } from '../../lib/index.js';
import { fakePlugin } from '../stackglue/test-node.js';
import { ManualClock } from './scripted.js';
import { codeOf, rejection } from './worlds.js';

const { EAGAIN, EBUSY, EDEADLK, EINVAL, ENOTCONN, EPERM } = constants.errno;

type Call = 'lock' | 'convert' | 'unlock' | 'cancel';

/** A lock manager that does as it is told; what a lockspace needs itself is granted. */
class Manager {
  readonly calls: Call[] = [];
  readonly clock = new ManualClock();
  /** What the next call of that kind returns; 0 by default. */
  readonly answers = new Map<Call, number>();
  readonly plugin: StackPlugin;
  disconnects: () => Promise<void> = () => Promise.resolve();
  readonly #own = new Set<DlmLksb>();
  readonly #statuses = new Map<DlmLksb, number>();
  #connection!: StackConnection;
  #last!: DlmLksb;
  #unlockAstarg: unknown;

  constructor() {
    this.plugin = {
      ...fakePlugin('user', {
        connect: (connection) => {
          this.#connection = connection;
          return Promise.resolve();
        },
        disconnect: () => this.disconnects(),
        dlmLock: (_, __, lksb, flags, name) => {
          if (typeof name === 'string' && name.startsWith('$stackglue.')) {
            this.#own.add(lksb);
            queueMicrotask(() => this.#connection.lockAst(lksb));
            return 0;
          }
          this.#last = lksb;
          return this.#answer((flags & DLM_LKF.CONVERT) === 0 ? 'lock' : 'convert');
        },
        dlmUnlock: (_, lksb, flags, astarg) => {
          if (this.#own.delete(lksb)) {
            queueMicrotask(() => this.#connection.unlockAst(astarg, 0));
            return 0;
          }
          this.#last = lksb;
          this.#unlockAstarg = astarg;
          return this.#answer((flags & DLM_LKF.CANCEL) === 0 ? 'unlock' : 'cancel');
        },
        lockStatus: (lksb) => this.#statuses.get(lksb) ?? 0,
      }),
      // Else a lookout would ask, too.
      scope: 'cluster',
      clock: this.clock,
    };
  }

  #answer(call: Call): number {
    this.calls.push(call);
    const answer = this.answers.get(call) ?? 0;
    this.answers.delete(call);
    return answer;
  }

  /** The last lock's request completes. */
  completes(status = 0): void {
    this.#statuses.set(this.#last, status);
    this.#connection.lockAst(this.#last);
  }

  unlocks(error = 0): void {
    this.#connection.unlockAst(this.#unlockAstarg, error);
  }
}

describe('refusals', () => {
  let manager: Manager;
  let ls: Lockspace;

  beforeEach(async () => {
    manager = new Manager();
    ls = await openLockspace('refusals', { stack: manager.plugin });
  });
  afterEach(async () => {
    await ls[Symbol.asyncDispose]();
    expect(manager.clock.pending).to.equal(0);
  });

  /** A lock that is held. */
  async function held(): Promise<Lock> {
    const lock = ls.lock('name', 'PR');
    manager.completes();
    return lock;
  }

  async function isGone(released: Promise<void>): Promise<void> {
    manager.unlocks();
    await released;
    expect(ls.withdrawals).to.equal(0);
  }

  it('of a new lock, in the call: nothing is left, and the next one is asked for as usual', async () => {
    manager.answers.set('lock', -EINVAL);
    const error = (await rejection(ls.lock('name', 'EX', { timeoutMs: 5 }))) as DlmError;
    expect(error).to.include({ code: 'ERR_DLM_REFUSED', errno: EINVAL, resource: 'name' });
    expect(manager.clock.pending).to.equal(0);
    await isGone((await held()).release());
  });

  it('of a new lock, later', async () => {
    const lock = codeOf(ls.lock('name', 'EX'));
    manager.completes(-EINVAL);
    expect(await lock).to.equal('ERR_DLM_REFUSED');
    const deadlock = codeOf(ls.lock('name', 'EX'));
    manager.completes(-EDEADLK);
    expect(await deadlock).to.equal('ERR_DLM_DEADLOCK');
    const busy = ls.tryLock('name', 'EX');
    manager.completes(-EAGAIN);
    expect(await busy).to.equal(null);
  });

  for (const [how, refuse] of [
    ['in the call', () => manager.answers.set('unlock', -EBUSY)],
    ['later', () => undefined],
  ] as const) {
    it(`of an unlock, ${how}: the lock is held, and can be released again`, async () => {
      const lock = await held();
      refuse();
      const released = codeOf(lock.release());
      if (how === 'later') manager.unlocks(-EBUSY);
      expect(await released).to.equal('ERR_DLM_REFUSED');
      expect(lock.held).to.equal(true);
      await isGone(lock.release());
      expect(lock.held).to.equal(false);
    });
  }

  it('of the unlock of a late grant: it is tried again until it is gone', async () => {
    const lock = codeOf(ls.lock('name', 'EX', { timeoutMs: 5 }));
    manager.clock.advance(5);
    expect(await lock).to.equal('ERR_DLM_TIMEOUT');
    expect(ls.withdrawals).to.equal(1);
    manager.answers.set('unlock', -EBUSY);
    manager.completes();
    expect(manager.clock.pending).to.equal(1);
    manager.clock.advance(1000);
    manager.unlocks(-EBUSY);
    manager.clock.advance(1000);
    expect(ls.withdrawals).to.equal(1);
    manager.unlocks();
    expect(ls.withdrawals).to.equal(0);
    expect(manager.calls).to.deep.equal(['lock', 'cancel', 'unlock', 'unlock', 'unlock']);
  });

  it('of the unlock of a late grant, when the lockspace is closed before it is tried again', async () => {
    const lock = codeOf(ls.lock('name', 'EX', { timeoutMs: 5 }));
    manager.clock.advance(5);
    await lock;
    manager.answers.set('unlock', -EBUSY);
    manager.completes();
    await ls.close();
    expect(manager.clock.pending).to.equal(0);
    expect(ls.withdrawals).to.equal(0);
  });

  for (const [how, refuse] of [
    ['in the call', () => manager.answers.set('cancel', -EINVAL)],
    ['later', () => undefined],
  ] as const) {
    it(`of a cancel, ${how}: what comes is given back`, async () => {
      const controller = new AbortController();
      refuse();
      const lock = rejection(ls.tryLock('name', 'EX', { signal: controller.signal }));
      const reason = new Error('enough');
      controller.abort(reason);
      if (how === 'later') manager.unlocks(-EINVAL);
      // At once, whatever the lockspace does.
      expect(await lock).to.equal(reason);
      expect(ls.withdrawals).to.equal(1);
      manager.completes();
      expect(manager.calls).to.deep.equal(['lock', 'cancel', 'unlock']);
      manager.unlocks();
      expect(ls.withdrawals).to.equal(0);
    });
  }

  it('of a conversion: the mode is as it was, and the lock as good', async () => {
    const lock = await held();
    const refusals: [() => void, number][] = [
      [() => manager.answers.set('convert', -EINVAL), 0],
      [() => undefined, -EINVAL],
      [() => undefined, -EDEADLK],
    ];
    const codes: unknown[] = [];
    for (const [refuse, status] of refusals) {
      refuse();
      const converted = codeOf(lock.convert('EX', { timeoutMs: 5 }));
      if (status !== 0) manager.completes(status);
      codes.push(await converted);
      expect(lock).to.include({ mode: 'PR', held: true });
      expect(manager.clock.pending).to.equal(0);
    }
    expect(codes).to.deep.equal(['ERR_DLM_REFUSED', 'ERR_DLM_REFUSED', 'ERR_DLM_DEADLOCK']);
    await isGone(lock.release());
  });

  it('of the cancel of a step down: the mode is the lower one until the manager says what it is', async () => {
    for (const [answer, mode] of [
      [() => manager.unlocks(), 'EX'],
      [() => manager.completes(), 'PR'],
    ] as const) {
      const lock = ls.lock('name', 'EX');
      manager.completes();
      const its = await lock;
      const converted = codeOf(its.convert('PR', { timeoutMs: 5 }));
      manager.clock.advance(5);
      expect(await converted).to.equal('ERR_DLM_TIMEOUT');
      expect(its.mode).to.equal('PR');
      answer();
      expect(its.mode).to.equal(mode);
      await isGone(its.release());
    }
  });

  it('of what takes a conversion back: the mode tells', async () => {
    const lock = await held();
    const converted = codeOf(lock.convert('EX', { timeoutMs: 5 }));
    manager.clock.advance(5);
    expect(await converted).to.equal('ERR_DLM_TIMEOUT');
    manager.answers.set('convert', -EINVAL);
    manager.completes();
    expect(lock).to.include({ mode: 'EX', held: true });
    expect(ls.withdrawals).to.equal(0);
    await isGone(lock.release());
  });

  it('of a release in the middle of a conversion that is taken back: both end', async () => {
    const lock = await held();
    const converted = codeOf(lock.convert('EX', { timeoutMs: 5 }));
    manager.clock.advance(5);
    await converted;
    manager.completes();
    const released = lock.release();
    const next = codeOf(lock.convert('EX', { timeoutMs: 5 }));
    expect(await next).to.equal('ERR_DLM_RELEASED');
    manager.completes();
    await isGone(released);
    expect(manager.calls).to.deep.equal(['lock', 'convert', 'cancel', 'convert', 'unlock']);
  });

  for (const [what, happens] of [
    ['a completion', () => manager.completes(-ENOTCONN)],
    ['a call', () => manager.answers.set('lock', -EPERM)],
  ] as const) {
    it(`by ${what} that says that all is lost`, async () => {
      const lock = await held();
      const converting = codeOf(lock.convert('EX', { timeoutMs: 5 }));
      happens();
      const more = codeOf(ls.lock('more', 'EX'));
      expect(await converting).to.equal('ERR_DLM_LOST');
      expect(await more).to.equal('ERR_DLM_LOST');
      expect(ls.health).to.include({ state: 'lost', reason: 'nodeDead' });
      expect(lock.lost.aborted).to.equal(true);
      // What still comes is for nobody.
      manager.completes();
      expect(lock.held).to.equal(false);
      expect(manager.clock.pending).to.equal(0);
    });
  }

  it('of one of several: the others are given back behind the call, which rejects at once', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const all = rejection(ls.lockAll(['a', 'b'], 'EX', { signal: controller.signal }));
    manager.completes();
    while (manager.calls.length < 2) await Promise.resolve();
    controller.abort(reason);
    // Neither the cancel nor the unlock has been answered.
    expect(await all).to.equal(reason);
    expect(manager.calls).to.deep.equal(['lock', 'lock', 'cancel', 'unlock']);
    expect(ls.withdrawals).to.equal(2);
    manager.unlocks();
    expect(ls.withdrawals).to.equal(1);
  });

  it('of a disconnect: close says so, and a disposer does not', async () => {
    const timeout = new DlmError('ERR_DLM_TIMEOUT', 'it takes too long', { op: 'disconnect' });
    manager.disconnects = () => Promise.reject(timeout);
    const lock = await held();
    expect(await rejection(ls.close())).to.equal(timeout);
    await ls[Symbol.asyncDispose]();
    expect(lock.lost.reason).to.include({ code: 'ERR_DLM_CLOSED' });
  });
});
