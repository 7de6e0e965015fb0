/** The judge of tokens: what it must find, and what it must let pass, in histories that are made up. */
import { expect } from 'chai';

import { newTokenTally, TokenHistory, type Member } from './token-history.js';

/** A made-up process: it is there until `end()`. */
class Somebody {
  isThere = true;
  readonly member: Member;

  constructor(
    readonly history: TokenHistory,
    title: string,
    above?: bigint,
  ) {
    this.member = history.opened(title, () => this.isThere, above);
  }

  /** Asks, and is handed this at once. */
  has(token: bigint, name = 'a'): void {
    this.asks(name)(token);
  }

  /** What it is handed later. */
  asks(name = 'a'): (token: bigint) => void {
    const question = this.history.asks(this.member, name);
    return (token) => this.history.granted(question, token);
  }

  /** It ends as if killed. */
  end(): void {
    this.isThere = false;
  }

  leaves(): void {
    this.history.leaves(this.member);
  }
}

describe('the judge of tokens', () => {
  const ends = ['end', 'leaves'] as const;

  function people(promise: 'open' | 'store' = 'open', tally = newTokenTally()) {
    const history = new TokenHistory(promise, tally);
    const come = (title: string, above?: bigint): Somebody => new Somebody(history, title, above);
    return { come, tally };
  }

  it('takes tokens that grow', () => {
    const { come, tally } = people();
    const [one, other] = [come('one'), come('other')];
    one.has(1n);
    other.has(2n);
    one.has(2n ** 63n - 1n);
    expect(tally).to.include({ granted: 3, bound: 3, free: 0, late: 0 });
  });

  for (const token of [0n, -1n, 2n ** 63n]) {
    it(`finds what is no token: ${token}`, () => {
      expect(() => people().come('one').has(token)).to.throw(/is no token/);
    });
  }

  it('finds one that repeats, and one that falls', () => {
    for (const token of [5n, 4n]) {
      const { come } = people();
      const [one, other] = [come('one'), come('other')];
      one.has(5n);
      expect(() => other.has(token)).to.throw(
        `${token} of "a", for other (5 to 6) came after 5 of "a", for one (3 to 4)`,
      );
    }
  });

  it('keeps names apart', () => {
    const { come } = people();
    const one = come('one');
    one.has(5n);
    one.has(5n, 'b');
  });

  it('looks at grants that are not neighbours', () => {
    const { come } = people();
    const one = come('one');
    const waits = come('other').asks();
    one.has(5n);
    one.has(7n);
    expect(() => waits(6n)).to.throw(/came after 7/);
  });

  it('knows the order of two who waited at the same time', () => {
    const { come } = people();
    const [one, other] = [come('one').asks(), come('other').asks()];
    one(2n);
    expect(() => other(1n)).to.throw(/came after/);
  });

  for (const how of ends) {
    it(`takes somebody else's time in the lockspace for what binds: ${how}`, () => {
      const { come } = people();
      const one = come('one');
      come('witness');
      one.has(5n);
      one[how]();
      expect(() => come('other').has(5n)).to.throw(/came after/);
    });

    it(`takes one after the other for what binds: ${how}`, () => {
      const { come, tally } = people();
      const one = come('one');
      one.has(5n);
      const two = come('two');
      one[how]();
      const three = come('three');
      two[how]();
      expect(() => three.has(5n)).to.throw(/came after/);
      expect(tally).to.include({ passedOn: 1 });
    });

    it(`expects nothing when nobody had it open in between: ${how}`, () => {
      const { come, tally } = people();
      const [one, other] = [come('one'), come('other')];
      one.has(5n);
      one[how]();
      other[how]();
      come('new').has(1n);
      expect(tally).to.include({ bound: 0, free: 1 });
    });

    it(`expects it all the same with a store: ${how}`, () => {
      const { come, tally } = people('store');
      const one = come('one');
      one.has(5n);
      one[how]();
      expect(() => come('new').has(5n)).to.throw(/came after/);
      expect(tally).to.include({ acrossGaps: 1 });
    });
  }

  it('takes an open to begin when it has resolved, and not before', () => {
    const { come } = people();
    const one = come('one');
    one.has(5n);
    one.end();
    const late = come('late');
    late.has(1n);
    late.has(2n);
    expect(() => late.has(2n)).to.throw(/came after/);
  });

  it('finds what is not above what an open was told', () => {
    const { come } = people('store');
    const one = come('one', 7n);
    expect(() => one.has(7n)).to.throw(/not above 7, as one has it/);
    one.has(8n);
    const other = come('other');
    expect(() => other.has(7n, 'b')).to.throw(/not above 7/);
    one.end();
    expect(() => other.has(7n, 'b')).to.throw(/not above 7/);
  });

  it('forgets what an open was told when nobody is there any more', () => {
    const { come } = people();
    const one = come('one', 7n);
    one.end();
    come('other').has(3n);
  });

  describe('of what is handed out to those who are gone', () => {
    it('lets pass what may have been granted before or after', () => {
      const { come, tally } = people();
      const [one, other, third] = [come('one'), come('other'), come('third')];
      const [early, late] = [one.asks(), other.asks()];
      early(5n);
      third.leaves();
      other.leaves();
      late(4n);
      expect(tally).to.include({ granted: 2, late: 1, bound: 0, free: 0 });
    });

    it('finds one that was handed out before, whichever came first', () => {
      const { come } = people();
      const [one, other] = [come('one'), come('other')];
      const [early, late] = [one.asks(), other.asks()];
      early(5n);
      other.leaves();
      expect(() => late(5n)).to.throw(/was handed out before/);
    });

    it('knows that what was handed out in time after its end came later', () => {
      const { come } = people();
      const [one, other] = [come('one'), come('other')];
      const [late, question] = [one.asks(), other.asks()];
      one.leaves();
      question(5n);
      expect(() => late(6n)).to.throw(/5 of "a", for other .* came after 6/);
    });

    it('finds one that is above what can only have come later', () => {
      const { come } = people();
      const [one, other] = [come('one'), come('other')];
      const late = one.asks();
      one.leaves();
      other.has(5n);
      expect(() => late(6n)).to.throw(/5 of "a", for other .* came after 6/);
    });

    it('finds one that is below what it was asked for after', () => {
      const { come } = people();
      const [one, other] = [come('one'), come('other')];
      other.has(5n);
      const late = one.asks();
      one.leaves();
      expect(() => late(4n)).to.throw(/came after 5/);
    });

    it('finds what comes after it and is not above', () => {
      const { come } = people();
      const [one, other] = [come('one'), come('other')];
      const late = one.asks();
      one.leaves();
      late(6n);
      expect(() => other.has(6n)).to.throw(/came after/);
    });

    it('expects more of who waited at the same time, and is there', () => {
      const { come } = people();
      const [one, other] = [come('one'), come('other')];
      const [late, question] = [one.asks(), other.asks()];
      one.leaves();
      late(6n);
      expect(() => question(5n)).to.throw(/came after/);
    });
  });
});
