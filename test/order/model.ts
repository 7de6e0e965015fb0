/**
 * What the order of events has to be (native/README.md), as a program sees it: what has happened, in the order
 * in which it did, against what was told. It shares no code with the product, knows nothing of how the one
 * comes to the other, and so goes by no moment: each rule here holds however late something is seen.
 *
 * Facts are words, as the fake machine writes them down (test/fake-device/native/machine/journal.h):
 *
 * | fact                                              | what has happened                                  |
 * | ------------------------------------------------- | -------------------------------------------------- |
 * | `stop`, `recover`, `start`                        | the lockspace; members change between the first two |
 * | `failed N`, `joined N`                            | a node, and nobody has to be asked about it        |
 * | `vanished N MS`, `left N`                         | a node, and the keeper has to ask why it has gone  |
 * | `said N`, `disconnected N`, `quorum 0`            | what the keeper, or comms, tells of it             |
 * | `result LOCK STATUS`, `blocking LOCK MODE`        | of a lock, which has one request at a time         |
 * | `end`, `dropped N`                                | this node's own end                                |
 * | `removed`, `refused`                              | the lockspace is taken away; a request after that  |
 */

/** What events are of. */
const KINDS = ['members', 'state', 'results', 'keeper', 'busy'] as const;
type Kind = (typeof KINDS)[number];

const KIND_OF: Readonly<Record<string, Kind>> = {
  ...{ failed: 'members', vanished: 'members', left: 'members', joined: 'members' },
  ...{ stop: 'state', recover: 'state', start: 'state' },
  ...{ result: 'results', blocking: 'results' },
  ...{ said: 'keeper', disconnected: 'keeper', quorum: 'keeper' },
};

/** How long a cause is waited for, by the clock; then it was a leave. */
const CAUSE_MS = 5000;

/** What a program is to be told of a node. */
interface Change {
  readonly node: number;
  readonly kind: 'failed' | 'vanished' | 'left' | 'joined';
  /** When it happened, milliseconds of CLOCK_MONOTONIC. */
  readonly atMs: number;
  isTold: boolean;
}

/** What a lock is to be told. */
interface Result {
  readonly words: string;
  /** So many results were made before. */
  readonly number: number;
  /** So many of the changes have led to it. */
  changes: number;
}

const isDeath = ({ kind }: Change): boolean => kind === 'failed' || kind === 'vanished';
const needsAsking = ({ kind }: Change): boolean => kind === 'vanished' || kind === 'left';

/** One connection's life. Throws when what is told breaks a rule, by words that say which. */
export class OrderModel {
  /** Events, by kind; of several lives, if they share it. */
  readonly counts: Record<Kind, number>;
  #changes: Change[] = [];
  #firstUntold = 0;
  /** So many changes were there when a recovery began, and when one that has come to its end did. */
  #recovering = 0;
  #recovered = 0;
  readonly #results = new Map<string, Result[]>();
  #made = 0;
  #lastTold = -1;
  /** For each recovery: how many changes it began with. */
  #recoveries: number[] = [];
  /** For each start since all was told: how many changes have led to it. */
  #starts: number[] = [];
  #stops = 0;
  #toldStops = 0;
  #toldStarts = 0;
  #isStopped = false;
  #hasEnded = false;
  #isRemoved = false;
  #isLost = false;
  #toldQuorate = true;
  readonly #quorums: boolean[] = [];
  #refusals = 0;
  /** Locks whose request is under way. */
  readonly #asked = new Set<string>();

  constructor(counts = OrderModel.newCounts()) {
    this.counts = counts;
  }

  static newCounts(): Record<Kind, number> {
    return { members: 0, state: 0, results: 0, keeper: 0, busy: 0 };
  }

  /** How many, of which kinds; throws when one of `kinds` is less than a twentieth. */
  static report(counts: Record<Kind, number>, kinds: readonly Kind[] = KINDS): string {
    const sum = kinds.reduce((all, kind) => all + counts[kind], 0);
    const words = `${sum} events: ${kinds.map((kind) => `${kind} ${counts[kind]}`).join(', ')}`;
    for (const kind of kinds) {
      if (counts[kind] * 20 < sum) throw new Error(`too few of ${kind}: ${words}`);
    }
    return words;
  }

  get isLost(): boolean {
    return this.#isLost;
  }

  /** The locks are gone, whether or not this has been told. */
  get isOver(): boolean {
    return this.#isRemoved;
  }

  /** A request is under way. */
  get hasAsked(): boolean {
    return this.#asked.size > 0;
  }

  /** Whether the program has been told of all that the keeper has to say of the quorum. */
  get knowsQuorum(): boolean {
    return this.#toldQuorate === (this.#quorums.at(-1) ?? this.#toldQuorate);
  }

  // ---- What happens ----

  /** A fact. */
  happened(fact: string): void {
    const [verb = '', first = '', second = ''] = fact.split(' ');
    const kind = KIND_OF[verb];
    if (kind !== undefined) this.counts[kind] += 1;
    switch (verb) {
      case 'failed':
      case 'vanished':
      case 'left':
      case 'joined':
        this.#changes.push({
          node: Number(first),
          kind: verb,
          atMs: Number(second),
          isTold: false,
        });
        break;
      case 'stop':
        this.#stops += 1;
        break;
      case 'recover':
        this.#recovering = this.#changes.length;
        this.#recoveries.push(this.#recovering);
        break;
      case 'start':
        this.#recovered = this.#recovering;
        this.#starts.push(this.#recovered);
        break;
      case 'result':
      case 'blocking':
        this.#resultsOf(first).push({
          words: fact,
          number: this.#made,
          changes: this.#recovered,
        });
        this.#made += 1;
        break;
      case 'quorum':
        this.#quorums.push(first === '1');
        break;
      case 'refused':
        this.#refusals += 1;
        break;
      case 'end':
        this.#hasEnded = true;
        break;
      case 'removed':
        this.#hasEnded = this.#isRemoved = true;
        break;
    }
  }

  /** A handler was busy. */
  wasBusy(): void {
    this.counts.busy += 1;
  }

  /** A request of the lock was accepted. */
  asked(lock: string): void {
    this.#expect(!this.#asked.has(lock), `one request at a time, of ${lock}`);
    this.#asked.add(lock);
  }

  // ---- What is told ----

  /** The recovery handler or the notice handler, in the words of the glue; `down` is a death. */
  toldOfGroup(kind: string, node = 0): void {
    this.#expect(!this.#isLost, `nothing is told after the loss: ${kind} ${node}`);
    switch (kind) {
      case 'down':
      case 'memberLeft':
      case 'memberJoined':
        this.#toldOfNode(kind, node);
        break;
      case 'stopped':
        this.#expect(!this.#isStopped, 'two stops');
        this.#isStopped = true;
        this.#toldStops += 1;
        this.#expect(this.#toldStops <= this.#stops, 'a stop that was none');
        break;
      case 'resumed':
        this.#toldResumed();
        break;
      case 'quorumLost':
      case 'quorumRegained':
        this.#toldOfQuorum(kind === 'quorumRegained');
        break;
      case 'released':
      case 'killed':
        this.#expect(this.#isRemoved, 'a loss that was none');
        this.#expect(this.#asked.size === 0, 'the loss before the end of a request');
        this.#isLost = true;
        break;
      default:
        this.#expect(false, `told of ${kind}`);
    }
  }

  /**
   * What a lock is told, in the words of its fact. Blocking ASTs may be left out, so that it is the first fact
   * with these words.
   */
  toldResult(words: string): void {
    this.#expect(!this.#isLost, `nothing is told after the loss: ${words}`);
    const [verb, lock = ''] = words.split(' ');
    const results = this.#resultsOf(lock);
    let result = results.shift();
    while (result !== undefined && result.words !== words) {
      this.#expect(result.words.startsWith('blocking'), `${words} instead of ${result.words}`);
      result = results.shift();
    }
    if (result === undefined) throw new Error(`nothing that has happened: ${words}`);
    if (verb === 'result') this.#expect(this.#asked.delete(lock), `nobody asked for: ${words}`);
    this.#lastTold = result.number;
    this.#expectTold(result.changes, 'a grant before a change');
  }

  /** A request that has ended with -ENOTCONN. One that fs/dlm has refused does so when it was refused. */
  toldEnd(lock: string): void {
    this.#expect(!this.#isLost, 'nothing is told after the loss');
    this.#expect(this.#isRemoved, 'the end of a request without a loss');
    const [first] = this.#asked;
    if (first !== lock && this.#refusals > 0) {
      this.#refusals -= 1;
      this.#asked.delete(lock);
      return;
    }
    this.#expect(first === lock, `the end of ${lock} before that of ${first}`);
    this.#asked.delete(lock);
  }

  /**
   * When a result has been told since which nothing has happened but to locks, and the lockspace ran: all that
   * led to it has been told, and what follows has nothing to do with it.
   */
  isSettled(): void {
    this.#expectTold(this.#changes.length, 'a result before a change that was settled');
    this.#expect(!this.#isStopped, 'a result of a lockspace that is not told to run');
    for (const [lock, results] of this.#results) {
      while ((results[0]?.number ?? this.#made) < this.#lastTold) {
        const { words = '' } = results.shift() ?? {};
        this.#expect(words.startsWith('blocking'), `${words} of ${lock} is not told`);
      }
      for (const result of results) result.changes = 0;
    }
    this.#changes = [];
    this.#firstUntold = this.#recovering = this.#recovered = 0;
    this.#starts = [];
    this.#recoveries = [];
    this.#stops = this.#toldStops = this.#toldStarts = 0;
  }

  #resultsOf(lock: string): Result[] {
    const known = this.#results.get(lock);
    if (known !== undefined) return known;
    const results: Result[] = [];
    this.#results.set(lock, results);
    return results;
  }

  #toldOfNode(told: string, node: number): void {
    const words = `${told} ${node}`;
    const place = this.#placeOf(told, node);
    const change = this.#changes[place];
    if (change === undefined) {
      throw this.#wrong(
        `${told === 'down' ? 'the death of a living node' : 'no change'}: ${words}`,
      );
    }
    this.#expect(place < this.#recovering, `a change before its recovery: ${words}`);
    if (!this.#hasEnded && !isDeath(change)) this.#checkPassed(place, change, words);
    change.isTold = true;
    while (this.#changes[this.#firstUntold]?.isTold === true) this.#firstUntold += 1;
  }

  /** The node's next change, which it has to be; -1 where it is none. */
  #placeOf(told: string, node: number): number {
    const { length } = this.#changes;
    for (let place = this.#firstUntold; place < length; place += 1) {
      const change = this.#changes[place];
      if (change?.node !== node || change.isTold) continue;
      if (this.#isToldBy(told, change)) return place;
      // From this node's own end on some things are not told.
      if (this.#hasEnded) continue;
      if (told === 'memberJoined') {
        throw this.#wrong(`a join before a ${isDeath(change) ? 'death' : 'leave'}: node ${node}`);
      }
      return -1;
    }
    return -1;
  }

  #isToldBy(told: string, change: Change): boolean {
    if (told === 'memberJoined') return change.kind === 'joined';
    if (told === 'down') return isDeath(change);
    const isLate = change.kind === 'vanished' && this.#isOverdue(change);
    return change.kind === 'left' || isLate;
  }

  /** Its cause may be given up. */
  #isOverdue({ atMs }: Change): boolean {
    return Number(process.hrtime.bigint() / 1_000_000n) - atMs >= CAUSE_MS;
  }

  /** A leave or a join: what of other nodes is not told yet has to be what comes later. */
  #checkPassed(place: number, { node }: Change, words: string): void {
    // With its own death, if that is known before.
    const death = this.#changes.findIndex(
      (other, at) => at > place && other.node === node && !other.isTold && isDeath(other),
    );
    const end = this.#changes.length;
    for (let at = this.#firstUntold; at < end; at += 1) {
      const other = this.#changes[at];
      if (other?.isTold !== false || at === place) continue;
      // Nothing passes that, while it is asked about.
      if (at > place && (needsAsking(other) || death === at)) return;
      if (other.node === node) continue;
      if (at > place) {
        const isSeen = at < this.#recovering && !this.#startsBetween(place, at);
        const passes = isSeen && other.kind === 'failed';
        this.#expect(!passes, `another's join before a death: ${words}`);
      } else if (isDeath(other)) {
        const isLeave = other.kind === 'vanished' && this.#isOverdue(other);
        this.#expect(isLeave && death >= 0, `another's join before a death: ${words}`);
      } else {
        this.#expect(death >= 0, `a change before an earlier one: ${words}`);
      }
    }
  }

  /** Whether a recovery has begun between these two changes: the first may be told before the second is made. */
  #startsBetween(first: number, second: number): boolean {
    return this.#recoveries.some((changes) => changes > first && changes <= second);
  }

  #toldResumed(): void {
    this.#expect(this.#isStopped, 'two starts');
    this.#isStopped = false;
    // Stops that were too short are left out, so it is this start or a later one.
    const changes = this.#starts[this.#toldStarts];
    if (changes === undefined) throw this.#wrong('a start that was none');
    this.#toldStarts += 1;
    this.#expectTold(changes, 'resumed before a change');
  }

  #toldOfQuorum(isQuorate: boolean): void {
    this.#expect(isQuorate !== this.#toldQuorate, 'the same quorum twice');
    // Those that the keeper has not told of, because they were over, are left out.
    const place = this.#quorums.indexOf(isQuorate);
    this.#expect(place >= 0, 'a quorum that was none');
    this.#quorums.splice(0, place + 1);
    this.#toldQuorate = isQuorate;
  }

  /** The first so many changes have been told, but for those that this node's own end has overtaken. */
  #expectTold(changes: number, otherwise: string): void {
    this.#expect(this.#hasEnded || this.#firstUntold >= changes, otherwise);
  }

  #expect(isSo: boolean, otherwise: string): void {
    if (!isSo) throw this.#wrong(otherwise);
  }

  #wrong(what: string): Error {
    const untold = this.#changes.slice(this.#firstUntold).map(({ kind, node, isTold }) => {
      return `${kind} ${node}${isTold ? ' (told)' : ''}`;
    });
    return new Error(`${what}; not told: ${untold.join(', ') || 'nothing'}`);
  }
}
