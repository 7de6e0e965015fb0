/**
 * What a connection is told, by random, against the model of the order (test/order/model.ts): members come and
 * go, the lockspace stops and runs, locks are granted, refused and in the way, the keeper says late why a node
 * has gone, and handlers are busy until more of that has happened. `submit seed events`: lives of connections
 * until there were so many events. Prints how many of each kind there were; throws when a rule is broken.
 *
 * A lock that is always held is in somebody's way after each plan. That is told to a handler which is busy until
 * the next part has been done, several times over, so that the share of these does not rest on the host's speed.
 * When the last is told, all before it has been.
 */
import { constants } from 'node:os';
import { setImmediate as nextTurn } from 'node:timers/promises';

import {
  createUserPlugin,
  DLM_LKF,
  DLM_LOCK,
  DlmLksb,
  StackGlue,
  type ClusterConnection,
  type UserStackOptions,
} from '../../../lib/glue.js';
import { OrderModel } from '../../order/model.js';
import { Random } from '../../support/random.js';
import { Journal } from '../journal.js';
import { MachineControl } from '../machine.js';
import { Planner } from './order-plan.js';

const [submit = 'thread', seed = '0', events = '5000'] = process.argv.slice(2);
const folder = process.env.STACKGLUE_FAKE_MACHINE ?? '';
const random = new Random(Number(seed));
const machine = await MachineControl.open(folder);

const GROUP = 'order';
const MARK = 'mark';
const LOCKS = Array.from({ length: 12 }, (_, number) => `r${number}`);
const PLANS = 40;
/** Parts after each plan, each of which a busy handler waits for. */
const CHAIN = 12;
/** What the lock is in the way of: there is another part, or it was the last. */
const [NEXT, LAST] = [DLM_LOCK.EX, DLM_LOCK.PR];
const { PR, EX } = DLM_LOCK;
const { CONVERT, NOQUEUE } = DLM_LKF;
const { ENOTCONN } = constants.errno;
/** With this submitter the loop waits in a call while the lockspace is stopped. */
const RUNS = submit === 'loop';

const counts = OrderModel.newCounts();
function total(): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

/** Rings that were told of. */
let ringsTold = 0;

/** One lock with one request at a time. */
class Lock {
  readonly lksb = new DlmLksb();
  isHeld = false;
  isBusy = false;

  constructor(readonly name: string) {}
}

/** One connection, from its beginning to its end. */
class Life {
  readonly #glue = new StackGlue();
  readonly #model = new OrderModel(counts);
  readonly #locks = LOCKS.map((name) => new Lock(name));
  readonly #mark = new Lock(MARK);
  readonly #planner = new Planner(random, GROUP, LOCKS);
  #connection!: ClusterConnection;
  #journal!: Journal;
  #parts: string[][] = [];
  #chained = 0;
  #notes = 0;
  #notesSeen = 0;
  #marksTold = 0;
  #isRemoved = false;
  #isCalm = false;
  #ring = 0n;

  async live(ending: 'settled' | 'removed' | 'ended'): Promise<void> {
    await this.#connect();
    for (let plan = 0; plan < PLANS && total() < Number(events); plan += 1) {
      this.#parts = this.#planner.plan(40 + random.below(80), RUNS);
      this.#parts.push([`block ${GROUP} ${MARK} ${NEXT}`]);
      this.#chained = CHAIN;
      const marks = this.#marksTold + 1;
      await this.#act(() => this.#marksTold === marks);
    }
    if (ending === 'settled') await this.#settle();
    else await this.#lose(ending === 'ended');
    await this.#glue.clusterDisconnect(this.#connection);
    this.#journal.close();
  }

  async #connect(): Promise<void> {
    this.#glue.register(createUserPlugin({ submit } as UserStackOptions));
    this.#glue.clusterStack = 'pcmk';
    this.#glue.setLockingProtocol({
      maxVersion: { major: 1, minor: 0 },
      lockAst: (lock) => this.#toldStatus(lock as Lock),
      blockingAst: (lock, level) => this.#toldBlocking(lock as Lock, level),
      unlockAst: (lock, error) => this.#toldStatus(lock as Lock, error),
    });
    this.#connection = await this.#glue.clusterConnect({
      stackName: 'pcmk',
      group: GROUP,
      recoveryHandler: (node, _, ring) => {
        this.#toldRing(ring);
        this.#toldOfGroup('down', node);
      },
      noticeHandler: (notice) => {
        if ('ring' in notice) this.#toldRing(notice.ring);
        this.#toldOfGroup(notice.kind, 'node' in notice ? notice.node : undefined);
      },
    });
    await machine.tell(`journal ${GROUP}`);
    this.#journal = new Journal(folder);
    this.#ask(this.#mark);
    while (!this.#mark.isHeld) await nextTurn();
    await machine.tellAll(LOCKS.map((lock) => `rule ${GROUP} ${lock} wait`));
  }

  /** It is the one that can be read, and never goes down. */
  #toldRing(ring: bigint | undefined): void {
    const read = this.#glue.clusterMembership(this.#connection)?.ring;
    if (read !== ring) throw new Error(`ring ${ring} is told, and ${read} read`);
    if (ring === undefined) return;
    if (ring < this.#ring) throw new Error(`ring ${ring} after ${this.#ring}`);
    this.#ring = ring;
    ringsTold += 1;
  }

  // ---- What the program does ----

  /** Until something has come about. */
  async #act(isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      if (random.chance(0.3)) this.#beginPart();
      for (let acts = random.below(4); acts > 0; acts -= 1) this.#ask(random.pick(this.#locks));
      await nextTurn();
    }
  }

  #beginPart(): void {
    const commands = this.#parts.shift();
    if (commands === undefined) return;
    this.#notes += 1;
    // A refusal is an error that nobody handles.
    void machine.tellAll([...commands, `note ${GROUP} ${this.#notes}`]);
  }

  /** The next request of a lock that has none under way. */
  #ask(lock: Lock): void {
    if (lock.isBusy || this.#isCalm || this.#model.isLost) return;
    const mode = random.pick([PR, EX]);
    const unlocks = lock.isHeld && random.chance(0.5);
    const flags = lock.isHeld ? CONVERT | random.pick([0, NOQUEUE]) : 0;
    this.#request(lock, () =>
      unlocks
        ? this.#glue.dlmUnlock(this.#connection, lock.lksb, 0, lock)
        : this.#glue.dlmLock(this.#connection, mode, lock.lksb, flags, lock.name, lock),
    );
  }

  /** One that is refused comes when the lockspace is lost, and this has not been told yet. */
  #request(lock: Lock, request: () => number): void {
    const result = request();
    if (result === -ENOTCONN) return;
    if (result !== 0) throw new Error(`a request of ${lock.name} is refused: ${result}`);
    this.#model.asked(lock.name);
    lock.isBusy = true;
  }

  /** A handler that is busy until the next part has been done. */
  #mayBeBusy(): void {
    if (this.#isCalm || this.#parts.length === 0 || !random.chance(0.6)) return;
    this.#beBusy();
  }

  #beBusy(): void {
    this.#model.wasBusy();
    this.#beginPart();
    while (this.#notesSeen < this.#notes && !this.#isRemoved) this.#read();
  }

  // ---- What it is told ----

  #read(): void {
    for (const fact of this.#journal.read()) {
      if (fact.startsWith('note')) this.#notesSeen += 1;
      else this.#model.happened(fact);
      this.#isRemoved ||= fact === 'removed';
    }
  }

  #toldOfGroup(kind: string, node?: number): void {
    this.#read();
    this.#model.toldOfGroup(kind, node);
    this.#mayBeBusy();
  }

  #toldBlocking(lock: Lock, level: number): void {
    this.#read();
    this.#model.toldResult(`blocking ${lock.name} ${level}`);
    if (lock !== this.#mark) {
      this.#mayBeBusy();
    } else if (level === LAST) {
      this.#model.isSettled();
      this.#marksTold += 1;
    } else {
      this.#chained -= 1;
      const mark = this.#chained > 0 ? NEXT : LAST;
      this.#parts.push([...this.#planner.part(), `block ${GROUP} ${MARK} ${mark}`]);
      this.#beBusy();
    }
  }

  #toldStatus(lock: Lock, error = 0): void {
    this.#read();
    const status = error === 0 ? this.#glue.dlmLockStatus(lock.lksb) : error;
    lock.isBusy = false;
    if (status === -ENOTCONN) {
      this.#model.toldEnd(lock.name);
      return;
    }
    this.#model.toldResult(`result ${lock.name} ${status}`);
    // All but a refusal, which leaves a conversion's lock as it was.
    if (status === 0) lock.isHeld = true;
    else if (status < -0xffff) lock.isHeld = false;
    this.#mayBeBusy();
    if (random.chance(0.7) && lock !== this.#mark) this.#ask(lock);
  }

  // ---- How it ends ----

  /** Nothing may be left that is not told. */
  async #settle(): Promise<void> {
    this.#isCalm = true;
    await machine.tell('calm');
    const all = [...this.#locks, this.#mark];
    for (;;) {
      while (all.some(({ isBusy }) => isBusy)) await nextTurn();
      const held = all.filter(({ isHeld }) => isHeld);
      for (const lock of held) {
        this.#request(lock, () => this.#glue.dlmUnlock(this.#connection, lock.lksb, 0, lock));
      }
      if (held.length === 0) break;
    }
    this.#read();
    while (!this.#model.knowsQuorum) await nextTurn();
  }

  /** In the middle of what happens. */
  async #lose(hasEnd: boolean): Promise<void> {
    this.#parts = this.#planner.plan(40, RUNS);
    this.#parts.length = random.below(this.#parts.length);
    this.#parts.push(...this.#planner.ending(hasEnd));
    await this.#act(() => this.#model.isLost);
    await machine.tell('calm');
  }
}

while (total() < Number(events)) {
  await new Life().live(random.pick(['settled', 'removed', 'ended']));
}
machine.close();
console.log(`${OrderModel.report(counts)}; ${ringsTold} rings`);
