/** The table of a connection's live locks: what is in it, and that it does not stay as large as it was. */
import { expect } from 'chai';

import { DlmLksb } from '../../lib/glue.js';
import { lksbState, type LksbState } from '../../lib/stackglue/lksb.js';
import { LockTable } from '../../lib/stacks/lock-table.js';
import { Random } from '../support/random.js';

describe('the table of live locks', () => {
  const state = lksbState(new DlmLksb());

  function all(table: LockTable): LksbState[] {
    const found: LksbState[] = [];
    table.forEach((each) => found.push(each));
    return found;
  }

  it('gives its memory back when a million locks are gone, but for one in the middle', () => {
    const table = new LockTable();
    const count = 1_000_000;
    for (let index = 0; index < count; index += 1) table.add(index, state);
    expect(table.capacity).to.be.at.least(count);
    for (let index = 0; index < count; index += 1) if (index !== 500_000) table.remove(index);
    expect(table.capacity).to.be.at.most(5 * 1024);
    expect(table.get(500_000)).to.equal(state);
    expect(all(table)).to.deep.equal([state]);
    table.remove(500_000);
    expect(table.capacity).to.be.at.most(4 * 1024);
  });

  for (const [what, index, capacity] of [
    ['place', 0, 1],
    ['chunk', 5000, 1024],
  ] as const) {
    it(`keeps the ${what} that it uses`, () => {
      const table = new LockTable();
      for (let round = 0; round < 10; round += 1) {
        table.add(index, state);
        table.remove(index);
        expect(table.capacity).to.equal(capacity);
      }
    });
  }

  it('has what a map has, whatever comes and goes', function () {
    const random = new Random();
    const table = new LockTable();
    const map = new Map<number, typeof state>();
    for (let step = 0; step < 50_000; step += 1) {
      const index = random.below(9000);
      const known = map.get(index);
      expect(table.get(index) === known, `seed ${random.seed}, step ${step}`).to.equal(true);
      if (known === undefined) {
        const added = lksbState(new DlmLksb());
        map.set(index, added);
        table.add(index, added);
      } else {
        map.delete(index);
        table.remove(index);
      }
    }
    expect(new Set(all(table))).to.deep.equal(new Set(map.values()));
    table.clear();
    expect(all(table)).to.deep.equal([]);
  });
});
