/** A test's hold on one cluster node: commands out, events in, and waiting for what must come. */
import assert from 'node:assert/strict';

import { DLM_LKF, type ClusterMember, type ClusterNotice, type LockMode } from '../glue.js';
import type {
  Command,
  Connected,
  LockState,
  NodeEvent,
  PlainMembership,
  PlainNotice,
  Reply,
} from './agent.js';

/** How long a test waits for an event that must come, unless the driver is told otherwise: no host is so slow. */
const EVENT_DEADLINE_MS = 120_000;

/** How much of what happened a failure tells. */
const STORY_LINES = 60;

/** The connection that commands are for when they name none. */
export const MAIN = 'main';

/** Carries commands to an agent; events go to the driver's `push`. */
export interface Transport {
  request(command: Command): Promise<Reply>;
}

/**
 * Watches over one wait for an event: it calls `giveUp` when the event cannot come any more, which fails
 * the test, and returns what ends its watch. Both are called in the driver's own thread.
 */
export type Watch = (giveUp: () => void) => () => void;

/** How a driver waits. */
export interface DriverOptions {
  /** How long for an event that must come; less than the test runner's own limit. */
  readonly deadlineMs?: number | undefined;
  /** Ends a wait instead of the deadline, where something else than a clock can tell that it is in vain. */
  readonly watch?: Watch | undefined;
}

type EventOf<Kind extends NodeEvent['event']> = Extract<NodeEvent, { event: Kind }>;
type Completion = EventOf<'lockAst'> | EventOf<'unlockAst'>;

interface Waiter {
  readonly matches: (event: NodeEvent) => boolean;
  readonly found: (event: NodeEvent) => void;
}

/** What a request may carry besides its mode. */
export interface RequestOptions {
  flags?: number;
  lvb?: string;
}

/** What a request for a new lock may carry besides its mode and flags. */
export interface LockOptions {
  /** Which connection; the main one by default. */
  on?: string;
  /** Use the lock status block that the lock of that name had before. */
  again?: boolean;
}

/** What a connect may say. */
export interface ConnectOptions {
  /** What the connection is called here; the main one by default. */
  on?: string;
  recoveryData?: unknown;
}

/** One node, as a test sees it. */
export class NodeDriver {
  /** The cluster's number of this node; 0 before it connects. */
  number = 0;
  /** Every event since the test began, in order, whether or not somebody waited for it. */
  readonly history: NodeEvent[] = [];
  readonly #transport: Transport;
  readonly #deadlineMs: number;
  readonly #watch: Watch | undefined;
  readonly #unclaimed: NodeEvent[] = [];
  readonly #waiters = new Set<Waiter>();
  readonly #connections = new Set<string>();
  /** Commands, replies and events since the test began, for people. */
  readonly #story: string[] = [];
  /** Makes lock names differ from test to test, so that a failed one leaves nothing to the next. */
  #scope = '';

  constructor(transport: Transport, { deadlineMs, watch }: DriverOptions = {}) {
    this.#transport = transport;
    this.#deadlineMs = deadlineMs ?? EVENT_DEADLINE_MS;
    this.#watch = watch;
  }

  /** The names of the connections that are open. */
  get connections(): ReadonlySet<string> {
    return this.#connections;
  }

  /** What happened since the test began, the end of it if it is long, for people. */
  get story(): string {
    const last = this.#story.slice(-STORY_LINES);
    const left = this.#story.length - last.length;
    const lines = left === 0 ? last : [`(${left} lines before)`, ...last];
    return `node ${this.number}:\n${lines.map((line) => `  ${line}\n`).join('')}`;
  }

  /** A test begins: nothing has happened, and lock names mean new locks. */
  begin(scope: string): void {
    this.#scope = `${scope}:`;
    this.history.length = 0;
    this.#unclaimed.length = 0;
    this.#story.length = 0;
  }

  /** For the transport: an event has arrived. */
  push(event: NodeEvent): void {
    this.#story.push(`< ${JSON.stringify(event)}`);
    if ('lock' in event && !event.lock.startsWith(this.#scope)) return;
    this.history.push(event);
    for (const waiter of this.#waiters) {
      if (!waiter.matches(event)) continue;
      this.#waiters.delete(waiter);
      waiter.found(event);
      return;
    }
    this.#unclaimed.push(event);
  }

  /** Sends a command; throws what the agent threw. */
  async command(command: Command): Promise<unknown> {
    this.#story.push(`> ${JSON.stringify(command)}`);
    const reply = await this.#transport.request(command);
    this.#story.push(`= ${command.do}: ${JSON.stringify(reply)}`);
    if ('error' in reply) {
      const { message, code, errno } = reply.error;
      throw Object.assign(new Error(message), { code, errno });
    }
    return reply.value;
  }

  /** Connects and returns the version that the group runs at. */
  async connect(
    stackName: string,
    group: string,
    version: [number, number] = [1, 0],
    { on = MAIN, recoveryData = null }: ConnectOptions = {},
  ): Promise<[number, number]> {
    const connected = (await this.command({
      do: 'connect',
      on,
      stackName,
      group,
      version,
      recoveryData,
    })) as Connected;
    this.#connections.add(on);
    if (this.number !== 0) {
      assert.equal(connected.node, this.number, "the node's number on another connection");
    }
    this.number = connected.node;
    return connected.version;
  }

  async disconnect(on = MAIN): Promise<void> {
    this.#connections.delete(on);
    await this.command({ do: 'disconnect', on });
  }

  /** Ends all its connections, or all but one. */
  async leave(except?: string): Promise<void> {
    for (const on of this.#connections) if (on !== except) await this.disconnect(on);
  }

  /** Asks for a lock; returns what the call returned. */
  async ask(
    lock: string,
    name: string,
    mode: LockMode,
    flags = 0,
    { on = MAIN, again = false }: LockOptions = {},
  ): Promise<number> {
    const id = this.#idOf(lock);
    return (await this.command({ do: 'lock', on, lock: id, mode, flags, name, again })) as number;
  }

  /** Asks for a lock and waits for its completion. */
  async lock(
    lock: string,
    name: string,
    mode: LockMode,
    flags = 0,
    options: LockOptions = {},
  ): Promise<EventOf<'lockAst'>> {
    assert.equal(await this.ask(lock, name, mode, flags, options), 0, `asking for ${lock}`);
    return this.lockAst(lock);
  }

  /** Asks for another mode; returns what the call returned. */
  async askConvert(lock: string, mode: LockMode, options: RequestOptions = {}): Promise<number> {
    const id = this.#idOf(lock);
    return (await this.command({ do: 'convert', lock: id, mode, ...options })) as number;
  }

  /** Converts and waits for the completion. */
  async convert(
    lock: string,
    mode: LockMode,
    options: RequestOptions = {},
  ): Promise<EventOf<'lockAst'>> {
    assert.equal(await this.askConvert(lock, mode, options), 0, `converting ${lock}`);
    return this.lockAst(lock);
  }

  /** Asks for an unlock; returns what the call returned. */
  async askUnlock(lock: string, options: RequestOptions = {}): Promise<number> {
    return (await this.command({ do: 'unlock', lock: this.#idOf(lock), ...options })) as number;
  }

  /** Unlocks and waits for the unlock AST, which must report success. */
  async unlock(lock: string, options: RequestOptions = {}): Promise<void> {
    assert.equal(await this.askUnlock(lock, options), 0, `unlocking ${lock}`);
    const { error, of } = await this.unlockAst(lock);
    assert.equal(of, 'unlock', `whose argument ${lock}'s unlock AST was given`);
    assert.equal(error, 0, `the error of ${lock}'s unlock AST`);
  }

  /** Asks for a cancel; returns what the call returned. */
  cancel(lock: string): Promise<number> {
    return this.askUnlock(lock, { flags: DLM_LKF.CANCEL });
  }

  /** What the lock's status block says. */
  async look(lock: string): Promise<LockState> {
    return (await this.command({ do: 'look', lock: this.#idOf(lock) })) as LockState;
  }

  lockAst(lock: string): Promise<EventOf<'lockAst'>> {
    return this.#nextOf('lockAst', lock);
  }

  unlockAst(lock: string): Promise<EventOf<'unlockAst'>> {
    return this.#nextOf('unlockAst', lock);
  }

  blockingAst(lock: string): Promise<EventOf<'blockingAst'>> {
    return this.#nextOf('blockingAst', lock);
  }

  /** Whichever of the two comes first. */
  completion(lock: string): Promise<Completion> {
    const id = this.#idOf(lock);
    return this.#next(
      (event): event is Completion =>
        (event.event === 'lockAst' || event.event === 'unlockAst') && event.lock === id,
      `completion of ${id}`,
    );
  }

  nodeDown(node: number, on = MAIN): Promise<EventOf<'nodeDown'>> {
    return this.#next(
      (event): event is EventOf<'nodeDown'> =>
        event.event === 'nodeDown' && event.node === node && event.on === on,
      `death of node ${node} on connection ${on}`,
    );
  }

  /** The next notice of that kind, of those that concern a node the one about `node`. */
  notice(
    kind: ClusterNotice['kind'],
    { on = MAIN, node }: { on?: string; node?: number } = {},
  ): Promise<EventOf<'notice'>> {
    return this.#next(
      (event): event is EventOf<'notice'> =>
        event.event === 'notice' &&
        event.on === on &&
        event.notice.kind === kind &&
        (node === undefined || ('node' in event.notice && event.notice.node === node)),
      `notice ${kind}${node === undefined ? '' : ` of node ${node}`} on connection ${on}`,
    );
  }

  /** The notices of a connection since the test began, in order. */
  noticesOn(on = MAIN): PlainNotice[] {
    return this.history.flatMap((event) =>
      event.event === 'notice' && event.on === on ? [event.notice] : [],
    );
  }

  /** The cluster's members, from a stack that can tell. */
  async members(on = MAIN): Promise<readonly ClusterMember[]> {
    return (await this.command({ do: 'members', on })) as readonly ClusterMember[];
  }

  /** The membership of the cluster's nodes; undefined where the stack cannot tell. */
  async membership(on = MAIN): Promise<PlainMembership | undefined> {
    return ((await this.command({ do: 'membership', on })) as PlainMembership | null) ?? undefined;
  }

  /** The same, as soon as the stack can tell: it may hear of it from somebody who takes his time. */
  async knownMembership(on = MAIN): Promise<PlainMembership> {
    for (;;) {
      const known = await this.membership(on);
      if (known !== undefined) return known;
    }
  }

  /** The completions of a lock so far. */
  completionsOf(lock: string): NodeEvent[] {
    const id = this.#idOf(lock);
    return this.history.filter(
      (event) => (event.event === 'lockAst' || event.event === 'unlockAst') && event.lock === id,
    );
  }

  /** How often a lock was told that it blocks somebody. */
  blockingAstsOf(lock: string): number {
    const id = this.#idOf(lock);
    return this.history.filter((event) => event.event === 'blockingAst' && event.lock === id)
      .length;
  }

  /**
   * Throws when something came that must not: a completion or a death that nothing asked for, or an
   * event from inside a call. Blocking ASTs and notices may come whether or not somebody waits for them.
   */
  checkNothingElseCame(): void {
    const extra = this.#unclaimed.filter(
      ({ event }) => event !== 'blockingAst' && event !== 'notice',
    );
    assert.deepEqual(extra, [], `events on node ${this.number} that nothing accounts for`);
    const early = this.history.filter(({ inside }) => inside !== undefined);
    assert.deepEqual(early, [], `events on node ${this.number} before the call had returned`);
  }

  #idOf(lock: string): string {
    return `${this.#scope}${lock}`;
  }

  #nextOf<Kind extends 'lockAst' | 'unlockAst' | 'blockingAst'>(
    kind: Kind,
    lock: string,
  ): Promise<EventOf<Kind>> {
    const id = this.#idOf(lock);
    return this.#next(
      (event): event is EventOf<Kind> =>
        event.event === kind && (event as EventOf<'lockAst'>).lock === id,
      `${kind} of ${id}`,
    );
  }

  /** The next event that matches and that nobody has claimed. */
  #next<Wanted extends NodeEvent>(
    matches: (event: NodeEvent) => event is Wanted,
    what: string,
  ): Promise<Wanted> {
    const at = this.#unclaimed.findIndex(matches);
    if (at >= 0) return Promise.resolve(this.#unclaimed.splice(at, 1)[0] as Wanted);
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        matches,
        found: (event) => {
          endWatch();
          resolve(event as Wanted);
        },
      };
      const fail = (until: string): void => {
        this.#waiters.delete(waiter);
        reject(new Error(`node ${this.number}: no ${what} ${until}`));
      };
      this.#waiters.add(waiter);
      const endWatch = this.#startWatch(fail);
    });
  }

  /** Calls `fail` with the time until which nothing came; returns what ends that. */
  #startWatch(fail: (until: string) => void): () => void {
    if (this.#watch !== undefined) return this.#watch(() => fail('before nothing could come'));
    const timer = setTimeout(() => fail(`within ${this.#deadlineMs} ms`), this.#deadlineMs);
    return () => clearTimeout(timer);
  }
}
