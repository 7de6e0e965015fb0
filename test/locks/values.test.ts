/** Values: what is read, what is written when, and how much of it can be trusted. */
import { expect } from 'chai';

import { DlmError, type Lock, type Lockspace, type Mode } from '../../lib/index.js';
import { WORLDS, codeOf, rejection, type Nodes, type World } from './worlds.js';

const NAME = 'inode/42';

const text = (lock: Lock): string => lock.value.toString('utf8').replace(/\0+$/, '');

/** What the next one reads. */
async function valueOf(nodes: { readonly a: Lockspace }, mode: Mode = 'PR'): Promise<string> {
  const lock = await nodes.a.lock(NAME, mode, { value: true });
  const seen = `${lock.valueState}:${text(lock)}`;
  await lock.release();
  return seen;
}

interface Pair {
  readonly a: Lockspace;
  readonly b: Lockspace;
  readonly nodes: Nodes;
}

for (const world of WORLDS) {
  describe(`values on ${world.title}`, () => {
    const pairs = (body: (pair: Pair) => Promise<void>): Promise<void> =>
      world.run(async (nodes) => {
        const [a, b] = [await nodes.open(1), await nodes.open(2)];
        await body({ a, b, nodes });
      });

    it('are zeros that nobody has written, at first', () =>
      pairs(async ({ a }) => {
        const lock = await a.lock(NAME, 'EX', { value: true });
        expect(lock.valueState).to.equal('unwritten');
        expect(lock.value).to.deep.equal(Buffer.alloc(world.stack === 'o2cb' ? 63 : 31));
        await lock.release();
      }));

    it('are written by a release, if they were changed', () =>
      pairs(async ({ a, b }) => {
        const pin = await b.pin(NAME);
        const lock = await a.lock(NAME, 'EX', { value: true });
        lock.value = Buffer.from('hello');
        await lock.release();
        expect(await valueOf({ a: b })).to.equal('fresh:hello');
        const again = await b.lock(NAME, 'EX', { value: true });
        await again.release();
        expect(await valueOf({ a })).to.equal('fresh:hello');
        await pin.release();
      }));

    it('are written by a conversion down, and read by one up', () =>
      pairs(async ({ a, b }) => {
        const lock = await a.lock(NAME, 'EX', { value: true });
        lock.value.write('one');
        await lock.convert('NL');
        expect(lock.valueState).to.equal('stale');
        const other = await b.lock(NAME, 'EX', { value: true });
        expect(text(other)).to.equal('one');
        other.value.write('two');
        await other.convert('PR');
        expect(other.valueState).to.equal('fresh');
        await lock.convert('PR', { timeoutMs: 60_000 });
        expect(`${lock.valueState}:${text(lock)}`).to.equal('fresh:two');
        await Promise.all([lock.release(), other.release()]);
      }));

    it('are written at once by writeValue', () =>
      pairs(async ({ a, b }) => {
        const pin = await b.pin(NAME);
        const lock = await a.lock(NAME, 'EX', { value: true });
        lock.value.write('kept');
        await lock.writeValue();
        expect(lock.valueState).to.equal('fresh');
        // What was never asked to be written goes with the lock.
        lock.value.write('gone');
        await a.close();
        const after = await b.lock(NAME, 'EX', { value: true });
        if (world.stack === 'o2cb') expect(after.valueState).to.equal('unwritten');
        else expect(`${after.valueState}:${text(after)}`).to.equal('invalid:kept');
        // Nobody has changed it, so it stays so.
        await after.release();
        expect(await valueOf({ a: b })).to.equal(
          world.stack === 'o2cb' ? 'unwritten:' : 'invalid:kept',
        );
        // To say what it is, is to change it.
        const healer = await b.lock(NAME, 'EX', { value: true });
        healer.value = Uint8Array.from(healer.value);
        await healer.convert('PR');
        expect(healer.valueState).to.equal('fresh');
        await healer.convert('EX', { timeoutMs: 60_000 });
        healer.value = Buffer.from('new');
        await healer.release();
        expect(await valueOf({ a: b })).to.equal('fresh:new');
        await pin.release();
      }));

    it('go with the last lock on the name', () =>
      pairs(async ({ a, b }) => {
        await a.using(NAME, 'EX', { value: true }, (lock) => void lock.value.write('x'));
        expect(await valueOf({ a: b })).to.equal('unwritten:');
      }));

    it('never come from another name', () =>
      pairs(async ({ a }) => {
        const lock = await a.lock('other', 'EX', { value: true });
        lock.value.fill(0xff);
        await lock.release();
        const names = Array.from({ length: 50 }, (_, at) => `name ${at}`);
        for (const name of names) {
          const each = await a.lock(name, 'EX', { value: true });
          expect(each.valueState, name).to.equal('unwritten');
          expect(each.value.every((byte) => byte === 0)).to.equal(true);
          each.value.fill(0xaa);
          await each.release();
        }
      }));

    it('take the whole block with raw', () =>
      pairs(async ({ a, b }) => {
        const pin = await b.lock(NAME, 'NL', { raw: true });
        const lock = await a.lock(NAME, 'EX', { raw: true });
        expect(lock.value).to.have.lengthOf(world.stack === 'o2cb' ? 64 : 32);
        expect(lock.valueState).to.equal('unwritten');
        lock.value.fill(7);
        await lock.release();
        const other = await b.lock(NAME, 'PR', { raw: true });
        expect(other.value.every((byte) => byte === 7)).to.equal(true);
        expect(other.valueState).to.equal('fresh');
        await Promise.all([pin.release(), other.release()]);
      }));

    it('are there for those only who ask for them', () =>
      pairs(async ({ a }) => {
        const lock = await a.lock(NAME, 'EX');
        expect(() => lock.value)
          .to.throw(DlmError, '{ value: true }')
          .with.property('code', 'ERR_DLM_NO_VALUE');
        expect(() => lock.valueState).to.throw(DlmError);
        expect(await codeOf(lock.writeValue())).to.equal('ERR_DLM_NO_VALUE');
        await lock.release();
        const reader = await a.lock(NAME, 'PR', { value: true });
        expect(await codeOf(reader.writeValue())).to.equal('ERR_DLM_READ_ONLY');
        expect(() => (reader.value = Buffer.alloc(65))).to.throw(RangeError);
        expect(() => (reader.value = 'text' as never)).to.throw(TypeError);
        await reader.release();
        expect(await codeOf(reader.writeValue())).to.equal('ERR_DLM_RELEASED');
        expect(await rejection(a.lock(NAME, 'EX', { value: 1 as never }))).to.be.instanceOf(
          TypeError,
        );
      }));

    it('survive over the whole table of pairs of modes', () =>
      pairs((pair) => allPairs(world, pair)));
  });
}

/** Each mode to each other: what was written before is what is read after. */
async function allPairs(world: World, { a, b }: Pair): Promise<void> {
  const modes: Mode[] =
    world.stack === 'o2cb' ? ['NL', 'PR', 'EX'] : ['NL', 'CR', 'CW', 'PR', 'PW', 'EX'];
  const writes = (mode: Mode): boolean => mode === 'PW' || mode === 'EX';
  let count = 0;
  for (const from of modes) {
    for (const to of modes) {
      const name = `${from} to ${to}`;
      const pin = await b.pin(name);
      const first = await b.lock(name, 'EX', { value: true });
      first.value.writeUInt32LE((count += 1));
      await first.release();
      const lock = await a.lock(name, from, { value: true });
      let now = count;
      if (writes(from)) lock.value.writeUInt32LE((now = count += 1));
      await lock.convert(to, { timeoutMs: 60_000 });
      if (to !== 'NL' && to !== 'CR') {
        expect(lock.valueState, name).to.equal('fresh');
        expect(lock.value.readUInt32LE(), name).to.equal(now);
      }
      if (writes(to)) lock.value.writeUInt32LE((now = count += 1));
      await lock.release();
      const reader = await b.lock(name, 'PR', { value: true });
      expect(`${reader.valueState} ${reader.value.readUInt32LE()}`, name).to.equal(`fresh ${now}`);
      await Promise.all([reader.release(), pin.release()]);
    }
  }
}
