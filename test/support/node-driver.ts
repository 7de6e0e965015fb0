/** A test's hold on one cluster node: commands out, events in, and waiting for what must come. */
import { expect } from 'chai';

import { DLM_LKF, type LockMode } from '../../lib/index.js';
import type { Command, Connected, NodeEvent, Reply } from './node-agent.js';

/** How long a test waits for an event that must come; virtual machines on a busy host are slow. */
const EVENT_DEADLINE_MS = 30_000;

/** Carries commands to an agent; events go to the driver's `push`. */
export interface Transport {
  request(command: Command): Promise<Reply>;
}

type EventOf<Kind extends NodeEvent['event']> = Extract<NodeEvent, { event: Kind }>;

interface Waiter {
  readonly matches: (event: NodeEvent) => boolean;
  readonly found: (event: NodeEvent) => void;
}

/** What a request may carry besides its mode. */
export interface RequestOptions {
  flags?: number;
  lvb?: string;
}

/** One node, as a test sees it. */
export class NodeDriver {
  /** The cluster's number of this node; 0 before it connects. */
  number = 0;
  /** Every event so far, in order, whether or not somebody waited for it. */
  readonly history: NodeEvent[] = [];
  readonly #transport: Transport;
  readonly #unclaimed: NodeEvent[] = [];
  readonly #waiters = new Set<Waiter>();

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** For the transport: an event has arrived. */
  push(event: NodeEvent): void {
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
    const reply = await this.#transport.request(command);
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
  ): Promise<[number, number]> {
    const command = { do: 'connect', stackName, group, version } as const;
    const connected = (await this.command(command)) as Connected;
    this.number = connected.node;
    return connected.version;
  }

  async disconnect(): Promise<void> {
    await this.command({ do: 'disconnect' });
  }

  /** Asks for a lock; returns what the call returned. */
  async ask(lock: string, name: string, mode: LockMode, flags = 0): Promise<number> {
    return (await this.command({ do: 'lock', lock, mode, flags, name })) as number;
  }

  /** Asks for a lock and waits for its completion. */
  async lock(lock: string, name: string, mode: LockMode, flags = 0): Promise<EventOf<'lockAst'>> {
    expect(await this.ask(lock, name, mode, flags), `lock ${lock}`).to.equal(0);
    return this.lockAst(lock);
  }

  /** Converts and waits for the completion. */
  async convert(
    lock: string,
    mode: LockMode,
    options: RequestOptions = {},
  ): Promise<EventOf<'lockAst'>> {
    expect(await this.command({ do: 'convert', lock, mode, ...options })).to.equal(0);
    return this.lockAst(lock);
  }

  /** Unlocks and waits for the unlock AST, which must report success. */
  async unlock(lock: string, options: RequestOptions = {}): Promise<void> {
    expect(await this.command({ do: 'unlock', lock, ...options }), `unlock ${lock}`).to.equal(0);
    expect((await this.unlockAst(lock)).error).to.equal(0);
  }

  /** Asks for a cancel; returns what the call returned. */
  async cancel(lock: string): Promise<number> {
    return (await this.command({ do: 'unlock', lock, flags: DLM_LKF.CANCEL })) as number;
  }

  lockAst(lock: string): Promise<EventOf<'lockAst'>> {
    return this.#next('lockAst', (event) => event.lock === lock, `lockAst of ${lock}`);
  }

  unlockAst(lock: string): Promise<EventOf<'unlockAst'>> {
    return this.#next('unlockAst', (event) => event.lock === lock, `unlockAst of ${lock}`);
  }

  blockingAst(lock: string): Promise<EventOf<'blockingAst'>> {
    return this.#next('blockingAst', (event) => event.lock === lock, `blockingAst of ${lock}`);
  }

  nodeDown(node: number): Promise<EventOf<'nodeDown'>> {
    return this.#next('nodeDown', (event) => event.node === node, `death of node ${node}`);
  }

  /** The next event of that kind that matches and that nobody has claimed. */
  #next<Kind extends NodeEvent['event']>(
    kind: Kind,
    matches: (event: EventOf<Kind>) => boolean,
    what: string,
  ): Promise<EventOf<Kind>> {
    const isWanted = (event: NodeEvent): event is EventOf<Kind> =>
      event.event === kind && matches(event as EventOf<Kind>);
    const at = this.#unclaimed.findIndex(isWanted);
    if (at >= 0) return Promise.resolve(this.#unclaimed.splice(at, 1)[0] as EventOf<Kind>);
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        matches: isWanted,
        found: (event) => {
          clearTimeout(deadline);
          resolve(event as EventOf<Kind>);
        },
      };
      const deadline = setTimeout(() => {
        this.#waiters.delete(waiter);
        const seen = this.history.map((event) => JSON.stringify(event)).join('\n  ');
        reject(new Error(`node ${this.number}: no ${what}; it saw\n  ${seen}`));
      }, EVENT_DEADLINE_MS);
      this.#waiters.add(waiter);
    });
  }
}
