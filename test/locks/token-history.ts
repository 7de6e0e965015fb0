/**
 * Who was handed which token, and in which order the lock manager must have granted them. It knows nothing of blocks,
 * rings or sequencers: only when somebody began to wait, when a token was handed out, and who was there meanwhile.
 *
 * What is certain of the order, with all that happens counted as 1, 2, 3 ...:
 * 1. A grant is made after it was asked for, and before it is handed out; also before its member is gone, since
 *    nothing is granted to those who are not there. So if that was over before another one was asked for, it was first.
 * 2. Who is there when a grant is handed out to it has held the lock since it was granted. PW and EX exclude each other,
 *    so nobody else was granted one in between: all that had been granted by then was granted before.
 */

/** A process's time in the lockspace: from the end of its open to the moment when the cluster knows it no more. */
export class Member {
  readonly title: string;
  readonly opened: number;
  /** Its open said that all tokens are to be above this. */
  readonly above: bigint | undefined;
  readonly runs: () => boolean;
  /** When it was found gone, or said so; what happened before that, happened while it was there. */
  gone: number | undefined;

  constructor(title: string, opened: number, above: bigint | undefined, runs: () => boolean) {
    this.title = title;
    this.opened = opened;
    this.above = above;
    this.runs = runs;
  }
}

/** What a member asks for: a lock, or another mode. */
export interface Question {
  readonly member: Member;
  readonly name: string;
  readonly asked: number;
}

/** A grant of PW or EX. It was made between `asked` and `until`. */
interface Grant extends Question {
  readonly token: bigint;
  readonly until: number;
  /** Its member was there when it was handed out. */
  readonly isTimely: boolean;
}

/** By what a grant is bound to be above an earlier one. */
export type TokenPromise =
  /** Since then there has always been somebody who had the lockspace open. */
  | 'open'
  /** Besides, whoever finds it empty is told by a store that has seen all that was handed out in time. */
  | 'store';

/** How much of what was judged. */
export interface TokenTally {
  granted: number;
  /** Pairs of grants of a name, the earlier one of which the later one had to be above. */
  bound: number;
  /** Those among whom no one process was there all the time, but one after the other was. */
  passedOn: number;
  /** Those between which nobody had the lockspace open, so that the promise is the store's. */
  acrossGaps: number;
  /** Pairs to which no promise applies. */
  free: number;
  /** Handed out to those who were gone by then. */
  late: number;
}

export const newTokenTally = (): TokenTally => ({
  granted: 0,
  bound: 0,
  passedOn: 0,
  acrossGaps: 0,
  free: 0,
  late: 0,
});

const LIMIT = 2n ** 63n;

/** The judge of one simulation. What is wrong it throws. */
export class TokenHistory {
  readonly #promise: TokenPromise;
  readonly #tally: TokenTally;
  readonly #members: Member[] = [];
  readonly #here = new Set<Member>();
  readonly #grants = new Map<string, Grant[]>();
  #now = 0;
  /** When nobody was there for the last time. */
  #empty = 0;

  constructor(promise: TokenPromise, tally: TokenTally = newTokenTally()) {
    this.#promise = promise;
    this.#tally = tally;
  }

  /** An open has resolved. `runs` tells, at any time, whether the cluster still knows the process. */
  opened(title: string, runs: () => boolean, above?: bigint): Member {
    const member = new Member(title, this.#next(), above, runs);
    this.#members.push(member);
    this.#here.add(member);
    return member;
  }

  /** It is about to leave, or its lockspace is about to be taken away. */
  leaves(member: Member): void {
    const now = this.#next();
    member.gone ??= now;
    this.#here.delete(member);
    if (this.#here.size === 0) this.#empty = now;
  }

  /** Whether the cluster knows it. */
  isHere(member: Member): boolean {
    this.#next();
    return member.gone === undefined;
  }

  /** Somebody is told that nobody has the lockspace open. */
  isEmptyFor(title: string): void {
    this.#next();
    const [other] = this.#here;
    if (other === undefined) return;
    throw new Error(`${title} is told that it is alone, and ${other.title} is there`);
  }

  /** It is about to ask for PW or EX. */
  asks(member: Member, name: string): Question {
    return { member, name, asked: this.#next() };
  }

  /** It has been handed the token that it has asked for. */
  granted(question: Question, token: bigint): void {
    const now = this.#next();
    const { member, name } = question;
    const isTimely = member.gone === undefined;
    const grant: Grant = { ...question, token, until: member.gone ?? now, isTimely };
    this.#tally.granted += 1;
    if (!isTimely) this.#tally.late += 1;
    if (typeof token !== 'bigint' || token <= 0n || token >= LIMIT) {
      throw new Error(`${words(grant)} is no token`);
    }
    this.#checkFloors(grant);
    const grants = this.#grants.get(name) ?? [];
    for (const other of grants) this.#checkPair(other, grant);
    grants.push(grant);
    this.#grants.set(name, grants);
  }

  /** Counts what happens, and looks who is there no more. */
  #next(): number {
    this.#now += 1;
    for (const member of this.#here) {
      if (member.runs()) continue;
      member.gone = this.#now;
      this.#here.delete(member);
      if (this.#here.size === 0) this.#empty = this.#now;
    }
    return this.#now;
  }

  /** What opens were told to be above binds all that comes as long as somebody is there. */
  #checkFloors(grant: Grant): void {
    for (const member of this.#members) {
      const { above } = member;
      if (above === undefined || grant.token > above || member.opened > grant.asked) continue;
      const isOn = grant.isTimely ? member.opened > this.#empty : isThere(member, grant, grant);
      if (isOn) throw new Error(`${words(grant)} is not above ${above}, as ${member.title} has it`);
    }
  }

  #checkPair(one: Grant, other: Grant): void {
    const [first, second] = one.until < other.until ? [one, other] : [other, one];
    if (second.isTimely || first.until < second.asked) this.#checkOrder(first, second);
    else this.#checkRepeat(first, second);
  }

  /** Of two, of which nobody knows which was the earlier one. */
  #checkRepeat(one: Grant, other: Grant): void {
    if (one.token !== other.token) return;
    const isBound = this.#members.some(
      (member) => isThere(member, one, other) && isThere(member, other, one),
    );
    if (isBound) throw new Error(`${words(other)} was handed out before: ${words(one)}`);
  }

  #checkOrder(earlier: Grant, later: Grant): void {
    if (!this.#isBound(earlier, later)) {
      this.#tally.free += 1;
      return;
    }
    this.#tally.bound += 1;
    if (later.token > earlier.token) return;
    throw new Error(`${words(later)} came after ${words(earlier)}`);
  }

  #isBound(earlier: Grant, later: Grant): boolean {
    if (this.#members.some((member) => isThere(member, earlier, later))) return true;
    if (later.isTimely && earlier.asked > this.#empty) {
      this.#tally.passedOn += 1;
      return true;
    }
    if (this.#promise !== 'store' || !earlier.isTimely || !later.isTimely) return false;
    this.#tally.acrossGaps += 1;
    return true;
  }
}

/** From before the one was asked for until after the other one was granted. */
function isThere({ opened, gone }: Member, from: Grant, to: Grant): boolean {
  return opened <= from.asked && (gone === undefined || gone > to.until);
}

function words({ name, token, member, asked, until }: Grant): string {
  return `${token} of "${name}", for ${member.title} (${asked} to ${until})`;
}
