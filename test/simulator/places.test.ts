/** Where a simulated connection has its locks: what is in it, and that it does not stay as large as it was. */
import { expect } from 'chai';

import { Places } from '../../lib/simulator/places.js';
import { Random } from '../support/random.js';

describe("the places of a simulated connection's locks", () => {
  it('give their memory back when a million locks are gone, but for one in the middle', () => {
    const places = new Places<number>();
    const count = 1_000_000;
    const indexes = Array.from({ length: count }, (_, i) => places.take(i));
    expect(places.capacity).to.be.at.least(count);
    for (const [i, index] of indexes.entries()) if (i !== count / 2) places.release(index);
    expect(places.capacity).to.be.at.most(2 * 1024);
    expect(places.get(indexes[count / 2]!)).to.equal(count / 2);
  });

  it('keep the chunk that is used', () => {
    const places = new Places<string>();
    for (let round = 0; round < 3000; round += 1) {
      expect(places.take('lock')).to.equal(0);
      places.release(0);
    }
    expect(places.capacity).to.equal(1024);
  });

  it('have what a map has, whatever comes and goes', () => {
    const random = new Random();
    console.log(`      seed ${random.seed}`);
    const places = new Places<number>();
    const map = new Map<number, number>();
    for (let step = 0; step < 50_000; step += 1) {
      const [index] = [...map.keys()].slice(random.below(20));
      if (index === undefined || random.below(step % 20_000 < 12_000 ? 4 : 1) > 0) {
        const taken = places.take(step);
        expect(map.has(taken), `seed ${random.seed}`).to.equal(false);
        map.set(taken, step);
      } else {
        places.clear(index);
        expect(places.get(index)).to.equal(undefined);
        places.release(index);
        map.delete(index);
      }
      if (step % 500 > 0) continue;
      for (const [key, value] of map)
        expect(places.get(key), `seed ${random.seed}`).to.equal(value);
    }
  });
});
