/**
 * Programs that cache on several nodes while all that can fail does. What must hold is judged from outside, by what was
 * written and stored (Register) and by what updates were done (Counter), not by the library's own idea.
 */
import {
  DlmError,
  type CachedLock,
  type CachedMode,
  type CachedValue,
  type Hold,
  type Lockspace,
} from '../../lib/index.js';
import {
  explore,
  type ExploreOptions,
  type NodeContext,
  type SimulatedNode,
  type SimulatedProcess,
  type Simulation,
} from '../../lib/simulator/index.js';
import { openAgain } from '../locks/open-again.js';

const LOCKSPACE = 'caches';
const NAMES = ['a', 'b'] as const;
const VALUE = 'v';
const NODES = [1, 2, 3];
/** Those of them that have processes beside. */
const SHARED = 2;

/** All milliseconds. */
const CHAOS_MS = 120;
const WORK_MS = 180;
const HEALED_MS = 1500;
const CHECK_MS = 3000;
const OPEN_MS = 60;
const RESTART_MS = 20;
const LAST_MS = 5000;

type Name = (typeof NAMES)[number];

const EXPECTED: readonly string[] = ['ERR_DLM_TIMEOUT', 'ERR_DLM_LOST', 'ERR_DLM_CLOSED'];

const EVENTS = [
  'kill',
  'partition',
  'pause',
  'loseQuorum',
  'release',
  'end',
  'covered',
  'asked',
  'nested',
  'timeout',
  'flushed',
  'flushFailed',
  'dropped',
  'deadWrites',
  'lost',
  'trimmed',
  'closed',
  'loads',
  'reads',
  'peeks',
  'updates',
  'storeFailed',
] as const;

/** How often what was seen. */
export type CacheTally = Record<(typeof EVENTS)[number], number>;

export const newCacheTally = (): CacheTally =>
  Object.fromEntries(EVENTS.map((event) => [event, 0])) as CacheTally;

/** Whoever caches: a program while it has the lockspace open. */
interface Cacher {
  readonly title: string;
  /** Whether it can still do harm. */
  isHere(): boolean;
}

/** One name's content: what is stored, and what one program has written and not stored yet. */
class Register {
  stored = 0;
  #writer: Cacher | undefined;
  #written = 0;

  constructor(
    readonly name: string,
    readonly tally: CacheTally,
  ) {}

  /** What whoever holds it has to find. */
  look(cacher: Cacher, found: number): void {
    const writer = this.#livingWriter();
    if (writer !== undefined && writer !== cacher) {
      throw new Error(
        `${cacher.title} holds "${this.name}", and ${writer.title} has not stored what it wrote`,
      );
    }
    const expected = writer === undefined ? this.stored : this.#written;
    if (found !== expected) {
      throw new Error(`${cacher.title} finds ${found} in "${this.name}", which is ${expected}`);
    }
  }

  write(cacher: Cacher, value: number): void {
    this.#writer = cacher;
    this.#written = value;
  }

  store(cacher: Cacher): void {
    if (this.#writer !== cacher) return;
    this.stored = this.#written;
    this.#writer = undefined;
  }

  /** What a dead one has written is gone. */
  #livingWriter(): Cacher | undefined {
    if (this.#writer?.isHere() === false) {
      this.tally.deadWrites += 1;
      this.#writer = undefined;
    }
    return this.#writer;
  }
}

/** Something that is counted in a store, with tokens. */
class Counter {
  stored = 0;
  /** The largest that somebody was told of. */
  done = 0;
  #token = 0n;
  readonly #told = new Set<number>();

  store(value: number, token: bigint): void {
    if (token < this.#token) throw new DlmError('ERR_DLM_LOST', 'an older token', { op: 'store' });
    this.#token = token;
    this.stored = value;
  }

  updated(title: string, value: number): void {
    if (this.#told.has(value))
      throw new Error(`${title} counts to ${value}, as somebody before it`);
    this.#told.add(value);
    if (value > this.done) this.done = value;
  }

  /** @param floor what had been done when the read began. */
  read(title: string, value: number, floor: number): void {
    if (value < floor) throw new Error(`${title} reads ${value}, and ${floor} was there before`);
    if (value > this.stored) throw new Error(`${title} reads ${value}, which is nowhere`);
  }
}

/** One simulation. */
class World {
  readonly registers: Readonly<Record<Name, Register>>;
  readonly counter = new Counter();
  readonly holds = new Set<{ cacher: Cacher; name: string; mode: CachedMode }>();

  constructor(
    readonly simulation: Simulation,
    readonly tally: CacheTally,
  ) {
    this.registers = { a: new Register('a', tally), b: new Register('b', tally) };
  }

  /** Nobody has it beside whom it does not go with. */
  take(cacher: Cacher, name: string, mode: CachedMode): () => void {
    for (const other of this.holds) {
      if (other.name !== name || !other.cacher.isHere()) continue;
      if (mode === 'PR' && other.mode === 'PR') continue;
      throw new Error(
        `${cacher.title} holds "${name}" in ${mode} beside ${other.mode} of ${other.cacher.title}`,
      );
    }
    const hold = { cacher, name, mode };
    this.holds.add(hold);
    return () => this.holds.delete(hold);
  }
}

/** What a program caches of one name. */
class Cache {
  readonly #world: World;
  readonly #node: NodeContext;
  readonly #cacher: Cacher;
  readonly #name: Name;
  readonly #lock: CachedLock;
  /** Undefined: nothing. */
  #content: number | undefined;
  #isDirty = false;

  constructor(world: World, node: NodeContext, cacher: Cacher, lockspace: Lockspace, name: Name) {
    this.#world = world;
    this.#node = node;
    this.#cacher = cacher;
    this.#name = name;
    const minHoldMs = ([undefined, 0, 3] as const)[below(node, 3)];
    this.#lock = lockspace.cached(name, {
      onRevoke: (to, reason) => this.#revoke(to, reason === 'lost'),
      ...(minHoldMs !== undefined && { minHoldMs }),
    });
  }

  async use(mode: CachedMode, timeoutMs: number): Promise<void> {
    const { tally } = this.#world;
    const covered = this.#lock.tryHold(mode);
    tally[covered === null ? 'asked' : 'covered'] += 1;
    const hold = covered ?? (await this.#lock.hold(mode, { timeoutMs }));
    const drop = this.#world.take(this.#cacher, this.#name, mode);
    try {
      if (below(this.#node, 4) === 0) await this.#node.sleep(below(this.#node, 3));
      await this.#work(hold);
    } finally {
      drop();
      hold.release();
    }
  }

  async #work(hold: Hold): Promise<void> {
    // Who has lost it does no harm, and is no judge.
    if (!hold.held) return;
    const register = this.#world.registers[this.#name];
    this.#content ??= register.stored;
    register.look(this.#cacher, this.#content);
    if (hold.mode === 'EX') {
      this.#content += 1;
      this.#isDirty = true;
      register.write(this.#cacher, this.#content);
      return;
    }
    if (below(this.#node, 4) > 0) return;
    const inner = await this.#lock.hold('PR', { within: hold });
    this.#world.tally.nested += 1;
    await this.#node.sleep(below(this.#node, 2));
    if (inner.held) register.look(this.#cacher, this.#content);
    inner.release();
  }

  async #revoke(to: 'PR' | 'NL', isLost: boolean): Promise<void> {
    const { tally, registers } = this.#world;
    if (!isLost && this.#isDirty) {
      await this.#node.sleep(below(this.#node, 3));
      if (below(this.#node, 10) === 0) {
        tally.flushFailed += 1;
        throw new Error('no space left');
      }
      registers[this.#name].store(this.#cacher);
      tally.flushed += 1;
    }
    this.#isDirty = false;
    if (to === 'PR') return;
    tally.dropped += 1;
    this.#content = undefined;
  }
}

function below(node: NodeContext, limit: number): number {
  return Math.floor(node.random() * limit);
}

function isExpected(error: unknown): error is DlmError {
  return error instanceof DlmError && EXPECTED.includes(error.code);
}

/** A lockspace while a program has it open. */
class Session {
  readonly #world: World;
  readonly #node: NodeContext;
  readonly #cacher: Cacher;
  readonly lockspace: Lockspace;
  readonly #caches: Readonly<Record<Name, Cache>>;
  readonly #value: CachedValue<{ readonly count: number }>;

  constructor(
    world: World,
    node: NodeContext,
    title: string,
    runs: () => boolean,
    lockspace: Lockspace,
  ) {
    this.#world = world;
    this.#node = node;
    this.lockspace = lockspace;
    lockspace.on('revokeFailed', () => undefined);
    this.#cacher = { title, isHere: () => runs() && lockspace.health.state !== 'lost' };
    this.#caches = {
      a: new Cache(world, node, this.#cacher, lockspace, 'a'),
      b: new Cache(world, node, this.#cacher, lockspace, 'b'),
    };
    const { counter, tally } = world;
    this.#value = lockspace.cachedValue<{ readonly count: number }>(VALUE, {
      load: async () => {
        tally.loads += 1;
        await node.sleep(below(node, 2));
        return { count: counter.stored };
      },
      store: async ({ count }, token) => {
        await node.sleep(below(node, 2));
        if (below(node, 12) === 0) {
          tally.storeFailed += 1;
          throw new DlmError('ERR_DLM_TIMEOUT', 'the store does not answer', { op: 'store' });
        }
        if (this.#cacher.isHere()) counter.store(count, token);
      },
    });
  }

  /** One thing after the other, as long as there is work. */
  async work(): Promise<void> {
    while (this.#node.now() < WORK_MS && this.lockspace.health.state !== 'lost') {
      try {
        await this.#once();
      } catch (error) {
        if (!isExpected(error)) throw error;
        if (error.code === 'ERR_DLM_TIMEOUT') this.#world.tally.timeout += 1;
      }
      if (below(this.#node, 3) === 0) await this.#node.sleep(below(this.#node, 4));
    }
  }

  /** When all is well, whoever asks is served. */
  async check(): Promise<void> {
    for (const name of NAMES) await this.#caches[name].use('EX', LAST_MS);
    await this.#read(LAST_MS);
    const { counter } = this.#world;
    const before = counter.done;
    const { count } = await this.#value.read({ timeoutMs: LAST_MS });
    counter.read(this.#cacher.title, count, before);
  }

  async #once(): Promise<void> {
    const timeoutMs = ([5, 60, 400] as const)[below(this.#node, 3)] ?? 60;
    switch (below(this.#node, 12)) {
      case 0:
      case 1:
        return this.#update(timeoutMs);
      case 2:
      case 3:
        return this.#read(timeoutMs);
      case 4: {
        this.#peek();
        return;
      }
      case 5:
        if (below(this.#node, 4) > 0) return undefined;
        this.#world.tally.trimmed += await this.lockspace.trim({ keep: below(this.#node, 3) });
        return undefined;
      default: {
        const name = NAMES[below(this.#node, NAMES.length)] ?? 'a';
        return this.#caches[name].use(below(this.#node, 3) === 0 ? 'EX' : 'PR', timeoutMs);
      }
    }
  }

  async #read(timeoutMs: number): Promise<void> {
    const { counter, tally } = this.#world;
    const floor = counter.done;
    const { count } = await this.#value.read({ timeoutMs });
    tally.reads += 1;
    if (this.#cacher.isHere()) counter.read(this.#cacher.title, count, floor);
  }

  #peek(): void {
    const value = this.#value.peek();
    if (value === undefined || !this.#cacher.isHere()) return;
    this.#world.tally.peeks += 1;
    this.#world.counter.read(this.#cacher.title, value.count, this.#world.counter.done);
  }

  async #update(timeoutMs: number): Promise<void> {
    const { counter, tally } = this.#world;
    const { count } = await this.#value.update((value) => ({ count: value.count + 1 }), {
      timeoutMs,
    });
    tally.updates += 1;
    if (this.#cacher.isHere()) counter.updated(this.#cacher.title, count);
  }
}

/** A program in one life of a node or a process. */
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
    // What a dead node's code does is nobody's concern.
    this.#over.catch((error: unknown) => {
      if (runs()) world.simulation.fail(error);
    });
  }

  async #live(): Promise<void> {
    const { tally } = this.#world;
    while (this.#node.now() < WORK_MS) {
      const session = await this.#open();
      const works = [session.work(), session.work()];
      if (below(this.#node, 3) === 0) {
        // In the middle of it.
        await this.#node.sleep(below(this.#node, 80));
        await this.#close(session);
        tally.closed += 1;
      }
      await Promise.all(works);
      if (session.lockspace.health.state !== 'lost') return;
      if (this.#runs()) tally.lost += 1;
      await this.#close(session);
    }
  }

  async #open(): Promise<Session> {
    const options = (): { tokens: true; timeoutMs: number } => ({
      tokens: true,
      timeoutMs: OPEN_MS,
    });
    const lockspace = await openAgain(LOCKSPACE, this.#node, () => undefined, options);
    this.#opens += 1;
    const title = `${this.#title}, open ${this.#opens}`;
    return (this.#session = new Session(this.#world, this.#node, title, this.#runs, lockspace));
  }

  async #close({ lockspace }: Session): Promise<void> {
    this.#session = undefined;
    // What could not be stored is told, too.
    await lockspace[Symbol.asyncDispose]();
  }

  async check(): Promise<void> {
    await this.#over;
    if (this.#session?.lockspace.health.state === 'lost') await this.#close(this.#session);
    const session = (this.#session ??= await this.#open());
    await session.check();
  }

  /** Whether anything is left under way. */
  isAtRest(): boolean {
    const { lockspace } = this.#session ?? {};
    return lockspace === undefined || lockspace.withdrawals === 0;
  }
}

function count(node: SimulatedNode, tally: CacheTally): void {
  for (const what of ['kill', 'partition', 'pause', 'loseQuorum'] as const) {
    const fail = node[what].bind(node);
    node[what] = () => {
      tally[what] += 1;
      fail();
    };
  }
  const release = node.release.bind(node);
  node.release = (group) => {
    release(group);
    tally.release += 1;
  };
}

function startNode(world: World, number: number): SimulatedNode {
  const { simulation, tally } = world;
  const node: SimulatedNode = simulation.node(number, {
    program: (context) => {
      const itself = simulation.node(number);
      const runs = (): boolean => itself.state !== 'down' && itself.context === context;
      const program = new Program(world, context, `node ${number}`, runs);
      return { check: () => program.check() };
    },
  });
  count(node, tally);
  return node;
}

function spawn(world: World, node: SimulatedNode): void {
  const process: SimulatedProcess = node.spawn({
    program: (context) => {
      const runs = (): boolean => process.state === 'running';
      const program = new Program(world, context, `beside ${node.number}`, runs);
      return { check: () => program.check() };
    },
  });
  const end = process.end.bind(process);
  process.end = () => {
    world.tally.end += 1;
    end();
  };
}

/** All seeds, until one shows that something is wrong. */
export function exploreCaches(
  { isSlow, ...options }: Pick<ExploreOptions, 'seeds' | 'profile'> & { readonly isSlow: boolean },
  tally: CacheTally = newCacheTally(),
): Promise<number> {
  return explore({
    ...options,
    delayUs: [10, 100],
    detectMs: 20,
    ...(isSlow && { recoveryMs: [0, 60], quorumMs: 10 }),
    run: (simulation) => cache(simulation, tally),
  });
}

/** Everything at once, and then a look at what is left. */
async function cache(simulation: Simulation, tally: CacheTally): Promise<void> {
  const world = new World(simulation, tally);
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
    releases: 1,
    groups: [LOCKSPACE],
    processEnds: 4,
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
