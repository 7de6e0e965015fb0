/**
 * Kills nodes and processes that hold locks, again and again, on three real nodes, and judges each grant and value that
 * comes after.
 *
 * Each node has two services. In each round names are locked and written, mostly by those who are to be killed; others
 * wait for them; then a node's power is cut, or a process ends by SIGKILL, in half of all rounds while it writes. Four
 * of the services live on in each round, so tokens must grow over all of them.
 */
import { Random } from '../random.js';
import type { Cluster } from '../vm/index.js';
import { GuestService, type Submit } from './guest-service.js';
import { Ledger, type Seen } from './ledger.js';

const GROUP = 'kills';
const SUBMITS: readonly Submit[] = ['thread', 'keeper'];

/** Names that stay: one whose value is kept by NL locks of all services, and one without. */
const PINNED = 'pinned';
const STANDING = [PINNED, 'plain'];

/** How many kills are of nodes; a boot takes its time. */
const NODES_SHARE = 0.3;

export interface KillsOptions {
  readonly cluster: Cluster;
  readonly kills: number;
  readonly seed: number;
  readonly say: (line: string) => void;
  /** Ends the run before its time, after the kill that is under way. */
  readonly signal?: AbortSignal | undefined;
}

export interface KillsOutcome {
  readonly nodes: number;
  readonly processes: number;
  /** Grants of EX that were judged, and values that were read. */
  readonly grants: number;
  readonly seen: Seen;
}

/** How often progress is told. */
const TELL_EVERY = 10;

/** Rejects at the first token that is not higher than those before, and the first value that is fresh and not so. */
export async function runKills(options: KillsOptions): Promise<KillsOutcome> {
  const { kills, seed, say, signal } = options;
  const run = new Run(options);
  await run.start();
  for (let round = 1; round <= kills && signal?.aborted !== true; round += 1) {
    try {
      await run.round(round);
    } catch (error) {
      throw new Error(`seed ${seed}, kill ${round}: ${String(error)}`, { cause: error });
    }
    if (round % TELL_EVERY === 0) say(describeOutcome(run.outcome));
  }
  await run.end();
  return run.outcome;
}

export function describeOutcome({ nodes, processes, grants, seen }: KillsOutcome): string {
  const { fresh, invalid, unwritten } = seen;
  return (
    `${nodes + processes} kills, ${nodes} of nodes and ${processes} of processes; ${grants} tokens, each above those before; ` +
    `values: ${fresh} fresh and right, ${invalid} invalid, ${unwritten} unwritten`
  );
}

class Run {
  readonly #cluster: Cluster;
  readonly #random: Random;
  readonly #ledger = new Ledger();
  /** By node and then by `SUBMITS`. */
  readonly #services: GuestService[] = [];
  #nodes = 0;
  #processes = 0;

  constructor({ cluster, seed }: KillsOptions) {
    this.#cluster = cluster;
    this.#random = new Random(seed);
  }

  get outcome(): KillsOutcome {
    const { grants, seen } = this.#ledger;
    return { nodes: this.#nodes, processes: this.#processes, grants, seen };
  }

  async start(): Promise<void> {
    const { nodes } = this.#cluster;
    for (const { id } of nodes) await this.#keepDlmRunning(id);
    for (let place = 0; place < nodes.length * SUBMITS.length; place += 1) {
      await this.#startService(place);
    }
  }

  async end(): Promise<void> {
    for (const service of this.#services) await service.end();
  }

  async round(round: number): Promise<void> {
    const random = this.#random;
    const isNode = random.chance(NODES_SHARE);
    const victim = random.pick(this.#services);
    const victims = isNode ? this.#services.filter(({ node }) => node === victim.node) : [victim];
    const survivors = this.#services.filter((service) => !victims.includes(service));
    const names = random.shuffle([...STANDING, `once-${round}`]);

    const held = await this.#hold(names, victims, survivors);
    const waiters = new Map<string, GuestService>();
    const unheard = new Set<string>();
    for (const [name, holder] of held) {
      if (!victims.includes(holder)) continue;
      const waiter = random.pick(survivors);
      waiters.set(name, waiter);
      waiter.say(`take ${name}`);
      if (round % 2 !== 0) continue;
      unheard.add(name);
      for (const what of ['write', 'write', 'release', 'take', 'write'])
        holder.say(`${what} ${name}`);
    }
    if (isNode) await this.#cluster.kill(victim.node);
    else victim.kill('SIGKILL');

    // All that was granted to the killed was so before others were.
    for (const each of victims) for (const line of await each.rest()) this.#ledger.hear(line);
    for (const name of unheard) this.#ledger.mayBeWritten(name);
    for (const [name, waiter] of waiters) {
      this.#ledger.hear(await waiter.hear());
      held.set(name, waiter);
    }
    for (const [name, holder] of held) await this.#letGo(holder, name);
    for (const name of names) await this.#lookAgain(random.pick(survivors), name);
    await this.#restart(victims, isNode);
  }

  /** Has all names locked, and most of them written, most of them by the victims. Returns who has what. */
  async #hold(
    names: readonly string[],
    victims: readonly GuestService[],
    survivors: readonly GuestService[],
  ): Promise<Map<string, GuestService>> {
    const random = this.#random;
    const held = new Map<string, GuestService>();
    for (const [index, name] of names.entries()) {
      // One at least is a victim's.
      const holder = random.pick(index === 0 || random.chance(0.6) ? victims : survivors);
      held.set(name, holder);
      await this.#ask(holder, `take ${name}`);
      if (random.chance(0.7)) await this.#ask(holder, `write ${name}`);
      // The last grant of a name was a conversion, now and then.
      if (!random.chance(0.3)) continue;
      await this.#ask(holder, `lower ${name}`);
      await this.#ask(holder, `raise ${name}`);
    }
    return held;
  }

  async #letGo(holder: GuestService, name: string): Promise<void> {
    if (this.#random.chance(0.5)) await this.#ask(holder, `write ${name}`);
    await this.#ask(holder, `release ${name}`);
  }

  /** Reads, converts up, writes, and lets go. */
  async #lookAgain(service: GuestService, name: string): Promise<void> {
    for (const what of ['share', 'raise', 'write', 'lower', 'release']) {
      await this.#ask(service, `${what} ${name}`);
    }
  }

  async #ask(service: GuestService, line: string): Promise<void> {
    this.#ledger.hear(await service.ask(line));
  }

  /** Starts the services of these places again, and their node, if its power was cut. */
  async #restart(victims: readonly GuestService[], isNode: boolean): Promise<void> {
    const places = victims.map((victim) => this.#services.indexOf(victim));
    const [{ node }] = victims as [GuestService];
    if (isNode) {
      this.#nodes += 1;
      await this.#cluster.restart(node);
      await this.#keepDlmRunning(node);
    } else {
      this.#processes += 1;
    }
    for (const place of places) await this.#startService(place);
  }

  /** A lockspace of its own: kernel 6.1 stops its DLM with a node's last one, and that may take minutes. */
  async #keepDlmRunning(node: number): Promise<void> {
    await this.#cluster.node(node).exec('[ -e /sys/kernel/dlm/keep ] || dlm_tool join keep');
  }

  async #startService(place: number): Promise<void> {
    const node = this.#cluster.node(1 + Math.floor(place / SUBMITS.length));
    const submit = SUBMITS[place % SUBMITS.length] ?? 'thread';
    const service = await GuestService.start(node, GROUP, submit);
    this.#services[place] = service;
    await this.#ask(service, `pin ${PINNED}`);
  }
}
