/** Values, where programs do what is seldom done: memory given away, changes in the middle, names that are none. */
import { expect } from 'chai';

import type { Lock, Lockspace } from '../../lib/index.js';
import { WORLDS, codeOf, rejection } from './worlds.js';

const NAME = 'inode/42';
const WITH_VALUE = { value: true } as const;

const textOf = (lock: Lock): string =>
  `${lock.valueState}:${lock.value.toString('utf8').replace(/\0+$/, '')}`;

/** What `postMessage` with a transfer list does. */
function transferValue(lock: Lock): void {
  const { value } = lock;
  structuredClone(value, { transfer: [value.buffer] });
}

for (const world of WORLDS) {
  describe(`corners of values on ${world.title}`, () => {
    /** Two nodes, and a pin on the second. */
    const pinned = (body: (a: Lockspace, b: Lockspace) => Promise<void>): Promise<void> =>
      world.run(async (nodes) => {
        const [a, b] = [await nodes.open(1), await nodes.open(2)];
        const pin = await b.pin(NAME);
        await body(a, b);
        await pin.release();
      });

    /** What the next one reads. */
    async function read(lockspace: Lockspace): Promise<string> {
      return lockspace.using(NAME, 'PR', WITH_VALUE, textOf);
    }

    it('writes nothing of a value whose memory was given away, and lets go', () =>
      pinned(async (a, b) => {
        const lock = await a.lock(NAME, 'EX', WITH_VALUE);
        lock.value = Buffer.from('one');
        await lock.writeValue();
        lock.value = Buffer.from('two');
        transferValue(lock);
        await lock.release();
        expect(await read(b)).to.equal('fresh:one');
      }));

    it('refuses to write a value whose memory was given away, and shows what was read', () =>
      pinned(async (a, b) => {
        const lock = await a.lock(NAME, 'EX', WITH_VALUE);
        lock.value = Buffer.from('one');
        await lock.writeValue();
        lock.value = Buffer.from('two');
        transferValue(lock);
        expect(await codeOf(lock.writeValue())).to.equal('ERR_DLM_LVB_DETACHED');
        expect(textOf(lock)).to.equal('fresh:one');
        lock.value = Buffer.from('three');
        await lock.writeValue();
        transferValue(lock);
        await lock.convert('PR');
        expect(textOf(lock)).to.equal('fresh:three');
        await lock.release();
        expect(await read(b)).to.equal('fresh:three');
      }));

    it('calls no value fresh of a lock that is not held', () =>
      pinned(async (a, b) => {
        const lock = await a.lock(NAME, 'EX', WITH_VALUE);
        lock.value = Buffer.from('one');
        await lock.writeValue();
        const released = lock.release();
        expect(lock.valueState).to.equal('stale');
        await released;
        await b.using(NAME, 'EX', WITH_VALUE, (other) => (other.value = Buffer.from('two')));
        expect(textOf(lock)).to.equal('stale:one');
      }));

    it('names the argument of a name that is none', () =>
      pinned(async (a) => {
        const error = await rejection(a.lock('\ud800', 'EX', WITH_VALUE));
        expect(error).to.have.property('argument', 'name');
        expect(await rejection(a.lock('\ud800', 'EX'))).to.have.property('argument', 'name');
      }));

    it('names options of a pin that are none', () =>
      pinned(async (a) => {
        for (const options of [null, 1, true, { limit: 1 }] as never[]) {
          expect(await rejection(a.pin(NAME, options))).to.be.instanceOf(TypeError);
        }
      }));

    it('writes at the release what was changed during a write that it took back', () =>
      pinned(async (a, b) => {
        const lock = await a.lock(NAME, 'EX', WITH_VALUE);
        lock.value = Buffer.from('one');
        const writing = codeOf(lock.writeValue());
        lock.value = Buffer.from('two');
        await lock.release();
        expect(await writing).to.equal('ERR_DLM_RELEASED');
        expect(await read(b)).to.equal('fresh:two');
      }));

    if (world.stack === 'o2cb') return;

    it('writes what was changed after a conversion from PW to EX was given up', () =>
      pinned(async (a, b) => {
        const lock = await a.lock(NAME, 'PW', WITH_VALUE);
        lock.value = Buffer.from('one');
        const controller = new AbortController();
        const first = rejection(lock.convert('EX', { signal: controller.signal }));
        controller.abort();
        lock.value = Buffer.from('two');
        await lock.convert('EX');
        expect(await first).to.equal(controller.signal.reason);
        expect(textOf(lock)).to.equal('fresh:two');
        await lock.release();
        expect(await read(b)).to.equal('fresh:two');
      }));

    it('keeps a value in doubt that was so before its master left, and the flag with it', () =>
      world.run(async (nodes) => {
        const [master, a, b] = [await nodes.open(3), await nodes.open(1), await nodes.open(2)];
        await master.pin(NAME);
        const dying = await b.lock(NAME, 'EX', WITH_VALUE);
        dying.value = Buffer.from('one');
        await dying.writeValue();
        nodes.kill(2);
        const lock = await a.lock(NAME, 'CW', WITH_VALUE);
        expect(lock.valueState).to.equal('invalid');
        await master.close();
        await lock.convert('EX', { timeoutMs: 60_000 });
        expect(lock.valueState).to.equal('invalid');
        lock.value = Buffer.from('good');
        await lock.release();
      }));
  });
}
