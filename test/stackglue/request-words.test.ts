/** Requests that are left in memory for native code: whatever is there, it is answered or refused. */
import { expect } from 'chai';
import { constants } from 'node:os';

import {
  BATCH_ARGUMENTS,
  BATCH_NAME,
  BATCH_REQUEST,
  BATCH_RESULT,
  BATCH_WORDS,
  NAME_ROOM,
  native,
  RequestKind,
  type NativeConnection,
} from '../../lib/native.js';
import { Random } from '../support/random.js';

const { errno } = constants;
const { NativeFsdlmConnection, NativeO2dlmConnection } = native();

const ROUNDS = 5_000;

/** Opens a connection whose batch this is. */
type Open = (batch: Int32Array, onClosed: () => void) => Promise<NativeConnection>;

const openO2dlm: Open = (batch, onClosed) => {
  const options = { cluster: 'words', domain: 'words', node: 0, major: 1, minor: 0 };
  const connection = new NativeO2dlmConnection(options, batch, () => undefined, onClosed);
  expect(connection.joinStatus).to.equal(0);
  return Promise.resolve(connection);
};

const openFsdlm: Open = async (batch, onClosed) => {
  const options = { cluster: 'words', name: 'words', node: 1, create: true, exclusive: false };
  let connection!: NativeConnection;
  await new Promise<void>((resolve) => {
    connection = new NativeFsdlmConnection(
      options,
      batch,
      () => undefined,
      (state) => {
        if (state === 'open') resolve();
        if (state === 'closed') onClosed();
      },
    );
  });
  return connection;
};

for (const { name, open, noLock, tooLong } of [
  { name: 'o2dlm', open: openO2dlm, noLock: -19, tooLong: -22 }, // BADARGS, IVBUFLEN
  { name: 'fsdlm', open: openFsdlm, noLock: -errno.EINVAL, tooLong: -errno.EINVAL },
]) {
  describe(`a request in memory, to ${name}`, () => {
    const { seed } = new Random();
    let batch: Int32Array, connection: NativeConnection;
    let closed: Promise<void>;

    beforeEach(async () => {
      batch = new Int32Array(new SharedArrayBuffer(4 * BATCH_WORDS));
      let close!: () => void;
      closed = new Promise((resolve) => (close = resolve));
      connection = await open(batch, close);
    });
    afterEach(async function () {
      if (this.currentTest?.state === 'failed') console.log(`      seed ${seed}`);
      connection.close();
      await closed;
    });

    function ask(kind: number, ...given: number[]): number {
      batch[BATCH_REQUEST] = kind;
      batch.set(given, BATCH_ARGUMENTS);
      connection.request();
      return batch[BATCH_RESULT] ?? 0;
    }

    function lock(itsName: string): number {
      new Uint8Array(batch.buffer).set(Buffer.from(itsName), 4 * BATCH_NAME);
      return ask(RequestKind.lock, 5, 0, itsName.length);
    }

    it('of a lock that there is not is refused', () => {
      expect(ask(RequestKind.unlock, 0, 0)).to.equal(noLock);
      expect(ask(RequestKind.convert, 0, 3, 0)).to.equal(noLock);
    });

    it('on a connection that is closed throws', async () => {
      connection.close();
      await closed;
      await new Promise(setImmediate);
      expect(() => ask(RequestKind.unlock, 0, 0)).to.throw('request');
    });

    it('with a name that is longer than there is room is refused', () => {
      for (const size of [65, NAME_ROOM, NAME_ROOM + 1, 2 ** 31 - 1, -1, -(2 ** 31)]) {
        expect(ask(RequestKind.lock, 5, 0, size), `${size} bytes`).to.equal(tooLong);
      }
    });

    it('of a kind that there is not throws', () => {
      for (const kind of [-1, 0, 4]) expect(() => ask(kind, 0, 0, 0)).to.throw('request');
    });

    it('of any words neither crashes nor gives a lock that was not asked for', () => {
      const random = new Random(seed);
      const held = new Set([lock('name')]);
      const word = (): number =>
        random.chance(0.5) ? random.below(8) : Math.floor(random.next() * 2 ** 32);
      let answered = 0;
      for (let round = 0; round < ROUNDS; round += 1) {
        const kind = random.chance(0.9) ? 1 + random.below(3) : word();
        let result: number;
        try {
          result = ask(kind, word(), word(), word(), word(), word());
        } catch {
          continue;
        }
        answered += 1;
        if (kind !== RequestKind.lock || result < 0) continue;
        expect(held.has(result), `index ${result} twice`).to.equal(false);
        held.add(result);
      }
      expect(answered, 'requests that were answered').to.be.above(0);
      // What is asked for then is answered as ever.
      expect(ask(RequestKind.unlock, -1, 0)).to.equal(noLock);
      expect(held.has(lock('after')), 'an index that is free').to.equal(false);
    });
  });
}
