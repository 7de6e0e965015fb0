/** What a lock status block may be used for, and whose bytes its value block shows. */
import { expect } from 'chai';
import { constants } from 'node:os';
import { inspect } from 'node:util';
import { runInNewContext } from 'node:vm';

import {
  DLM_LKF,
  DLM_LOCK,
  DLM_SBF,
  DlmLksb,
  StackGlue,
  type ClusterConnection,
  type StackConnection,
} from '../../lib/glue.js';
import {
  disconnectTestNodes,
  dlmFailure,
  fakePlugin,
  freshCluster,
  silentProtocol,
  TestNode,
} from './test-node.js';

const { NL, PR, EX } = DLM_LOCK;
const { CONVERT, NOQUEUE, VALBLK } = DLM_LKF;
const { EAGAIN, EINVAL } = constants.errno;

describe('lock status block', () => {
  let node: TestNode;
  let connection: ClusterConnection;

  beforeEach(async () => {
    node = new TestNode();
    connection = await node.connect();
  });
  afterEach(disconnectTestNodes);

  it('prints what there is to see, whatever it is asked to print', async () => {
    const lksb = new DlmLksb();
    const print = (value: unknown): string => inspect(value, { breakLength: Infinity });
    expect(print(lksb)).to.equal('DlmLksb { never locked }');
    expect(node.glue.dlmLock(connection, EX, lksb, 0, 'inode/42')).to.equal(0);
    expect(print(lksb)).to.equal(
      "DlmLksb { name: 'inode/42', mode: undefined, status: 'EINPROG' }",
    );
    await node.next('lockAst', lksb);
    expect(print(lksb)).to.equal("DlmLksb { name: 'inode/42', mode: 'EX', status: 'OK' }");
    const lvb = node.glue.dlmLvb(lksb);
    lvb.set([1, 2, 255]);
    expect(print({ lksb })).to.match(
      /^\{ lksb: DlmLksb \{ name: 'inode\/42', mode: 'EX', status: 'OK', lvb: <Buffer 01 02 ff 00/,
    );
    expect(inspect({ lksb }, { depth: 0 })).to.equal('{ lksb: [DlmLksb] }');
    structuredClone(lvb.buffer, { transfer: [lvb.buffer as ArrayBuffer] });
    expect(print(lksb)).to.match(/lvb: 'detached' \}$/);
    expect(print(Object.create(lksb))).to.equal('DlmLksb {}');
    await node.unlock(connection, lksb);
    expect(print(lksb)).to.match(/mode: undefined, status: 'OK'/);
  });

  it('prints a refusal, and no status that nobody has given', async () => {
    const own = new TestNode(0, freshCluster(), 'pcmk');
    const [group, lksb] = [await own.connect(), new DlmLksb()];
    const print = (): string => inspect(lksb, { breakLength: Infinity });
    const ask = (name: string, flags = 0): number => own.glue.dlmLock(group, EX, lksb, flags, name);
    const tooLong = 'n'.repeat(65);
    expect(ask(tooLong)).to.equal(-EINVAL);
    expect(print()).to.equal(`DlmLksb { name: '${tooLong}', mode: undefined, refused: 'EINVAL' }`);
    // As the kernel leaves it.
    expect(own.glue.dlmLockStatus(lksb)).to.equal(0);
    expect(ask('version_lock')).to.equal(-EINVAL);
    expect(print()).to.equal("DlmLksb { mode: undefined, refused: 'EINVAL' }");
    await own.relock(group, lksb, 'y');
    expect(print()).to.equal("DlmLksb { name: 'y', mode: 'EX', status: 'OK' }");
    // There is a lock, and that goes on.
    expect(ask('', CONVERT | DLM_LKF.QUECVT | DLM_LKF.EXPEDITE)).to.equal(-EINVAL);
    expect(print()).to.equal("DlmLksb { name: 'y', mode: 'EX', status: 'OK' }");
    await own.unlock(group, lksb);
    expect(print()).to.equal("DlmLksb { name: 'y', mode: undefined, status: 'EUNLOCK' }");
  });

  it('can be used again once its lock is gone, for another resource too', async () => {
    const lksb = new DlmLksb();
    for (const name of ['a', 'a', 'b']) {
      await node.relock(connection, lksb, name);
      await node.unlock(connection, lksb);
    }
  });

  for (const stackName of ['o2cb', 'pcmk'] as const) {
    it(`locks what it is told to and nothing that it had before, on ${stackName}`, async () => {
      const own = new TestNode(0, freshCluster(), stackName);
      const { glue } = own;
      const [group, witness] = [await own.connect(), new DlmLksb()];
      const lksb = new DlmLksb();
      const isHeld = async (name: string): Promise<boolean> => {
        const refused = glue.dlmLock(group, EX, witness, NOQUEUE, name);
        if (refused !== 0) return refused === -EAGAIN;
        await own.next('lockAst', witness);
        if (glue.dlmLockStatus(witness) === -EAGAIN) return true;
        await own.unlock(group, witness);
        return false;
      };
      const bytes = Buffer.from('b');
      const tooLong = 'n'.repeat(65);
      for (const [name, held] of [
        ['a', 'a'],
        ['a', 'a'],
        ['b', 'b'],
        [bytes, 'b'],
        ['b', 'b'],
        [bytes, 'c'],
        ['c', 'c'],
        ['\u00e4', '\u00e4'],
        ['\u00e4', '\u00e4'],
      ] as const) {
        if (name === bytes) bytes.write(held);
        // A name that is refused is not taken for the next lock's.
        expect(glue.dlmLock(group, EX, lksb, 0, tooLong)).to.equal(-EINVAL);
        expect(glue.dlmLock(group, EX, lksb, 0, name)).to.equal(0);
        await own.next('lockAst', lksb);
        for (const each of ['a', 'b', 'c', '\u00e4']) {
          expect(await isHeld(each), each).to.equal(each === held);
        }
        await own.unlock(group, lksb);
      }
    });
  }

  it("can be shown to people, with the lock manager's own name for its status", async () => {
    const lksb = await node.lock(connection, 'l');
    expect(node.glue.dlmDumpLksb(lksb)).to.match(/^lock \d+ status DLM_NORMAL$/);
    await node.unlock(connection, lksb);
  });

  it('is busy from the request to the unlock AST', async () => {
    const { glue } = node;
    const lksb = new DlmLksb();
    const isBusy = () =>
      dlmFailure('ERR_DLM_LKSB_BUSY', () => glue.dlmLock(connection, PR, lksb, 0, 'other'));
    expect(glue.dlmLock(connection, EX, lksb, 0, 'l')).to.equal(0);
    await isBusy();
    await node.next('lockAst', lksb);
    await isBusy();
    expect(glue.dlmLock(connection, NL, lksb, CONVERT, '')).to.equal(0);
    await isBusy();
    await node.next('lockAst', lksb);
    expect(glue.dlmUnlock(connection, lksb, 0)).to.equal(0);
    await isBusy();
    await node.next('unlockAst', lksb);
    await node.relock(connection, lksb, 'other');
    await node.unlock(connection, lksb);
  });

  for (const stackName of ['o2cb', 'pcmk'] as const) {
    it(`takes bytes of another realm for a name, on ${stackName}`, async () => {
      const own = new TestNode(0, freshCluster(), stackName);
      const group = await own.connect();
      const theirs = runInNewContext('new Uint8Array([98, 121, 116, 101, 115])') as Uint8Array;
      expect(theirs).not.to.be.an.instanceOf(Uint8Array);
      const lksb = new DlmLksb();
      expect(own.glue.dlmLock(group, EX, lksb, 0, theirs)).to.equal(0);
      await own.next('lockAst', lksb);
      const other = new DlmLksb();
      expect(own.glue.dlmLock(group, EX, other, 0, 'bytes')).to.equal(0);
      await own.next('blockingAst', lksb);
      await own.unlock(group, lksb);
      await own.next('lockAst', other);
      await own.unlock(group, other);
    });
  }

  it('can be used again inside its unlock AST', async () => {
    const lksb = await node.lock(connection, 'l');
    let result: number | undefined;
    node.onCall = (call) => {
      if (call.kind === 'unlockAst' && result === undefined) {
        result = node.glue.dlmLock(connection, EX, lksb, 0, 'm');
      }
    };
    await node.unlock(connection, lksb);
    expect(result).to.equal(0);
    await node.next('lockAst', lksb);
    await node.unlock(connection, lksb);
  });

  it('stays free after a request that the stack refused', async () => {
    const held = await node.lock(connection, 'l');
    const lksb = new DlmLksb();
    expect(node.glue.dlmLock(connection, EX, lksb, NOQUEUE, 'l')).to.equal(-EAGAIN);
    expect(node.glue.dlmLockStatus(lksb)).to.equal(-EAGAIN);
    expect(node.glue.dlmLock(connection, EX, lksb, 0, '')).to.equal(-EINVAL);
    expect(node.glue.dlmLock(connection, EX, lksb, 0, 'x'.repeat(33))).to.equal(-EINVAL);
    await node.relock(connection, lksb, 'x'.repeat(32));
    await node.unlock(connection, lksb);
    await node.unlock(connection, held);
    expect(node.calls.map(({ kind }) => kind)).to.have.members([
      'lockAst',
      'lockAst',
      'unlockAst',
      'unlockAst',
    ]);
  });

  it('refuses conversion, unlock and cancel of a lock that is gone, without any AST', async () => {
    const lksb = await node.lock(connection, 'l');
    await node.unlock(connection, lksb);
    const calls = node.calls.length;
    expect(node.glue.dlmLock(connection, PR, lksb, CONVERT, '')).to.equal(-EINVAL);
    expect(node.glue.dlmUnlock(connection, lksb, 0)).to.equal(-EINVAL);
    expect(node.glue.dlmUnlock(connection, lksb, DLM_LKF.CANCEL)).to.equal(-EINVAL);
    await node.unlock(connection, await node.lock(connection, 'probe'));
    expect(node.calls).to.have.lengthOf(calls + 2);
  });

  it('belongs to the connection of its first lock for good', async () => {
    const second = await node.connect('second');
    const lksb = await node.lock(connection, 'l');
    await node.unlock(connection, lksb);
    await dlmFailure('ERR_DLM_WRONG_CONNECTION', () => node.glue.dlmLock(second, EX, lksb, 0, 'l'));
    await node.glue.clusterDisconnect(connection);
    await dlmFailure('ERR_DLM_WRONG_CONNECTION', () => node.glue.dlmLock(second, EX, lksb, 0, 'l'));
    await node.unlock(second, await node.lock(second, 'l'));
  });

  it('can still be read after the disconnect', async () => {
    const lksb = await node.lock(connection, 'l', EX, VALBLK);
    node.glue.dlmLvb(lksb).fill(3);
    await node.glue.clusterDisconnect(connection);
    expect(node.glue.dlmLockStatus(lksb)).to.equal(0);
    expect(node.glue.dlmLvbValid(lksb)).to.equal(true);
    expect([...node.glue.dlmLvb(lksb)]).to.deep.equal(new Array(64).fill(3));
    expect(node.glue.dlmDumpLksb(lksb)).to.match(/DLM_NORMAL/);
  });

  it('has no status flags on the stack o2cb', async () => {
    const lksb = await node.lock(connection, 'l', EX, VALBLK);
    expect(node.glue.dlmLockFlags(lksb)).to.equal(0);
    await node.unlock(connection, lksb);
  });

  it("has the status flags that the stack's own operation tells", async () => {
    const glue = new StackGlue();
    glue.register(fakePlugin('user', { lockFlags: () => DLM_SBF.ALTMODE }));
    glue.setLockingProtocol(silentProtocol());
    glue.clusterStack = 'mine';
    const options = { stackName: 'mine', group: 'g', recoveryHandler: () => undefined };
    const own = await glue.clusterConnect(options);
    const lksb = new DlmLksb();
    expect(glue.dlmLock(own, EX, lksb, 0, 'l')).to.equal(0);
    expect(glue.dlmLockFlags(lksb)).to.equal(DLM_SBF.ALTMODE);
    await glue.clusterDisconnect(own);
  });

  it('is as it was when the stack throws at the request', async () => {
    const glue = new StackGlue();
    const given: unknown[] = [];
    let told!: StackConnection;
    glue.register(
      fakePlugin('user', {
        connect: (connecting) => {
          told = connecting;
          return Promise.resolve();
        },
        dlmLock: (_connection, _mode, _lksb, flags) => {
          if ((flags & NOQUEUE) !== 0) throw new Error('the stack says no');
          return 0;
        },
      }),
    );
    glue.setLockingProtocol({ ...silentProtocol(), lockAst: (astarg) => given.push(astarg) });
    glue.clusterStack = 'mine';
    const options = { stackName: 'mine', group: 'g', recoveryHandler: () => undefined };
    const own = await glue.clusterConnect(options);
    const lksb = new DlmLksb();
    expect(() => glue.dlmLock(own, EX, lksb, NOQUEUE, 'l')).to.throw('the stack says no');
    await dlmFailure('ERR_DLM_LKSB_UNUSED', () => glue.dlmLockStatus(lksb));
    expect(glue.dlmLock(own, EX, lksb, 0, 'l', 'first')).to.equal(0);
    expect(() => glue.dlmLock(own, EX, lksb, NOQUEUE, 'l', 'second')).to.throw('the stack says no');
    told.lockAst(lksb);
    expect(given).to.deep.equal(['first']);
    await glue.clusterDisconnect(own);
  });

  it('tells its lock and status in one line', async () => {
    const lksb = await node.lock(connection, 'l');
    expect(node.glue.dlmDumpLksb(lksb)).to.match(/^lock \d+ status DLM_NORMAL$/);
    await node.unlock(connection, lksb);
  });

  describe('value block', () => {
    it('is always the same view of 64 bytes', async () => {
      const lksb = await node.lock(connection, 'l');
      const lvb = node.glue.dlmLvb(lksb);
      expect(lvb).to.have.lengthOf(64);
      await node.unlock(connection, lksb);
      await node.relock(connection, lksb, 'm');
      expect(node.glue.dlmLvb(lksb)).to.equal(lvb);
      await node.unlock(connection, lksb);
    });

    it('starts as zeros', async () => {
      for (let count = 0; count < 200; count += 1) {
        const lksb = await node.lock(connection, `l${count}`, EX, VALBLK);
        expect(node.glue.dlmLvb(lksb).every((byte) => byte === 0)).to.equal(true);
        node.glue.dlmLvb(lksb).fill(0xee);
        await node.unlock(connection, lksb);
      }
    });

    it("never shows another lock's bytes, however old the view is", async () => {
      const { glue } = node;
      const old: Uint8Array[] = [];
      for (let count = 0; count < 100; count += 1) {
        const lksb = await node.lock(connection, 'old', EX, VALBLK);
        old.push(glue.dlmLvb(lksb));
        await node.unlock(connection, lksb);
      }
      const locks: DlmLksb[] = [];
      for (let index = 0; index < 1000; index += 1) {
        const lksb = await node.lock(connection, `l${index}`, EX, VALBLK);
        glue.dlmLvb(lksb).fill(index % 251);
        locks.push(lksb);
      }
      for (const view of old) view.fill(0xff);
      for (const [index, lksb] of locks.entries()) {
        expect(glue.dlmLvb(lksb).every((byte) => byte === index % 251)).to.equal(true);
        expect(glue.dlmLockStatus(lksb)).to.equal(0);
        await node.unlock(connection, lksb, VALBLK);
      }
      for (const view of old) expect(view.every((byte) => byte === 0xff)).to.equal(true);
    });

    it('of a used lksb is what the new lock brings, not what the old one left', async () => {
      const cluster = freshCluster();
      const [a, b] = [new TestNode(1, cluster), new TestNode(2, cluster)];
      const [toA, toB] = [await a.connect(), await b.connect()];
      // Keeps the resource, and its value block with it.
      const keeper = await a.lock(toA, 'l', NL);
      const writer = await a.lock(toA, 'l', EX, VALBLK);
      a.glue.dlmLvb(writer).fill(1);
      await a.unlock(toA, writer, VALBLK);
      const lksb = await b.lock(toB, 'other', EX, VALBLK);
      b.glue.dlmLvb(lksb).fill(9);
      await b.unlock(toB, lksb);
      await b.relock(toB, lksb, 'l', PR, VALBLK);
      expect(b.glue.dlmLvb(lksb).every((byte) => byte === 1)).to.equal(true);
      await b.unlock(toB, lksb);
      await a.unlock(toA, keeper);
    });
  });
});
