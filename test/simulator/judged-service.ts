/**
 * A service whose processes lock, cancel, hold and unlock at random, and a judge of all that they are told:
 * who may hold together, what ends how often, and what must have been told before.
 */
import {
  DLM_LKF,
  DLM_LOCK,
  DlmLksb,
  StackGlue,
  type ClusterConnection,
  type ClusterNotice,
} from '../../lib/glue.js';
import type { NodeContext, SimulatedNode, Simulation } from '../../lib/simulator/index.js';

const { EX, PR } = DLM_LOCK;
const RESOURCES = ['a', 'b', 'c'];
const GROUP = 'judged';
/** How often an unlock that is refused, because a cancel is under way, is asked for again. */
const ATTEMPTS_MAX = 200;

interface Request {
  readonly lksb: DlmLksb;
  readonly resource: string;
  readonly mode: typeof EX | typeof PR;
  /** `waiting` for the grant, `held`, `releasing` until the unlock has ended, `ended`. */
  state: 'waiting' | 'held' | 'releasing' | 'ended';
  /** In which of the stops that the process was told of it was asked for; 0: in none. */
  readonly stop: number;
  grantedMs: number;
}

/** What somebody held who is gone, and since when. */
interface Legacy {
  readonly node: number;
  readonly atMs: number;
}

/** Sees all processes of a simulation; the first thing that is wrong ends the run. */
export class Judge {
  readonly simulation: Simulation;
  readonly clients = new Set<Client>();
  /** By resource: of nodes that were killed or fenced, not of processes that ended. */
  readonly legacies = new Map<string, Legacy[]>();
  grants = 0;
  ends = 0;
  losses = 0;
  stops = 0;
  /** No new requests from then on, milliseconds. */
  readonly untilMs: number;

  constructor(simulation: Simulation, untilMs: number) {
    this.simulation = simulation;
    this.untilMs = untilMs;
  }

  wrong(what: string): void {
    this.simulation.fail(new Error(what));
  }

  /** Whoever is gone without having been told. */
  look(): void {
    for (const client of this.clients) client.look();
  }

  granted(client: Client, request: Request): void {
    this.look();
    this.grants += 1;
    for (const other of this.clients) {
      for (const held of other.requests) {
        const excludes = held !== request && held.resource === request.resource;
        const both = held.mode === PR && request.mode === PR;
        if (excludes && held.state === 'held' && !both && !other.isGone && !other.isLost) {
          this.wrong(`${client.name} and ${other.name} both hold ${request.resource}`);
        }
      }
    }
    for (const { node, atMs } of this.legacies.get(request.resource) ?? []) {
      const isTold = (client.deaths.get(node) ?? -1) >= atMs;
      if (!isTold && client.sinceMs <= atMs && client.node !== node) {
        this.wrong(`${client.name} has ${request.resource} before it knows that n${node} died`);
      }
    }
  }

  /** At the end: all that was asked for by those who live has ended. */
  check(): void {
    this.look();
    for (const client of this.clients) client.checkEnd();
  }
}

/** A connection of a process, from its beginning to its end. */
export class Client {
  readonly name: string;
  readonly node: number;
  readonly requests = new Set<Request>();
  readonly deaths = new Map<number, number>();
  sinceMs = 0;
  /** Nothing must be heard any more: its process or its node has ended. */
  isGone = false;
  isLost = false;
  #isStopped = false;
  #stops = 0;
  #hasQuorum = true;
  readonly #judge: Judge;
  readonly #context: NodeContext;
  readonly #owner: () => boolean;
  readonly #glue = new StackGlue();
  #connection: ClusterConnection | undefined;

  /** `runs` tells whether its process still does. */
  constructor(judge: Judge, context: NodeContext, name: string, runs: () => boolean) {
    this.#judge = judge;
    this.#context = context;
    this.#owner = runs;
    this.name = name;
    this.node = context.number;
  }

  async run(): Promise<void> {
    const glue = this.#glue;
    glue.register(this.#context.plugin);
    glue.clusterStack = this.#context.plugin.name === 'o2cb' ? 'o2cb' : 'pcmk';
    glue.setLockingProtocol({
      maxVersion: { major: 1, minor: 0 },
      lockAst: (request) => {
        this.#lockEnded(request as Request);
      },
      unlockAst: (request) => {
        this.#unlockEnded(request as Request);
      },
      blockingAst: () => this.#heard('a blocking AST'),
    });
    this.sinceMs = this.#context.now();
    this.#connection = await glue.clusterConnect({
      stackName: glue.clusterStack,
      group: GROUP,
      recoveryHandler: (dead) => {
        this.#heard('a death');
        this.deaths.set(dead, this.#context.now());
      },
      noticeHandler: (notice) => {
        this.#notice(notice);
      },
    });
    this.#judge.clients.add(this);
    while (this.#context.now() < this.#judge.untilMs && !this.isLost) {
      this.#ask();
      await this.#context.sleep(120 * this.#context.random());
    }
  }

  /** Its node or its process may be gone without a word; what was held by a node is a legacy. */
  look(): void {
    if (this.isGone || this.#owner()) return;
    this.isGone = true;
    this.leave();
  }

  /** Of a node that went down: who gets what it held must know of it. */
  leave(): void {
    const { simulation, legacies } = this.#judge;
    if (this.isLost || simulation.node(this.node).state !== 'down') return;
    for (const { resource, mode, state, grantedMs } of this.requests) {
      if (state !== 'held' || mode !== EX) continue;
      const all = legacies.get(resource) ?? [];
      all.push({ node: this.node, atMs: grantedMs });
      legacies.set(resource, all);
    }
  }

  checkEnd(): void {
    if (this.isGone) return;
    for (const { resource, state } of this.requests) {
      if (state === 'waiting' || state === 'releasing') {
        this.#judge.wrong(`${this.name} still waits for ${resource}: ${state}`);
      }
    }
    if (this.isLost) return;
    if (this.#isStopped) this.#judge.wrong(`${this.name} was not told that the group runs`);
    if (!this.#hasQuorum) this.#judge.wrong(`${this.name} was not told that there is a quorum`);
  }

  #heard(what: string): void {
    if (this.isGone) this.#judge.wrong(`${this.name} hears ${what} after its end`);
    if (this.isLost) this.#judge.wrong(`${this.name} hears ${what} after the loss`);
  }

  #notice(notice: ClusterNotice): void {
    this.#heard(notice.kind);
    switch (notice.kind) {
      case 'stopped':
      case 'resumed': {
        const stops = notice.kind === 'stopped';
        if (stops === this.#isStopped)
          this.#judge.wrong(`${this.name} hears twice: ${notice.kind}`);
        this.#isStopped = stops;
        if (stops) this.#stops += 1;
        this.#judge.stops += 1;
        break;
      }
      case 'quorumLost':
      case 'quorumRegained': {
        const has = notice.kind === 'quorumRegained';
        if (has === this.#hasQuorum) this.#judge.wrong(`${this.name} hears twice: ${notice.kind}`);
        this.#hasQuorum = has;
        break;
      }
      case 'released':
        for (const { state } of this.requests) {
          if (state === 'waiting' || state === 'releasing') {
            this.#judge.wrong(`${this.name} hears of the loss before the end of a request`);
          }
        }
        this.leave();
        this.#judge.losses += 1;
        this.isLost = true;
        break;
      default:
    }
  }

  #ask(): void {
    const random = (): number => this.#context.random();
    const request: Request = {
      lksb: new DlmLksb(),
      resource: RESOURCES[Math.floor(random() * RESOURCES.length)] ?? 'a',
      mode: random() < 0.6 ? EX : PR,
      state: 'waiting',
      stop: this.#isStopped ? this.#stops : 0,
      grantedMs: 0,
    };
    const flags = random() < 0.2 ? DLM_LKF.NOQUEUE : 0;
    const { resource, mode, lksb } = request;
    const connection = this.#connection;
    if (connection === undefined) return;
    const result = this.#glue.dlmLock(connection, mode, lksb, flags, resource, request);
    if (result !== 0) return;
    this.requests.add(request);
    if (random() < 0.2) this.#context.setTimeout(() => this.#cancel(request), 200 * random());
  }

  #cancel(request: Request): void {
    const connection = this.#connection;
    if (request.state !== 'waiting' || connection === undefined) return;
    // Refused or not: the request ends once.
    this.#glue.dlmUnlock(connection, request.lksb, DLM_LKF.CANCEL, request);
  }

  #lockEnded(request: Request): void {
    this.#heard('an AST');
    if (request.state !== 'waiting') {
      this.#judge.wrong(`${this.name} hears twice of ${request.resource}: ${request.state}`);
    }
    if (this.#glue.dlmLockStatus(request.lksb) !== 0) {
      this.#end(request);
      return;
    }
    if (request.stop === this.#stops && this.#isStopped) {
      this.#judge.wrong(`${this.name} is granted ${request.resource} in a group that has stopped`);
    }
    request.state = 'held';
    request.grantedMs = this.#context.now();
    this.#judge.granted(this, request);
    this.#context.setTimeout(() => this.#give(request, 0), 30 * this.#context.random());
  }

  #give(request: Request, attempts: number): void {
    const connection = this.#connection;
    if (request.state !== 'held' || this.isLost || connection === undefined) return;
    const result = this.#glue.dlmUnlock(connection, request.lksb, 0, request);
    if (result === 0) {
      request.state = 'releasing';
    } else if (attempts < ATTEMPTS_MAX) {
      this.#context.setTimeout(() => this.#give(request, attempts + 1), 50);
    }
  }

  /** The unlock, or the cancel that was in time. */
  #unlockEnded(request: Request): void {
    this.#heard('an unlock AST');
    if (request.state === 'held' || request.state === 'ended') {
      this.#judge.wrong(`${this.name} hears of an end of ${request.resource}: ${request.state}`);
    }
    this.#end(request);
  }

  #end(request: Request): void {
    request.state = 'ended';
    this.requests.delete(request);
    this.#judge.ends += 1;
  }
}

/** How long nodes fail, and how long it takes until all is over after that, milliseconds. */
const FAILING_MS = 6000;
const ENDING_MS = 20_000;

/** Nodes with processes, and all faults that there are. Resolves to what the judge has counted. */
export async function judgedScenario(simulation: Simulation): Promise<Judge> {
  const judge = new Judge(simulation, FAILING_MS);
  const lives = new Map<number, number>();
  const serve = (node: SimulatedNode, context: NodeContext): void => {
    const life = (lives.get(node.number) ?? 0) + 1;
    lives.set(node.number, life);
    const runs = (): boolean => node.state !== 'down' && lives.get(node.number) === life;
    void new Client(judge, context, `n${node.number}.${life}`, runs).run().catch(() => undefined);
  };
  const nodes = [1, 2, 3, 4].map((number) => {
    const node: SimulatedNode = simulation.node(number, {
      program: (context) => {
        judge.look();
        serve(simulation.node(number), context);
      },
    });
    return node;
  });
  for (const node of nodes) {
    for (let i = 0; i < 2; i += 1) {
      simulation.setTimeout(() => {
        if (node.state !== 'running') return;
        const process = node.spawn();
        const runs = (): boolean => process.state === 'running';
        const name = `n${node.number}, process ${process.number}`;
        void new Client(judge, process.context, name, runs).run().catch(() => undefined);
      }, FAILING_MS * simulation.random());
    }
  }
  simulation.chaos({
    kills: 2,
    partitions: 2,
    pauses: 2,
    pairs: 2,
    stops: 2,
    quorumLosses: 2,
    daemonLosses: 1,
    releases: 2,
    groups: [GROUP],
    processEnds: 4,
    withinMs: FAILING_MS,
    lengthMs: [10, 3000],
  });
  await simulation.sleep(FAILING_MS + ENDING_MS);
  judge.check();
  return judge;
}
