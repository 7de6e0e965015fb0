/** The judge of `npm run kills`: it finds what must not be, and nothing else. */
import { expect } from 'chai';

import { Ledger } from '../../scripts/kills/ledger.js';

/** A ledger that has heard these. */
function heard(...lines: string[]): Ledger {
  const ledger = new Ledger();
  for (const line of lines) ledger.hear(line);
  return ledger;
}

describe('the ledger of kills', () => {
  it('takes tokens that grow, each name by itself, and counts them', () => {
    const ledger = heard('a 5 unwritten', 'b 2 unwritten', 'a 6 unwritten', 'released a');
    expect(ledger.grants).to.equal(3);
    expect(ledger.seen).to.deep.equal({ fresh: 0, invalid: 0, unwritten: 3 });
  });

  it('finds a token that is given again, one that is lower, and one of more than 63 bits', () => {
    expect(() => heard('a 5 unwritten', 'a 5 unwritten')).to.throw('token 5 was given after 5');
    expect(() => heard('a 5 unwritten', 'a 4 unwritten')).to.throw('token 4 was given after 5');
    expect(() => heard(`a ${2n ** 63n} unwritten`)).to.throw('more than 63 bits');
  });

  it('finds a value that is called fresh and is not the last one', () => {
    const lines = ['a 5 unwritten', 'wrote a 5.1', 'wrote a 5.2'];
    expect(heard(...lines, 'a - fresh 5.2').seen.fresh).to.equal(1);
    expect(() => heard(...lines, 'a - fresh 5.1')).to.throw('"5.1" is called fresh');
    expect(() => heard(...lines, 'a - fresh 5.3')).to.throw('"5.3" is called fresh');
    expect(() => heard(...lines, 'a 6 invalid 5.2', 'a 7 fresh 5.2')).to.throw('called fresh');
  });

  it('takes a later value where somebody was killed who may have written it, once, and no older one', () => {
    const unsure = (): Ledger => {
      const ledger = heard('a 5 unwritten', 'wrote a 5.1', 'wrote a 5.2');
      ledger.mayBeWritten('a');
      return ledger;
    };
    unsure().hear('a 9 fresh 5.2');
    unsure().hear('a 9 fresh 7.1');
    expect(() => unsure().hear('a 9 fresh 5.1')).to.throw('called fresh');
    const ledger = unsure();
    ledger.hear('a 9 fresh 7.1');
    expect(() => ledger.hear('a - fresh 7.2')).to.throw('called fresh');
  });

  it('finds an error that a service was told', () => {
    expect(() => heard('ERR_DLM_LOST')).to.throw('ERR_DLM_LOST');
  });
});
