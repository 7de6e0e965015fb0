/** What a program is told of its lockspace, and what that means for its locks: each row of the table. */
import { expect } from 'chai';

import type { ClusterNotice } from '../../lib/glue.js';
import {
  openLockspace,
  type Health,
  type Lockspace,
  type LockspaceOptions,
} from '../../lib/index.js';
import { freshCluster } from '../stackglue/test-node.js';
import { scriptedStack, type ScriptedStack } from './scripted.js';
import { codeOf, rejection } from './worlds.js';

const NOTICES = {
  stopped: { kind: 'stopped', locks: 'valid' },
  resumed: { kind: 'resumed', locks: 'valid' },
  quorumLost: { kind: 'quorumLost', ring: 1n, locks: 'unsure' },
  quorumRegained: { kind: 'quorumRegained', ring: 2n, locks: 'unsure' },
  daemonGone: { kind: 'daemonGone', locks: 'unsure' },
  released: { kind: 'released', locks: 'lost' },
  keeperLost: { kind: 'keeperGone', locks: 'lost' },
  keeperGone: { kind: 'keeperGone', locks: 'valid' },
} as const satisfies Record<string, ClusterNotice>;

type NoticeName = keyof typeof NOTICES;

/** What is told, and what that comes to. */
const ROWS: readonly [readonly NoticeName[], Health['state'], Health['reason']][] = [
  [[], 'ok', 'opened'],
  [['stopped'], 'stopped', 'membersChange'],
  [['stopped', 'resumed'], 'ok', 'resumed'],
  [['quorumLost'], 'unsure', 'quorumLost'],
  [['stopped', 'quorumLost'], 'unsure', 'quorumLost'],
  [['quorumLost', 'stopped', 'quorumRegained'], 'unsure', 'quorumLost'],
  [['quorumLost', 'stopped', 'quorumRegained', 'resumed'], 'ok', 'resumed'],
  [['quorumLost', 'quorumRegained'], 'ok', 'resumed'],
  [['quorumLost', 'stopped', 'resumed'], 'unsure', 'quorumLost'],
  [['daemonGone'], 'unsure', 'daemonGone'],
  [['daemonGone', 'stopped', 'resumed'], 'unsure', 'daemonGone'],
  [['keeperGone'], 'unsure', 'keeperGone'],
  [['keeperLost'], 'lost', 'keeperGone'],
  [['released'], 'lost', 'released'],
  [['released', 'resumed'], 'lost', 'released'],
];

describe('health and loss', () => {
  let stack: ScriptedStack;
  let lockspace: Lockspace | undefined;

  const open = async (options: Partial<LockspaceOptions> = {}): Promise<Lockspace> => {
    stack = scriptedStack('user', 1, freshCluster());
    lockspace = await openLockspace('health', { stack: stack.plugin, ...options });
    return lockspace;
  };

  afterEach(async () => {
    await lockspace?.close();
    lockspace = undefined;
  });

  for (const [told, state, reason] of ROWS) {
    it(`${told.join(', ') || 'nothing'}: ${state}`, async () => {
      const ls = await open();
      const lock = await ls.lock('held', 'EX');
      const waiting = ls.lock('held', 'EX');
      const events: Health[] = [];
      ls.on('health', (health) => events.push(health));
      for (const name of told) {
        stack.clock.advance(1);
        stack.notice(NOTICES[name]);
      }
      expect(ls.health).to.include({ state, reason });
      expect(ls.health.since).to.be.at.most(stack.clock.now());
      const isLost = state === 'lost';
      expect(lock.lost.aborted).to.equal(isLost);
      expect(ls.lost.aborted).to.equal(isLost);
      expect(lock.held).to.equal(!isLost);
      await Promise.resolve();
      if (told.length > 0) expect(events.at(-1)).to.equal(ls.health);
      if (!isLost) {
        await lock.release();
        await (await waiting).release();
        return;
      }
      expect(lock.lost.reason).to.equal(ls.lost.reason);
      expect(await codeOf(waiting)).to.equal('ERR_DLM_LOST');
      expect(await codeOf(lock.release())).to.equal('ERR_DLM_LOST');
      const error = (await rejection(ls.lock('more', 'EX'))) as Error;
      expect(error).to.include({ code: 'ERR_DLM_LOST', kind: 'lost', isRetryable: false });
      expect(error.cause).to.equal(ls.lost.reason);
    });
  }

  it('treats doubt as loss where it is told to', async () => {
    const ls = await open({ treatUnsureAsLost: true });
    const lock = await ls.lock('held', 'EX');
    stack.notice(NOTICES.stopped);
    expect(ls.health.state).to.equal('stopped');
    stack.notice(NOTICES.quorumLost);
    expect(ls.health).to.include({ state: 'lost', reason: 'quorumLost' });
    expect(lock.lost.aborted).to.equal(true);
  });

  it('tells of members that join, leave and fail', async () => {
    const ls = await open();
    const told: string[] = [];
    ls.on('memberJoined', (node) => told.push(`joined ${node}`));
    const left = (node: number) => told.push(`left ${node}`);
    ls.on('memberLeft', left);
    stack.notice({ kind: 'memberJoined', node: 2, ring: 3n, locks: 'valid' });
    stack.notice({ kind: 'memberLeft', node: 2, ring: 3n, locks: 'valid' });
    ls.off('memberLeft', left);
    stack.notice({ kind: 'memberLeft', node: 3, ring: 3n, locks: 'valid' });
    expect(told).to.deep.equal(['joined 2', 'left 2']);
    expect(ls.health.state).to.equal('ok');
    expect(ls.members()).to.have.length(1);
  });

  it('refuses events that there are not', async () => {
    const ls = await open();
    expect(() => ls.on('lost' as never, () => undefined)).to.throw(RangeError);
    expect(() => ls.once('health', 7 as never)).to.throw(TypeError);
  });

  it("using's signal is the loss and the caller's own together", async () => {
    const ls = await open();
    const controller = new AbortController();
    const reason = new Error('my own');
    await ls.using('used', 'EX', { signal: controller.signal }, (_, signal) => {
      expect(signal.aborted).to.equal(false);
      controller.abort(reason);
      expect(signal.reason).to.equal(reason);
    });
    const lost = codeOf(
      ls.using('used', 'EX', (lock, signal) => {
        stack.notice(NOTICES.released);
        expect(signal.reason).to.equal(lock.lost.reason);
      }),
    );
    expect(await lost).to.equal('ERR_DLM_LOST');
  });

  it('gives every function that could look at a signal one', async () => {
    const ls = await open();
    const seen: unknown[] = [];
    const look = (...args: unknown[]): void => void seen.push(args[1]);
    await ls.using('used', 'EX', look);
    await ls.using('used', 'EX', (_, ...rest) => void seen.push(rest[0]));
    await ls.using('used', 'EX', function () {
      // eslint-disable-next-line prefer-rest-params -- old code does
      seen.push((arguments as unknown as unknown[])[1]);
    });
    await ls.using('used', 'EX', look.bind(undefined));
    await ls.using('used', 'EX', (_, signal) => void seen.push(signal));
    expect(seen).to.have.length(5);
    for (const signal of seen) expect(signal).to.be.an.instanceOf(AbortSignal);
  });

  it("a lock's lost signal that is first looked at afterwards is aborted", async () => {
    const ls = await open();
    const [lock, released] = [await ls.lock('a', 'EX'), await ls.lock('b', 'EX')];
    await released.release();
    stack.notice(NOTICES.released);
    expect(lock.lost.reason).to.include({ code: 'ERR_DLM_LOST' });
    expect(released.lost.aborted).to.equal(false);
    await released.release();
  });
});
