/**
 * Programs that come and go, and lock with tokens, while all that can fail does; and a store that is written to. What must
 * hold is judged from outside: by the history of tokens (token-history.ts) and that of values (value-history.ts).
 */
import { DlmError, type Lock, type Lockspace, type Mode } from '../../lib/index.js';
import {
  explore,
  type ExploreOptions,
  type NodeContext,
  type SimulatedNode,
  type SimulatedProcess,
  type Simulation,
} from '../../lib/simulator/index.js';
import { openAgain } from './open-again.js';
import {
  newTokenTally,
  TokenHistory,
  type Member,
  type Question,
  type TokenPromise,
  type TokenTally,
} from './token-history.js';
import { newValueTally, ValueHistory, type ValueTally } from './value-history.js';

const LOCKSPACE = 'tokens';
const NAMES = ['a', 'b', 'c'] as const;
const NODES = [1, 2, 3];
/** Those of them that have processes beside. */
const SHARED = 2;
/** The node that stays, where one does, and that nothing happens to. */
const WITNESS = 4;

/** All milliseconds. When failures begin, how long programs begin something new, and when all must be well. */
const CHAOS_MS = 90;
const WORK_MS = 150;
const HEALED_MS = 1500;
const CHECK_MS = 3000;
/** How long an open may take, a few of which are in each other's way. */
const OPEN_MS = 60;
/** After how long a process is started in place of one that has ended. */
const RESTART_MS = 15;

type Name = (typeof NAMES)[number];

/** Failures that a program has to expect. */
const EXPECTED: readonly string[] = [
  'ERR_DLM_TIMEOUT',
  'ERR_DLM_LOST',
  'ERR_DLM_CLOSED',
  'ERR_DLM_DEADLOCK',
];

/**
 * What keeps tokens growing. `anybody`: as long as somebody is there. `witness`: one process stays. `store`: nobody
 * does, but all say what the store has seen.
 */
export type Keeper = 'anybody' | 'witness' | 'store';

/** What can happen beside grants. */
const EVENTS = [
  // Failures that began.
  'kill',
  'partition',
  'pause',
  'loseQuorum',
  'loseDaemon',
  'release',
  'end',
  // What programs did and were told.
  'opened',
  'openFailed',
  'empty',
  'closed',
  'closedHolding',
  'lost',
  'stopped',
  'unsure',
  'timeout',
  'refusedByStore',
] as const;

/** How often what was seen. */
export interface ServiceTally {
  readonly tokens: TokenTally;
  readonly values: ValueTally;
  readonly events: Record<(typeof EVENTS)[number], number>;
}

export const newServiceTally = (): ServiceTally => ({
  tokens: newTokenTally(),
  values: newValueTally(),
  events: Object.fromEntries(EVENTS.map((event) => [event, 0])) as ServiceTally['events'],
});

/** Refuses who comes with a token that is below one that it has seen. */
class Store {
  readonly #seen = new Map<string, bigint>();
  highest = 0n;

  write(name: string, token: bigint): boolean {
    if (token < (this.#seen.get(name) ?? 0n)) return false;
    this.#seen.set(name, token);
    if (token > this.highest) this.highest = token;
    return true;
  }
}

/** One simulation. */
class World {
  readonly store = new Store();
  readonly tokens: TokenHistory;
  readonly values: ValueHistory;
  /** Who is there, by node, for those from whom it is taken away. */
  readonly members = new Map<Member, number>();
  /** How often somebody was told that a node has died or left. */
  departures = 0;

  constructor(
    readonly simulation: Simulation,
    readonly keeper: Keeper,
    readonly tally: ServiceTally,
  ) {
    const promise: TokenPromise = keeper === 'store' ? 'store' : 'open';
    this.tokens = new TokenHistory(promise, tally.tokens);
    this.values = new ValueHistory(tally.values, () => this.departures);
  }
}

/** A lockspace while a program has it open. */
interface Session {
  readonly lockspace: Lockspace;
  readonly member: Member;
}

/** What locks: one of a session's workers. */
class Worker {
  readonly #world: World;
  readonly #node: NodeContext;
  readonly #session: Session;
  readonly #modes: readonly Mode[];
  readonly #tokens = new WeakMap<Lock, bigint>();

  constructor(world: World, node: NodeContext, session: Session) {
    this.#world = world;
    this.#node = node;
    this.#session = session;
    this.#modes =
      world.simulation.profile === 'o2dlm'
        ? ['EX', 'EX', 'PR', 'NL']
        : ['EX', 'EX', 'PW', 'PR', 'CW', 'NL'];
  }

  async work(rounds: number): Promise<void> {
    for (let round = 0; round < rounds && this.#goesOn; round += 1) {
      try {
        await this.#once();
      } catch (error) {
        this.#expect(error);
      }
      await this.#node.sleep(this.#below(4));
    }
  }

  /** The last look, when all is well: whoever asks is served. */
  async check(): Promise<void> {
    for (const name of NAMES) await (await this.#lock(name, 'EX', 5000)).release();
  }

  get #goesOn(): boolean {
    return this.#node.now() < WORK_MS && this.#session.lockspace.health.state !== 'lost';
  }

  #below(limit: number): number {
    return Math.floor(this.#node.random() * limit);
  }

  #pick<Item>(items: readonly Item[]): Item {
    return items[this.#below(items.length)] as Item;
  }

  #expect(error: unknown): void {
    if (!isExpected(error)) throw error;
    if (error.code === 'ERR_DLM_TIMEOUT') this.#world.tally.events.timeout += 1;
  }

  async #once(): Promise<void> {
    const name = this.#pick(NAMES);
    const mode = this.#pick(this.#modes);
    const timeoutMs = this.#pick([5, 60, 400]);
    const lock = await this.#lock(name, mode, timeoutMs);
    try {
      for (let step = this.#below(4); step > 0; step -= 1) await this.#step(lock, name);
    } finally {
      // Who writes at the end, however long that took.
      this.#write(lock, name);
      await this.#writing(lock, name, () => lock.release());
    }
  }

  async #lock(name: Name, mode: Mode, timeoutMs: number): Promise<Lock> {
    // Who only reads has the value, so that the judge hears of all that was called invalid.
    const value = !writes(mode) || this.#below(3) > 0;
    const { lockspace, member } = this.#session;
    const question = this.#world.tokens.asks(member, name);
    const lock = await lockspace.lock(name, mode, { value, timeoutMs });
    if (value) withValue.add(lock);
    if (writes(mode)) this.#hasToken(lock, question);
    this.#look(lock, name);
    return lock;
  }

  async #convert(lock: Lock, name: Name, mode: Mode): Promise<void> {
    const question = this.#world.tokens.asks(this.#session.member, name);
    const isDown = mode === 'NL' || (mode === 'PR' && writes(lock.mode));
    // Nobody is in the way of who gives up.
    const limit = isDown ? {} : { timeoutMs: this.#pick([10, 100]) };
    await this.#writing(lock, name, () => lock.convert(mode, limit));
    if (isDown) return;
    if (writes(mode)) this.#hasToken(lock, question);
    this.#look(lock, name);
  }

  async #step(lock: Lock, name: Name): Promise<void> {
    await this.#node.sleep(this.#below(3));
    if (!writes(lock.mode)) {
      return this.#convert(lock, name, lock.mode === 'NL' ? this.#pick(['PR', 'EX']) : 'EX');
    }
    switch (this.#below(6)) {
      case 0:
        if (!hasValue(lock)) return undefined;
        this.#world.values.change(lock);
        return this.#writing(lock, name, () => lock.writeValue());
      case 1:
        return this.#convert(lock, name, 'PR');
      case 2:
        return this.#convert(lock, name, 'NL');
      case 3:
        if (!this.#modes.includes('PW')) return undefined;
        return this.#convert(lock, name, lock.mode === 'PW' ? 'EX' : 'PW');
      default:
        if (hasValue(lock)) this.#world.values.change(lock);
        return undefined;
    }
  }

  #writing(lock: Lock, name: Name, write: () => Promise<void>): Promise<void> {
    return hasValue(lock) ? this.#world.values.writing(lock, name, write) : write();
  }

  #look(lock: Lock, name: Name): void {
    const { member } = this.#session;
    // Who is gone, and does not know it, may read what was there then.
    if (hasValue(lock) && this.#world.tokens.isHere(member)) {
      this.#world.values.look(lock, name, member.title);
    }
  }

  #hasToken(lock: Lock, question: Question): void {
    this.#world.tokens.granted(question, lock.token);
    this.#tokens.set(lock, lock.token);
    this.#write(lock, question.name);
  }

  /** With the token that it was given last, whether or not it still has the lock. */
  #write(lock: Lock, name: string): void {
    const token = this.#tokens.get(lock);
    if (token === undefined || this.#world.store.write(name, token)) return;
    this.#world.tally.events.refusedByStore += 1;
  }
}

function writes(mode: Mode): boolean {
  return mode === 'EX' || mode === 'PW';
}

const withValue = new WeakSet<Lock>();

function hasValue(lock: Lock): boolean {
  return withValue.has(lock);
}

function isExpected(error: unknown): error is DlmError {
  return error instanceof DlmError && EXPECTED.includes(error.code);
}

/** So that blocks outlive their users sometimes. */
async function pin(lockspace: Lockspace): Promise<void> {
  for (const outcome of await Promise.allSettled(NAMES.map((name) => lockspace.pin(name)))) {
    if (outcome.status === 'rejected' && !isExpected(outcome.reason)) throw outcome.reason;
  }
}

async function all(works: readonly Promise<void>[]): Promise<void> {
  await Promise.all(works);
}

/** A program in one life of a node or a process: it opens the lockspace and closes it, again and again. */
class Program {
  readonly #world: World;
  readonly #node: NodeContext;
  readonly #title: string;
  readonly #runs: () => boolean;
  #session: Session | undefined;
  #opens = 0;
  readonly #over: Promise<void>;

  constructor(world: World, node: NodeContext, title: string, runs: () => boolean) {
    this.#world = world;
    this.#node = node;
    this.#title = title;
    this.#runs = runs;
    this.#over = this.#live();
    // Nobody waits for it before the end. What a dead node's code does is nobody's concern.
    this.#over.catch((error: unknown) => {
      if (runs()) world.simulation.fail(error);
    });
  }

  async #live(): Promise<void> {
    const { events } = this.#world.tally;
    await this.#node.sleep(this.#below(10));
    while (this.#node.now() < WORK_MS) {
      const session = await this.#open();
      const holds = this.#below(4) === 0;
      if (this.#below(3) === 0) await pin(session.lockspace);
      const rounds = this.#below(3) === 0 ? Infinity : 1 + this.#below(6);
      const works = Array.from({ length: 1 + this.#below(2) }, () =>
        new Worker(this.#world, this.#node, session).work(rounds),
      );
      await (holds ? Promise.race(works) : all(works));
      // Where its node is fenced it hears of that, too, and nobody cares.
      if (session.lockspace.health.state === 'lost') events.lost += this.#runs() ? 1 : 0;
      // Who is there at the end stays: nobody knows when all of them are.
      else if (this.#node.now() >= WORK_MS) return all(works);
      else events[holds ? 'closedHolding' : 'closed'] += 1;
      await this.#close(session);
      await all(works);
      await this.#node.sleep(this.#below(12));
    }
  }

  #below(limit: number): number {
    return Math.floor(this.#node.random() * limit);
  }

  async #open(): Promise<Session> {
    const { tokens, store, tally, keeper, members } = this.#world;
    const { events } = tally;
    let above: bigint | undefined;
    const find = async (): Promise<bigint> => {
      tokens.isEmptyFor(this.#title);
      events.empty += 1;
      // Nobody can make it untrue while it is on its way.
      above = store.highest;
      await this.#node.sleep(this.#below(3));
      return above;
    };
    const options = () => {
      above = undefined;
      const common = { tokens: true, timeoutMs: OPEN_MS };
      if (keeper === 'store') return { ...common, tokensAbove: find };
      if (keeper === 'witness') return { ...common, tokensAbove: store.highest };
      return common;
    };
    const onFailure = (): void => void (events.openFailed += 1);
    const lockspace = await openAgain(LOCKSPACE, this.#node, onFailure, options);
    this.#opens += 1;
    events.opened += 1;
    const title = `${this.#title}, open ${this.#opens}`;
    const member = tokens.opened(title, this.#runs, above);
    members.set(member, this.#node.number);
    lockspace.on('health', ({ state }) => {
      if (state === 'stopped' || state === 'unsure') events[state] += 1;
    });
    for (const event of ['memberLeft', 'memberFailed'] as const) {
      lockspace.on(event, () => (this.#world.departures += 1));
    }
    return (this.#session = { lockspace, member });
  }

  async #close({ lockspace, member }: Session): Promise<void> {
    this.#session = undefined;
    this.#world.tokens.leaves(member);
    await lockspace.close();
  }

  async check(): Promise<void> {
    await this.#over;
    if (this.#session?.lockspace.health.state === 'lost') await this.#close(this.#session);
    const session = (this.#session ??= await this.#open());
    await new Worker(this.#world, this.#node, session).check();
  }
}

/** Counts the failures, and has the judge know whose lockspace is taken away. */
function watch(node: SimulatedNode, world: World): void {
  const { events } = world.tally;
  for (const what of ['kill', 'partition', 'pause', 'loseQuorum', 'loseDaemon'] as const) {
    const fail = node[what].bind(node);
    node[what] = () => {
      events[what] += 1;
      fail();
    };
  }
  const release = node.release.bind(node);
  node.release = (group) => {
    release(group);
    events.release += 1;
    for (const [member, number] of world.members) {
      if (number === node.number) world.tokens.leaves(member);
    }
  };
}

function startNode(world: World, number: number): SimulatedNode {
  const { simulation } = world;
  const node: SimulatedNode = simulation.node(number, {
    program: (context) => {
      const itself = simulation.node(number);
      const runs = (): boolean => itself.state !== 'down' && itself.context === context;
      const program = new Program(world, context, `node ${number}`, runs);
      return { check: () => program.check() };
    },
  });
  watch(node, world);
  return node;
}

function spawn(world: World, node: SimulatedNode): SimulatedProcess {
  const process: SimulatedProcess = node.spawn({
    program: (context) => {
      const runs = (): boolean => process.state === 'running';
      const program = new Program(world, context, `beside ${node.number}`, runs);
      return { check: () => program.check() };
    },
  });
  const end = process.end.bind(process);
  process.end = () => {
    world.tally.events.end += 1;
    end();
  };
  return process;
}

/** What of a simulation is explored. */
export interface Explored extends Pick<ExploreOptions, 'seeds' | 'profile'> {
  readonly keeper: Keeper;
  /** Deaths stop the lockspace for a while, and who is cut off knows it before it is fenced. */
  readonly isSlow: boolean;
}

/** All seeds, until one shows that something is wrong. Messages are quick, and what is silent is soon found dead. */
export function exploreTokens(
  { keeper, isSlow, ...options }: Explored,
  tally: ServiceTally = newServiceTally(),
): Promise<number> {
  return explore({
    ...options,
    delayUs: [10, 100],
    detectMs: 20,
    ...(isSlow && { recoveryMs: [0, 60], quorumMs: 10 }),
    run: (simulation) => lockWithTokens(simulation, keeper, tally),
  });
}

/** Everything at once, and then a look at what is left. */
async function lockWithTokens(
  simulation: Simulation,
  keeper: Keeper,
  tally: ServiceTally,
): Promise<void> {
  const world = new World(simulation, keeper, tally);
  if (keeper === 'witness') await stay(world);
  const nodes = NODES.map((number) => startNode(world, number));
  const shared = nodes.slice(0, SHARED);
  const restart = (): void => {
    for (const node of shared) {
      if (node.state === 'running' && node.processes.length === 0) spawn(world, node);
    }
    if (simulation.now() < WORK_MS) simulation.setTimeout(restart, RESTART_MS);
  };
  restart();
  simulation.chaos({
    nodes,
    kills: 2,
    pairs: 1,
    stops: 1,
    quorumLosses: 1,
    daemonLosses: 1,
    releases: 1,
    groups: [LOCKSPACE],
    processEnds: 5,
    withinMs: CHAOS_MS,
    lengthMs: [2, 120],
  });
  await simulation.sleep(HEALED_MS);
  for (const node of nodes) if (node.state === 'down') node.start();
  await simulation.sleep(CHECK_MS - HEALED_MS);
  for (const node of nodes) {
    await node.call('check');
    for (const process of node.processes) await process.call('check');
  }
}

/** One that nothing happens to, and that does nothing. */
async function stay(world: World): Promise<void> {
  const node = world.simulation.node(WITNESS);
  const options = (): { tokens: true } => ({ tokens: true });
  await openAgain(LOCKSPACE, node.context, () => undefined, options);
  world.tokens.opened('the witness', () => true);
}
