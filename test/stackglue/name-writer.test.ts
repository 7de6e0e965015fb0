/** Names on their way to native code: whatever was kept of which, the bytes are those of this one. */
import { expect } from 'chai';

import { DlmLksb } from '../../lib/glue.js';
import { BATCH_NAME, BATCH_WORDS, NAME_ROOM } from '../../lib/native.js';
import { lksbState } from '../../lib/stackglue/lksb.js';
import { NameWriter } from '../../lib/stacks/name-writer.js';
import { Random } from '../support/random.js';

const NAME_MAX = 64;
const WORD = Int32Array.BYTES_PER_ELEMENT;
/** More than are kept. */
const MANY = 20_000;

describe('the names of new locks, in memory', () => {
  let batch: Int32Array, writer: NameWriter;

  beforeEach(() => {
    batch = new Int32Array(new SharedArrayBuffer(BATCH_WORDS * WORD));
    writer = new NameWriter(batch);
  });

  function check(state: ReturnType<typeof lksbState>, name: string | Uint8Array, where = ''): void {
    const size = writer.write(state, name);
    const bytes = Buffer.from(name as string);
    if (bytes.length > NAME_MAX) {
      expect(size, `bytes of a name that is too long${where}`).to.be.within(
        NAME_MAX + 1,
        NAME_ROOM,
      );
      return;
    }
    const written = Buffer.from(new Uint8Array(batch.buffer, BATCH_NAME * WORD, size));
    expect(written.toString('hex'), `${JSON.stringify(name)}${where}`).to.equal(
      bytes.toString('hex'),
    );
  }

  it('are those of the status blocks that they are for, however many there are', () => {
    const states = Array.from({ length: MANY }, () => lksbState(new DlmLksb()));
    for (let round = 0; round < 3; round += 1) {
      for (const [index, state] of states.entries()) check(state, `name-${index}`);
    }
    for (const [index, state] of states.entries()) check(state, `other-${index}`);
  });

  it('can be of any length', () => {
    const state = lksbState(new DlmLksb());
    for (const unit of ['x', 'é', '€', '😀']) {
      for (let length = 1; length <= 70; length += 1) {
        const name = unit.repeat(length);
        for (let time = 0; time < 3; time += 1) check(state, name);
      }
    }
  });

  it('are the bytes of an array, whatever it says of itself', () => {
    class Liar extends Uint8Array {
      override get length(): number {
        throw new Error('asked');
      }
      override subarray(): never {
        throw new Error('asked');
      }
    }
    const state = lksbState(new DlmLksb());
    expect(writer.write(state, new Liar(Buffer.from('name')))).to.equal(4);
    expect(
      Buffer.from(batch.buffer)
        .subarray(BATCH_NAME * WORD)
        .toString('latin1', 0, 4),
    ).to.equal('name');
  });

  it('are the right ones, in whatever order they come', () => {
    const random = new Random();
    const states = Array.from({ length: 20 }, () => lksbState(new DlmLksb()));
    const units = ['a', '\0', 'é', '€', '😀'];
    const names = Array.from({ length: 40 }, (): string | Uint8Array => {
      const text = Array.from({ length: random.below(40) }, () => random.pick(units)).join('');
      return random.chance(0.7) ? text : new Uint8Array(Buffer.from(text));
    });
    for (let step = 0; step < 10_000; step += 1) {
      check(random.pick(states), random.pick(names), `, seed ${random.seed}, step ${step}`);
    }
  });
});
