/** The calls of libdlm that the glue of the kernel does not have, on one node. */
import { expect } from 'chai';
import { constants } from 'node:os';

import {
  DLM_ERRNO,
  DLM_LKF,
  DLM_LOCK,
  DlmLksb,
  dlmDeadlockCancel,
  dlmOwnPid,
  dlmPurge,
  dlmVersions,
  StackGlue,
  type ClusterConnection,
  type LockMode,
  type StackPlugin,
} from '../../lib/glue.js';
import { locksOf, modesOf } from '../support/lock-view.js';
import { createTestPlugin } from '../support/user-plugin.js';

const { EBUSY, EDEADLK, EEXIST, EINVAL, ENOTCONN } = constants.errno;
const { NL, PR, EX } = DLM_LOCK;
const { CANCEL, CONVERT, PERSISTENT } = DLM_LKF;
const GROUP = 'calls';

/** A connection, and what its locks were told. */
class Client {
  readonly glue = new StackGlue();
  connection!: ClusterConnection;
  /** What came, by kind and lock. */
  readonly told: { ast: 'lockAst' | 'unlockAst' | 'blockingAst'; lksb: DlmLksb }[] = [];
  #changed: () => void = () => undefined;

  constructor(plugin: StackPlugin = createTestPlugin()) {
    const tell = (ast: 'lockAst' | 'unlockAst' | 'blockingAst') => (lksb: unknown) => {
      this.told.push({ ast, lksb: lksb as DlmLksb });
      this.#changed();
    };
    this.glue.register(plugin);
    this.glue.clusterStack = 'pcmk';
    this.glue.setLockingProtocol({
      maxVersion: { major: 1, minor: 0 },
      lockAst: tell('lockAst'),
      blockingAst: tell('blockingAst'),
      unlockAst: tell('unlockAst'),
    });
  }

  async connect(group = GROUP): Promise<this> {
    this.connection = await this.glue.clusterConnect({
      stackName: 'pcmk',
      group,
      recoveryHandler: () => undefined,
    });
    return this;
  }

  disconnect(): Promise<void> {
    return this.glue.clusterDisconnect(this.connection);
  }

  /** Waits for the lock's next completion, or for a blocking AST; returns its status. */
  async next(lksb: DlmLksb, ast: 'lockAst' | 'unlockAst' | 'blockingAst'): Promise<number> {
    for (;;) {
      const at = this.told.findIndex((each) => each.lksb === lksb && each.ast === ast);
      if (at >= 0) {
        this.told.splice(at, 1);
        return this.glue.dlmLockStatus(lksb);
      }
      await new Promise<void>((resolve) => (this.#changed = resolve));
    }
  }

  /** Asks, and does not wait. */
  ask(lksb: DlmLksb, name: string, mode: LockMode, flags = 0): void {
    expect(this.glue.dlmLock(this.connection, mode, lksb, flags, name)).to.equal(0);
  }

  async lock(name: string, mode: LockMode, flags = 0, lksb = new DlmLksb()): Promise<DlmLksb> {
    this.ask(lksb, name, mode, flags);
    expect(await this.next(lksb, 'lockAst')).to.equal(0);
    return lksb;
  }

  async unlock(lksb: DlmLksb): Promise<void> {
    expect(this.glue.dlmUnlock(this.connection, lksb, 0)).to.equal(0);
    expect(await this.next(lksb, 'unlockAst')).to.equal(-DLM_ERRNO.EUNLOCK);
  }

  /** When this has come back, all that was asked before has been done, a cancel's probe included. */
  async sync(): Promise<void> {
    await this.unlock(await this.lock('sync', NL));
  }
}

async function failureOf(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => undefined,
    (error: unknown) => error,
  );
}

describe('on one node', () => {
  let a: Client, b: Client;
  let r: string;
  let tests = 0;

  before(async () => {
    a = await new Client().connect();
    b = await new Client().connect();
  });
  after(async () => {
    for (const client of [a, b]) await client.disconnect();
  });
  beforeEach(() => {
    tests += 1;
    r = `r${tests}`;
  });
  afterEach(async () => {
    for (const client of [a, b]) await client.sync();
    expect([...a.told, ...b.told], 'what was told and nothing accounts for').to.deep.equal([]);
    expect(modesOf(GROUP, r), 'locks that the test left').to.deep.equal([]);
  });

  describe('the transaction of a lock', () => {
    for (const transactionId of [0n, 1n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n]) {
      it(`is ${transactionId} in the kernel, from its lock to its last conversion`, async () => {
        const lksb = await a.lock(r, NL, 0, new DlmLksb({ transactionId }));
        expect(locksOf(GROUP, r)[0]?.transactionId).to.equal(transactionId);
        for (const mode of [PR, EX, NL] as const) {
          a.ask(lksb, '', mode, CONVERT);
          expect(await a.next(lksb, 'lockAst')).to.equal(0);
          expect(locksOf(GROUP, r)[0]?.transactionId).to.equal(transactionId);
        }
        await a.unlock(lksb);
      });
    }

    it('is 0 where none is given', async () => {
      const lksb = await a.lock(r, EX);
      expect(locksOf(GROUP, r)[0]?.transactionId).to.equal(0n);
      await a.unlock(lksb);
    });
  });

  describe('dlmVersions', () => {
    it('tells those of libdlm and of the kernel, which go together', () => {
      const { library, kernel } = dlmVersions(a.connection);
      for (const version of [library, kernel]) {
        expect(version).to.have.lengthOf(3);
        for (const part of version) expect(part).to.be.a('number').that.is.at.least(0);
      }
      // DLM_DEVICE_VERSION_MAJOR, without which libdlm refuses to work.
      expect([library[0], kernel[0]]).to.deep.equal([6, 6]);
    });
  });

  describe('dlmOwnPid', () => {
    it("is the owner's number of this connection's locks, and of no other's", async () => {
      const [first, second] = [await a.lock(r, NL), await b.lock(r, NL)];
      const pids = locksOf(GROUP, r).map(({ pid }) => pid);
      expect(pids).to.have.members([dlmOwnPid(a.connection), dlmOwnPid(b.connection)]);
      await a.unlock(first);
      await b.unlock(second);
    });
  });

  describe('dlmPurge', () => {
    /** Leaves orphans on these resources; returns the number of their owner. */
    async function leaveOrphans(...names: string[]): Promise<number> {
      // A thread of its own, and so a number of its own.
      const client = await new Client(createTestPlugin({ submit: 'thread' })).connect();
      for (const name of names) await client.lock(name, EX, PERSISTENT);
      const pid = dlmOwnPid(client.connection);
      await client.disconnect();
      return pid;
    }

    it('gives up the orphans of one owner, and of no other', async () => {
      const first = await leaveOrphans(`${r}-1`, `${r}-2`);
      const second = await leaveOrphans(`${r}-3`);
      const modes = () => [1, 2, 3].map((n) => modesOf(GROUP, `${r}-${n}`));
      expect(modes()).to.deep.equal([['EX'], ['EX'], ['EX']]);
      await dlmPurge(a.connection, a.glue.clusterThisNode(a.connection), first);
      expect(modes()).to.deep.equal([[], [], ['EX']]);
      await dlmPurge(a.connection, 0, second);
      expect(modes()).to.deep.equal([[], [], []]);
    });

    it('gives up all orphans of the node, for 0, and no lock of one who lives', async () => {
      for (const n of [1, 2]) await leaveOrphans(`${r}-${n}`);
      const held = await b.lock(`${r}-3`, EX, PERSISTENT);
      await dlmPurge(a.connection, 0, 0);
      const modes = [1, 2, 3].map((n) => modesOf(GROUP, `${r}-${n}`));
      expect(modes).to.deep.equal([[], [], ['EX']]);
      await b.unlock(held);
    });

    it('lets in who waits for an orphan', async () => {
      await leaveOrphans(r);
      const lksb = new DlmLksb();
      b.ask(lksb, r, EX);
      await dlmPurge(a.connection, 0, 0);
      expect(await b.next(lksb, 'lockAst')).to.equal(0);
      await b.unlock(lksb);
    });

    it('is refused for its own number, which would mean all locks of the connection', async () => {
      const lksb = await a.lock(r, EX);
      const refused = await failureOf(dlmPurge(a.connection, 0, dlmOwnPid(a.connection)));
      expect(refused).to.include({ code: 'ERR_DLM_REFUSED', op: 'purge', errno: EINVAL });
      expect(modesOf(GROUP, r)).to.deep.equal(['EX']);
      await a.unlock(lksb);
    });

    it('does nothing where there are no orphans', async () => {
      await dlmPurge(a.connection, 0, 0);
    });

    it('says which argument is wrong', async () => {
      for (const [nodeId, pid, argument] of [
        [-1, 0, 'nodeId'],
        [0.5, 0, 'nodeId'],
        [2 ** 31, 0, 'nodeId'],
        ['1', 0, 'nodeId'],
        [0, -1, 'pid'],
        [0, 2 ** 31, 'pid'],
        [0, undefined, 'pid'],
      ]) {
        const refused = await failureOf(dlmPurge(a.connection, nodeId as number, pid as number));
        expect(refused).to.be.an.instanceOf(Error).with.property('message').that.includes(argument);
      }
    });
  });

  describe('dlmDeadlockCancel', () => {
    it('ends a request that waits with EDEADLK, and leaves no lock', async () => {
      const held = await a.lock(r, EX);
      const lksb = new DlmLksb();
      b.ask(lksb, r, EX);
      await a.next(held, 'blockingAst');
      expect(dlmDeadlockCancel(b.connection, lksb)).to.equal(0);
      expect(await b.next(lksb, 'lockAst')).to.equal(-EDEADLK);
      await b.sync();
      expect(modesOf(GROUP, r)).to.deep.equal(['EX']);
      // The status block is free again.
      b.ask(lksb, r, NL);
      expect(await b.next(lksb, 'lockAst')).to.equal(0);
      await b.unlock(lksb);
      await a.unlock(held);
    });

    it('ends a conversion that waits with EDEADLK, and leaves its mode', async () => {
      const held = await a.lock(r, PR);
      const lksb = await b.lock(r, PR);
      b.ask(lksb, '', EX, CONVERT);
      await a.next(held, 'blockingAst');
      expect(dlmDeadlockCancel(b.connection, lksb)).to.equal(0);
      expect(await b.next(lksb, 'lockAst')).to.equal(-EDEADLK);
      expect(modesOf(GROUP, r)).to.deep.equal(['PR', 'PR']);
      await b.unlock(lksb);
      await a.unlock(held);
    });

    it('ends a deadlock of two conversions', async () => {
      const [first, second] = [await a.lock(r, PR), await b.lock(r, PR)];
      a.ask(first, '', EX, CONVERT);
      await b.next(second, 'blockingAst');
      b.ask(second, '', EX, CONVERT);
      expect(dlmDeadlockCancel(b.connection, second)).to.equal(0);
      expect(await b.next(second, 'lockAst')).to.equal(-EDEADLK);
      await b.unlock(second);
      expect(await a.next(first, 'lockAst')).to.equal(0);
      await a.unlock(first);
    });

    it('leaves the next cancel what it is', async () => {
      const held = await a.lock(r, PR);
      const lksb = await b.lock(r, PR);
      b.ask(lksb, '', EX, CONVERT);
      await a.next(held, 'blockingAst');
      dlmDeadlockCancel(b.connection, lksb);
      expect(await b.next(lksb, 'lockAst')).to.equal(-EDEADLK);
      b.ask(lksb, '', EX, CONVERT);
      expect(b.glue.dlmUnlock(b.connection, lksb, CANCEL)).to.equal(0);
      expect(await b.next(lksb, 'unlockAst')).to.equal(-DLM_ERRNO.ECANCEL);
      await b.unlock(lksb);
      await a.unlock(held);
    });

    it('does nothing to a lock that waits for nothing', async () => {
      const lksb = await a.lock(r, EX);
      expect(dlmDeadlockCancel(a.connection, lksb)).to.equal(0);
      expect(modesOf(GROUP, r)).to.deep.equal(['EX']);
      await a.unlock(lksb);
    });

    it('is refused without a lock, and while it is unlocked', async () => {
      const lksb = new DlmLksb();
      expect(dlmDeadlockCancel(a.connection, lksb)).to.equal(-EINVAL);
      await a.lock(r, EX, 0, lksb);
      expect(a.glue.dlmUnlock(a.connection, lksb, 0)).to.equal(0);
      expect(dlmDeadlockCancel(a.connection, lksb)).to.equal(-EBUSY);
      expect(await a.next(lksb, 'unlockAst')).to.equal(-DLM_ERRNO.EUNLOCK);
      expect(dlmDeadlockCancel(a.connection, lksb)).to.equal(-EINVAL);
    });

    it("is refused for another connection's lock", async () => {
      const lksb = await a.lock(r, EX);
      expect(() => dlmDeadlockCancel(b.connection, lksb))
        .to.throw()
        .with.property('code', 'ERR_DLM_WRONG_CONNECTION');
      await a.unlock(lksb);
    });
  });

  describe('after the disconnect', () => {
    it('none of them is answered', async () => {
      const client = await new Client().connect();
      const { connection } = client;
      await client.disconnect();
      const disconnected = { code: 'ERR_DLM_DISCONNECTED', errno: ENOTCONN };
      expect(await failureOf(dlmPurge(connection, 0, 0))).to.include(disconnected);
      for (const call of [
        () => dlmDeadlockCancel(connection, new DlmLksb()),
        () => dlmVersions(connection),
        () => dlmOwnPid(connection),
      ]) {
        expect(call).to.throw().that.includes(disconnected);
      }
    });
  });
});

describe('a lockspace that is to be created for one only', () => {
  const group = 'exclusive';
  const exclusive = (): Client => new Client(createTestPlugin({ exclusive: true }));

  it('is there for the first, and for those who do not insist', async () => {
    const first = await exclusive().connect(group);
    const refused = await failureOf(exclusive().connect(group));
    expect(refused).to.include({ code: 'ERR_DLM_LOCKSPACE_EXISTS', errno: EEXIST });
    const other = await new Client().connect(group);
    const held = await first.lock('r', EX);
    const lksb = new DlmLksb();
    other.ask(lksb, 'r', PR);
    await first.next(held, 'blockingAst');
    await first.unlock(held);
    expect(await other.next(lksb, 'lockAst')).to.equal(0);
    await other.disconnect();
    await first.disconnect();
  });

  it('can be created again once it is gone', async () => {
    const again = await exclusive().connect(group);
    await again.disconnect();
    const client = await new Client().connect(group);
    expect(await failureOf(exclusive().connect(group))).to.include({
      code: 'ERR_DLM_LOCKSPACE_EXISTS',
    });
    await client.disconnect();
  });
});
