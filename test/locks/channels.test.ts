/** What is told on channels of `node:diagnostics_channel`. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';

import { expect } from 'chai';

import { killO2cbNode } from '../../lib/glue.js';
import {
  openLockspace,
  type LockMessage,
  type Lockspace,
  type RecoveryMessage,
} from '../../lib/index.js';
import { freshCluster } from '../stackglue/test-node.js';
import { codeOf } from './worlds.js';

const LOCKS = ['request', 'granted', 'refused', 'converted', 'blocked', 'released', 'lost'].map(
  (what) => `stackglue.lock.${what}`,
);
const ALL = [...LOCKS, 'stackglue.recovery', 'stackglue.cache.revoked'];

describe('diagnostics channels', () => {
  let told: { readonly channel: string; readonly message: unknown }[];
  let cluster: string;
  const open: Lockspace[] = [];
  const hear = (message: unknown, channel: string | symbol): void => {
    told.push({ channel: String(channel).replace('stackglue.', ''), message });
  };
  const node = async (number: number): Promise<Lockspace> => {
    const lockspace = await openLockspace('channels', { stack: 'o2cb', node: number, cluster });
    open.push(lockspace);
    return lockspace;
  };
  /** What was told of this name, in its order. */
  const ofName = (name: string): string[] =>
    told
      .filter(({ message }) => (message as LockMessage).name === name)
      .map(({ channel, message }) => `${channel} ${(message as LockMessage).mode}`);

  beforeEach(() => {
    told = [];
    cluster = freshCluster();
    for (const channel of ALL) subscribe(channel, hear);
  });

  afterEach(async () => {
    for (const channel of ALL) unsubscribe(channel, hear);
    for (const lockspace of open.splice(0)) await lockspace[Symbol.asyncDispose]();
  });

  it('tell the life of a lock', async () => {
    const [a, b] = [await node(1), await node(2)];
    const lock = await a.lock('x', 'EX');
    expect(await b.tryLock('x', 'PR')).to.equal(null);
    expect(await codeOf(b.lock('x', 'EX', { timeoutMs: 1 }))).to.equal('ERR_DLM_TIMEOUT');
    await lock.convert('PR');
    await lock.release();
    expect(ofName('x').filter((line) => !line.includes('blocked'))).to.deep.equal([
      'lock.request EX',
      'lock.granted EX',
      'lock.request PR',
      'lock.refused PR',
      'lock.request EX',
      'lock.refused EX',
      'lock.request PR',
      'lock.converted PR',
      'lock.released PR',
    ]);
    expect(ofName('x')).to.include('lock.blocked EX');
    const granted = told.find(({ channel }) => channel === 'lock.granted')?.message;
    expect(granted).to.deep.include({ lockspace: 'channels', name: 'x', isCached: false });
    expect((granted as LockMessage).durationMs).to.be.at.least(0);
    const refused = told.filter(({ channel }) => channel === 'lock.refused');
    expect(refused.map(({ message }) => (message as LockMessage).error)).to.have.length(2);
  });

  it('tell what a cached lock asks the lock manager, and what it gives away', async () => {
    const [a, b] = [await node(1), await node(2)];
    const cached = a.cached('y', { minHoldMs: 0 });
    (await cached.hold('EX')).release();
    cached.tryHold('EX')?.release();
    const lock = await b.lock('y', 'EX');
    await lock.release();
    const revoked = told.find(({ channel }) => channel === 'cache.revoked')?.message;
    expect(revoked).to.deep.include({
      lockspace: 'channels',
      name: 'y',
      from: 'EX',
      to: 'NL',
      reason: 'wanted',
    });
    const own = told.filter(({ message }) => (message as LockMessage).isCached);
    // Holds that ask nobody are not told.
    expect(own.map(({ channel }) => channel)).to.deep.equal([
      'lock.request',
      'lock.granted',
      'lock.blocked',
      'lock.released',
    ]);
  });

  it('tell the end of a node, and the loss of its locks', async () => {
    const [a, b] = [await node(1), await node(2)];
    const lock = await a.lock('z', 'EX');
    killO2cbNode(1, cluster);
    await b.lock('z', 'PR');
    expect(lock.held).to.equal(false);
    const recovery = told.filter(({ channel }) => channel === 'recovery');
    expect(recovery.map(({ message }) => message as RecoveryMessage)).to.deep.include({
      lockspace: 'channels',
      kind: 'memberFailed',
      node: 1,
    });
    expect(ofName('z')).to.include('lock.lost EX');
  });

  it('tell nothing of locks of our own', async () => {
    const lockspace = await node(1);
    await lockspace.using('x', 'EX', () => undefined);
    expect(told).to.have.length(3);
    expect(
      told.filter(({ message }) => String((message as LockMessage).name).startsWith('$')),
    ).to.deep.equal([]);
  });
});
