/** The table of a connection's live locks: what is in it, and that it does not stay as large as it was. */
import { expect } from 'chai';

import { DlmLksb } from '../../lib/glue.js';
import { lksbState } from '../../lib/stackglue/lksb.js';
import { LockTable } from '../../lib/stacks/lock-table.js';
import { Random } from '../support/random.js';

describe('the table of live locks', () => {
  const state = lksbState(new DlmLksb());

  it('gives its memory back when a million locks are gone, but for one in the middle', () => {
    const table = new LockTable();
    const count = 1_000_000;
    for (let index = 0; index < count; index += 1) table.add(index, state);
    expect(table.capacity).to.be.at.least(count);
    for (let index = 0; index < count; index += 1) if (index !== 500_000) table.remove(index);
    expect(table.capacity).to.be.at.most(5 * 1024);
    expect(table.get(500_000)).to.equal(state);
    expect([...table]).to.deep.equal([state]);
    table.remove(500_000);
    expect(table.capacity).to.be.at.most(4 * 1024);
  });

  it('keeps the chunk that it uses', () => {
    const table = new LockTable();
    for (let round = 0; round < 10; round += 1) {
      table.add(0, state);
      table.remove(0);
      expect(table.capacity).to.equal(1024);
    }
  });

  it('has what a map has, whatever comes and goes', function () {
    const random = new Random();
    const table = new LockTable();
    const map = new Map<number, typeof state>();
    for (let step = 0; step < 50_000; step += 1) {
      const index = random.below(5000);
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
    expect(new Set(table)).to.deep.equal(new Set(map.values()));
    table.clear();
    expect([...table]).to.deep.equal([]);
  });
});
