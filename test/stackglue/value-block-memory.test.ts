/** Whose memory a value block is, who may have it, and what becomes of one that was given away. */
import { expect } from 'chai';
import { webcrypto } from 'node:crypto';
import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads';

import { DLM_LKF, DLM_LOCK, DlmLksb, type ClusterConnection } from '../../lib/glue.js';
import { Simulation } from '../../lib/simulator/index.js';
import { connectNode } from '../simulator/lock-program.js';
import { disconnectTestNodes, dlmFailure, freshCluster, TestNode } from './test-node.js';

const { NL, PR, EX } = DLM_LOCK;
const { CONVERT, VALBLK } = DLM_LKF;

for (const [stackName, length] of [
  ['o2cb', 64],
  ['pcmk', 32],
] as const) {
  describe(`the memory of a value block, on ${stackName}`, () => {
    let cluster: string;
    let node: TestNode;
    let connection: ClusterConnection;

    const lvb = (lksb: DlmLksb): Uint8Array => node.glue.dlmLvb(lksb);
    const give = (lksb: DlmLksb): void => {
      structuredClone(lvb(lksb), { transfer: [lvb(lksb).buffer as ArrayBuffer] });
    };
    const ask = (lksb: DlmLksb, mode: 0 | 3 | 5, flags: number, name = ''): number =>
      node.glue.dlmLock(connection, mode, lksb, flags, name);
    const bytes = (value: number): number[] => new Array<number>(length).fill(value);

    beforeEach(async () => {
      cluster = freshCluster();
      node = new TestNode(1, cluster, stackName);
      connection = await node.connect();
    });
    afterEach(disconnectTestNodes);

    it('is an ArrayBuffer of its own, and no longer than the block', async () => {
      const locks = await Promise.all(
        Array.from({ length: 100 }, (_, i) => node.lock(connection, `l${i}`)),
      );
      const buffers = new Set(locks.map((lksb) => lvb(lksb).buffer));
      expect(buffers.size).to.equal(100);
      for (const buffer of buffers) {
        expect(buffer).to.be.an.instanceOf(ArrayBuffer);
        expect(buffer.byteLength).to.equal(length);
      }
      for (const lksb of locks) await node.unlock(connection, lksb);
    });

    it('can be posted, hashed and answered with', async () => {
      const lksb = await node.lock(connection, 'l');
      lvb(lksb).fill(7);
      const { port1, port2 } = new MessageChannel();
      port1.postMessage(lvb(lksb));
      const { message } = receiveMessageOnPort(port2) as { message: Uint8Array };
      expect([...message]).to.deep.equal(bytes(7));
      message.fill(1);
      expect([...lvb(lksb)]).to.deep.equal(bytes(7));
      port1.close();
      const block = lvb(lksb) as Uint8Array<ArrayBuffer>;
      await webcrypto.subtle.digest('SHA-256', block);
      expect((await new Response(block).arrayBuffer()).byteLength).to.equal(length);
      await node.unlock(connection, lksb);
    });

    it('shows what came before anybody looked', async () => {
      const keeper = await node.lock(connection, 'l', NL);
      const writer = await node.lock(connection, 'l', EX, VALBLK);
      lvb(writer).fill(5);
      await node.unlock(connection, writer, VALBLK);
      const reader = await node.lock(connection, 'l', PR, VALBLK);
      expect([...lvb(reader)]).to.deep.equal(bytes(5));
      await node.unlock(connection, reader);
      await node.unlock(connection, keeper);
    });

    it('keeps stale bytes, and calls them valid, when its lock goes to NL without VALBLK', async () => {
      const { glue } = node;
      const [reader, writer] = [
        await node.lock(connection, 'l', PR, VALBLK),
        await node.lock(connection, 'l', NL),
      ];
      const write = async (value: number): Promise<void> => {
        expect(ask(writer, EX, CONVERT)).to.equal(0);
        await node.next('lockAst', writer);
        lvb(writer).fill(value);
        expect(ask(writer, NL, CONVERT | VALBLK)).to.equal(0);
        await node.next('lockAst', writer);
      };
      const convert = async (mode: 0 | 3, flags = 0): Promise<void> => {
        expect(ask(reader, mode, CONVERT | flags)).to.equal(0);
        await node.next('lockAst', reader);
      };
      await convert(NL);
      await write(1);
      await convert(PR, VALBLK);
      expect([...lvb(reader)]).to.deep.equal(bytes(1));
      await convert(NL);
      await write(2);
      expect([...lvb(reader)]).to.deep.equal(bytes(1));
      expect(glue.dlmLvbValid(reader)).to.equal(true);
      await convert(PR);
      expect([...lvb(reader)]).to.deep.equal(bytes(1));
      expect(glue.dlmLvbValid(reader)).to.equal(true);
      await convert(NL);
      await convert(PR, VALBLK);
      expect([...lvb(reader)]).to.deep.equal(bytes(2));
      await node.unlock(connection, reader);
      await node.unlock(connection, writer);
    });

    it('when it was given away: what would send or show it throws, and changes nothing', async () => {
      const keeper = await node.lock(connection, 'l', NL);
      const lksb = await node.lock(connection, 'l', EX, VALBLK);
      lvb(lksb).fill(9);
      expect(ask(lksb, EX, CONVERT | VALBLK)).to.equal(0);
      await node.next('lockAst', lksb);
      give(lksb);
      for (const action of [
        () => lvb(lksb),
        () => ask(lksb, NL, CONVERT | VALBLK),
        () => node.glue.dlmUnlock(connection, lksb, VALBLK),
      ]) {
        expect((await dlmFailure('ERR_DLM_LVB_DETACHED', action)).message).to.match(/lksb/);
      }
      expect(node.glue.dlmLockStatus(lksb)).to.equal(0);
      expect(node.glue.dlmLockMode(lksb)).to.equal(EX);
      // What sends nothing goes on, and what reads brings another one.
      expect(ask(lksb, NL, CONVERT)).to.equal(0);
      await node.next('lockAst', lksb);
      expect(ask(lksb, PR, CONVERT | VALBLK)).to.equal(0);
      await node.next('lockAst', lksb);
      expect([...lvb(lksb)]).to.deep.equal(bytes(9));
      await node.unlock(connection, lksb);
      await node.unlock(connection, keeper);
    });

    it('given away while a grant is under way: the grant brings another one', async () => {
      const keeper = await node.lock(connection, 'l', NL);
      const lksb = await node.lock(connection, 'l', EX, VALBLK);
      lvb(lksb).fill(3);
      expect(ask(lksb, NL, CONVERT | VALBLK)).to.equal(0);
      give(lksb);
      await node.next('lockAst', lksb);
      expect(ask(lksb, EX, CONVERT | VALBLK)).to.equal(0);
      await node.next('lockAst', lksb);
      expect([...lvb(lksb)]).to.deep.equal(bytes(3));
      await node.unlock(connection, lksb);
      await node.unlock(connection, keeper);
    });

    it('given away by a lock that is gone: the next lock begins with zeros', async () => {
      const lksb = await node.lock(connection, 'l');
      lvb(lksb).fill(3);
      await node.unlock(connection, lksb);
      give(lksb);
      await dlmFailure('ERR_DLM_LVB_DETACHED', () => lvb(lksb));
      await node.relock(connection, lksb, 'm');
      expect([...lvb(lksb)]).to.deep.equal(bytes(0));
      await node.unlock(connection, lksb);
    });

    it('sends nothing of another lock in the place of a block that nobody has looked at', async () => {
      const keeper = await node.lock(connection, 'l', NL);
      const [first, second] = [await node.lock(connection, 'k'), new DlmLksb()];
      lvb(first).fill(0xee);
      await node.unlock(connection, first, VALBLK);
      await node.relock(connection, second, 'l');
      await node.unlock(connection, second, VALBLK);
      const reader = await node.lock(connection, 'l', PR, VALBLK);
      expect([...lvb(reader)]).to.deep.equal(bytes(0));
      await node.unlock(connection, reader);
      await node.unlock(connection, keeper);
    });
  });
}

for (const profile of ['o2dlm', 'fsdlm'] as const) {
  it(`a value block crosses a simulation, and so does the mode held, profile ${profile}`, async () => {
    const simulation = new Simulation({ profile });
    await simulation.run(async () => {
      const { glue, connection } = await connectNode(simulation.node(1).context);
      const [keeper, lksb] = [new DlmLksb(), new DlmLksb()];
      const done = async (result: number): Promise<void> => {
        expect(result).to.equal(0);
        await simulation.sleep(100);
        expect(glue.dlmLockStatus(lksb)).to.equal(0);
      };
      await done(glue.dlmLock(connection, EX, lksb, VALBLK, 'l', () => undefined));
      expect(glue.dlmLockMode(lksb)).to.equal(EX);
      expect(glue.dlmLock(connection, NL, keeper, 0, 'l', () => undefined)).to.equal(0);
      glue.dlmLvb(lksb).fill(6);
      await done(glue.dlmLock(connection, NL, lksb, CONVERT | VALBLK, ''));
      expect(glue.dlmLockMode(lksb)).to.equal(NL);
      glue.dlmLvb(lksb).fill(0);
      await done(glue.dlmLock(connection, PR, lksb, CONVERT | VALBLK, ''));
      expect(glue.dlmLvb(lksb).every((byte) => byte === 6)).to.equal(true);
      expect(glue.dlmLockMode(lksb)).to.equal(PR);
    });
    await simulation.close();
  });
}
