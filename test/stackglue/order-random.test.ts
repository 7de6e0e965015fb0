/**
 * Random lives on the emulations, against the model of the order (test/order/model.ts): nodes come, leave and
 * die, locks go from the one to the other, and handlers are busy with more of that. STACKGLUE_EVENTS sets how
 * many events, for a long run by hand.
 */
import { randomUUID } from 'node:crypto';
import { constants } from 'node:os';
import { setImmediate as nextTurn } from 'node:timers/promises';

import {
  createEmulatedUserPlugin,
  createO2cbPlugin,
  DLM_LOCK,
  DlmLksb,
  killEmulatedUserNode,
  killO2cbNode,
  StackGlue,
  type ClusterConnection,
} from '../../lib/glue.js';
import { OrderModel } from '../order/model.js';
import { Random } from '../support/random.js';

const EVENTS = Number(process.env.STACKGLUE_EVENTS ?? 20_000);
/** Bursts of a life. */
const BURSTS = 50;
const NODES = [2, 3, 4, 5];
const GROUP = 'order';
const { EX } = DLM_LOCK;
const { ENOTCONN } = constants.errno;

/** What the stacks do not have in common. */
interface Stack {
  readonly name: string;
  readonly plugin: typeof createEmulatedUserPlugin;
  readonly kill: (node: number, cluster: string) => void;
}

const STACKS: readonly Stack[] = [
  { name: 'pcmk', plugin: createEmulatedUserPlugin, kill: killEmulatedUserNode },
  { name: 'o2cb', plugin: createO2cbPlugin, kill: killO2cbNode },
];

/** Another node, while it lives. */
interface Rival {
  readonly node: number;
  readonly glue: StackGlue;
  readonly connection: ClusterConnection;
}

/** A resource: its lock of node 1, and that of one rival. */
class Place {
  lksb = new DlmLksb();
  isOurs = false;
  isAsked = false;
  rival: Rival | undefined;
  rivalLksb = new DlmLksb();
  /** As the lock manager has it, whether or not anybody has been told. */
  has: 'nobody' | 'us' | 'them' = 'nobody';
  weWait = false;

  constructor(readonly name: string) {}
}

/** One life of node 1, which is told. */
class Life {
  readonly #stack: Stack;
  readonly #random: Random;
  readonly #model: OrderModel;
  readonly #cluster = randomUUID();
  readonly #glue = new StackGlue();
  #connection!: ClusterConnection;
  readonly #rivals = new Map<number, Rival>();
  readonly #places = Array.from({ length: 10 }, (_, number) => new Place(`r${number}`));
  readonly #mark = new Place('mark');
  /** Nodes that are on their way in or out, and what has gone and is still to be disconnected. */
  readonly #moving = new Set<number>();
  readonly #dead: Rival[] = [];
  /** Rivals' locks that they have been told to have. */
  readonly #granted = new WeakSet<DlmLksb>();
  #failure: Error | undefined;
  /** Nothing new happens. */
  #isQuiet = false;

  constructor(stack: Stack, random: Random, model: OrderModel) {
    this.#stack = stack;
    this.#random = random;
    this.#model = model;
  }

  async live(): Promise<void> {
    const { glue, connection } = await this.#connect(1, this.#model);
    this.#connection = connection;
    try {
      for (let burst = 0; burst < BURSTS; burst += 1) await this.#burst();
      if (this.#random.chance(0.5)) await this.#die();
    } finally {
      await glue.clusterDisconnect(connection);
      for (const rival of [...this.#dead, ...this.#rivals.values()]) {
        await rival.glue.clusterDisconnect(rival.connection);
      }
    }
  }

  async #connect(node: number, model?: OrderModel): Promise<Rival> {
    const glue = model === undefined ? new StackGlue() : this.#glue;
    glue.register(this.#stack.plugin({ node, cluster: this.#cluster }));
    glue.clusterStack = this.#stack.name;
    const told = (place: unknown, words: (place: Place) => string): void => {
      if (model !== undefined) this.#handle(() => this.#toldResult(place as Place, words));
    };
    const toldOfGroup = (kind: string, of?: number): void => {
      if (model !== undefined) this.#handle(() => model.toldOfGroup(kind, of));
    };
    glue.setLockingProtocol({
      maxVersion: { major: 1, minor: 0 },
      lockAst: (place) => {
        if (model === undefined) this.#granted.add(place as DlmLksb);
        told(place, ({ lksb }) => statusWords(glue.dlmLockStatus(lksb)));
      },
      blockingAst: () => undefined,
      unlockAst: (place, error) => told(place, () => statusWords(error, 'unlocked')),
    });
    const connection = await glue.clusterConnect({
      stackName: this.#stack.name,
      group: GROUP,
      recoveryHandler: (of) => toldOfGroup('down', of),
      noticeHandler: (notice) =>
        toldOfGroup(notice.kind, 'node' in notice ? notice.node : undefined),
    });
    return { node, glue, connection };
  }

  /** Until all that has come of it is told. */
  async #burst(): Promise<void> {
    for (let steps = this.#random.below(30); steps > 0; steps -= 1) {
      this.#step();
      if (this.#random.chance(0.1)) await nextTurn();
    }
    this.#isQuiet = true;
    await this.#until(() => this.#moving.size === 0);
    this.#ask(this.#mark);
    await this.#until(() => this.#mark.isOurs);
    this.#model.isSettled();
    this.#unlock(this.#mark);
    await this.#until(() => !this.#mark.isOurs);
    this.#isQuiet = false;
  }

  async #until(isSo: () => boolean): Promise<void> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure;
      if (isSo()) return;
      await nextTurn();
    }
  }

  /** The node itself dies: what is under way ends, in its order. */
  async #die(): Promise<void> {
    await this.#until(() => this.#moving.size === 0);
    for (const place of this.#places) if (!place.isAsked && !place.isOurs) this.#ask(place);
    this.#model.happened('removed');
    this.#stack.kill(1, this.#cluster);
    await this.#until(() => this.#model.isLost);
  }

  // ---- What happens ----

  /** All but the coming and going of nodes is done in the call, so also while a handler is busy. */
  #step(): void {
    const chance = this.#random.below(10);
    const place = this.#random.pick(this.#places);
    if (chance < 2) this.#move(this.#random.pick(NODES));
    else if (chance < 3) this.#kill(this.#someRival());
    else if (chance < 7) this.#useOurs(place);
    else this.#useTheirs(place);
  }

  #someRival(): Rival | undefined {
    const rivals = [...this.#rivals.values()];
    return rivals.length > 0 ? this.#random.pick(rivals) : undefined;
  }

  #useOurs(place: Place): void {
    if (place.isAsked) return;
    if (place.isOurs) this.#unlock(place);
    else this.#ask(place);
  }

  #ask(place: Place): void {
    place.isAsked = true;
    this.#model.asked(place.name);
    place.weWait = place.has === 'them';
    if (place.has !== 'them') this.#grant(place);
    this.#expect(this.#glue.dlmLock(this.#connection, EX, place.lksb, 0, place.name, place), 0);
  }

  #unlock(place: Place): void {
    place.isAsked = true;
    this.#model.asked(place.name);
    this.#happened(place, 'unlocked');
    place.has = place.rival === undefined ? 'nobody' : 'them';
    this.#expect(this.#glue.dlmUnlock(this.#connection, place.lksb, 0, place), 0);
  }

  #useTheirs(place: Place): void {
    if (place.rival !== undefined) {
      if (place.has === 'them') this.#letGo(place, place.rival);
      return;
    }
    const rival = this.#someRival();
    if (rival === undefined || this.#moving.has(rival.node)) return;
    place.rival = rival;
    if (place.has === 'nobody') place.has = 'them';
    place.rivalLksb = new DlmLksb();
    const { glue, connection } = rival;
    this.#expect(glue.dlmLock(connection, EX, place.rivalLksb, 0, place.name, place.rivalLksb), 0);
  }

  #letGo(place: Place, { glue, connection }: Rival): void {
    if (!this.#granted.has(place.rivalLksb)) return;
    this.#theyAreGone(place);
    this.#expect(glue.dlmUnlock(connection, place.rivalLksb, 0), 0);
  }

  #theyAreGone(place: Place): void {
    place.rival = undefined;
    if (place.weWait) this.#grant(place);
    else if (place.has === 'them') place.has = 'nobody';
  }

  #grant(place: Place): void {
    place.weWait = false;
    place.has = 'us';
    this.#happened(place, 'granted');
  }

  #kill(rival: Rival | undefined): void {
    if (rival === undefined || this.#moving.has(rival.node)) return;
    this.#rivals.delete(rival.node);
    this.#dead.push(rival);
    this.#changes(`failed ${rival.node} 0`);
    this.#recovered();
    for (const place of this.#places) {
      if (place.rival !== rival) continue;
      this.#theyAreGone(place);
    }
    this.#stack.kill(rival.node, this.#cluster);
  }

  /** In or out. */
  #move(node: number): void {
    // One at a time: who of two is first is not known here.
    if (this.#moving.size > 0) return;
    const rival = this.#rivals.get(node);
    if (rival !== undefined && this.#places.some((place) => place.rival === rival)) return;
    this.#moving.add(node);
    this.#changes(rival === undefined ? `joined ${node}` : `left ${node} 0`);
    const moved = rival === undefined ? this.#join(node) : this.#leave(rival);
    moved.then(
      () => {
        this.#moving.delete(node);
        this.#recovered();
      },
      (error: unknown) => (this.#failure = error as Error),
    );
  }

  async #join(node: number): Promise<void> {
    this.#rivals.set(node, await this.#connect(node));
  }

  async #leave({ node, glue, connection }: Rival): Promise<void> {
    this.#rivals.delete(node);
    await glue.clusterDisconnect(connection);
  }

  /** From now on it may be told, */
  #changes(fact: string): void {
    this.#model.happened(fact);
    this.#model.happened('recover');
  }

  /** and from now on it comes first. */
  #recovered(): void {
    if (this.#moving.size === 0) this.#model.happened('start');
  }

  #happened({ name }: Place, words: string): void {
    this.#model.happened(`result ${name} ${words}`);
  }

  // ---- What is told ----

  #toldResult(place: Place, words: (place: Place) => string): void {
    const said = words(place);
    place.isAsked = false;
    if (said === `${-ENOTCONN}`) {
      this.#model.toldEnd(place.name);
      return;
    }
    this.#model.toldResult(`result ${place.name} ${said}`);
    if (said === 'granted') place.isOurs = true;
    if (said === 'unlocked') place.isOurs = false;
  }

  /** A handler: it may be busy with what happens next. */
  #handle(tell: () => void): void {
    if (this.#failure !== undefined) return;
    try {
      tell();
      if (this.#isQuiet || this.#model.isOver || !this.#random.chance(0.3)) return;
      this.#model.wasBusy();
      for (let steps = this.#random.below(8); steps > 0; steps -= 1) this.#step();
    } catch (error) {
      this.#failure = error as Error;
    }
  }

  #expect(result: number, expected: number): void {
    if (result !== expected) throw new Error(`a request is refused: ${result}`);
  }
}

function statusWords(status: number, ifDone = 'granted'): string {
  return status === 0 ? ifDone : `${status}`;
}

for (const stack of STACKS) {
  describe(`random events on the emulation of ${stack.name}`, function () {
    this.slow(20_000);

    it('are told in the order of the model', async () => {
      const random = new Random();
      console.log(`      seed ${random.seed}`);
      const counts = OrderModel.newCounts();
      while (counts.members + counts.results + counts.busy < EVENTS) {
        await new Life(stack, random, new OrderModel(counts)).live();
      }
      console.log(`      ${OrderModel.report(counts, ['members', 'results', 'busy'])}`);
    });
  });
}
