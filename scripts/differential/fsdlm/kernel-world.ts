/**
 * The kernel's DLM: three virtual machines whose membership the host decides, with an agent on each.
 */
import { createInterface } from 'node:readline';

import { LineProgram } from '../../line-program.js';
import {
  Cluster,
  inTime,
  type GuestProcess,
  type GuestNode,
  type Progress,
} from '../../vm/index.js';
import type { WireCommand, WireEvent } from './agent.js';
import { NODES } from './program.js';
import { fencedStep, type FencedNode, type Placed, type Told, type World } from './world.js';

/** The lockspace that all batches use: joining one, and leaving it, takes seconds. */
const LOCKSPACE = 'differential';

/** Seconds. A resource without locks then keeps its master and its value block until a death. */
const TOSS_SECS = 1_000_000;

/** guest-main.ts says when which. */
interface Answer {
  events?: WireEvent[];
  asked?: number;
  error?: string;
}

/** The agent on one node, asked for one thing at a time. */
class Guest implements FencedNode {
  readonly #node: GuestNode;
  readonly #program: LineProgram;

  private constructor(node: GuestNode, process: GuestProcess) {
    this.#node = node;
    this.#program = new LineProgram(process, `The agent on node ${node.id}`);
  }

  static async start(node: GuestNode): Promise<Guest> {
    const command = 'exec node dist/scripts/differential/fsdlm/guest-main.js';
    const guest = new Guest(node, node.spawn(command));
    await guest.#answer(guest.#program.hear());
    return guest;
  }

  ask(request: object): Promise<Answer> {
    return this.#answer(this.#program.ask(JSON.stringify(request)));
  }

  async commands(commands: readonly WireCommand[]): Promise<WireEvent[]> {
    return (await this.ask({ commands })).events ?? [];
  }

  async ping(): Promise<WireEvent[]> {
    return (await this.ask({ ping: true })).events ?? [];
  }

  async #answer(line: Promise<string>): Promise<Answer> {
    const said = await inTime(this.#node, 'its agent has not answered', line);
    const answer = JSON.parse(said) as Answer;
    if (answer.error !== undefined) throw new Error(`An agent: ${answer.error}`);
    return answer;
  }
}

/**
 * Hears from a node's kernel log when recoveries of a lockspace are over. `recover_status` says so too
 * early: fs/dlm/recoverd.c:ls_recover() grants what waits after that, and logs after the grants.
 */
class RecoveryLog {
  readonly #node: GuestNode;
  readonly #generations = new Map<string, number>();
  #news: () => void = () => undefined;

  constructor(node: GuestNode) {
    this.#node = node;
    const log = node.spawn('exec cat /dev/kmsg');
    createInterface({ input: log.stdout }).on('line', (line) => {
      const found = /dlm: (\S+): dlm_recover \d+ generation (\d+) done/.exec(line);
      if (found === null) return;
      this.#generations.set(found[1] ?? '', Number(found[2]));
      this.#news();
    });
  }

  /** The number of the lockspace's last recovery; the same on all of its nodes. */
  generation(lockspace: string): number {
    return this.#generations.get(lockspace) ?? 0;
  }

  reaches(lockspace: string, generation: number): Promise<void> {
    const reached = this.#reaches(lockspace, generation);
    return inTime(this.#node, 'it has not recovered', reached);
  }

  async #reaches(lockspace: string, generation: number): Promise<void> {
    while (this.generation(lockspace) < generation) {
      await new Promise<void>((resolve) => (this.#news = resolve));
    }
  }
}

/** Boots the machines once; batches use names of their own. */
export class KernelLab {
  readonly #cluster: Cluster;
  readonly #guests = new Map<number, Guest>();
  readonly #logs = new Map<number, RecoveryLog>();
  #batches = 0;

  private constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  static async boot(kernel: string, progress: Progress): Promise<KernelLab> {
    const cluster = await Cluster.boot({ nodes: NODES, membership: 'host', kernel, progress });
    const lab = new KernelLab(cluster);
    try {
      await Promise.all(cluster.nodes.map(({ id }) => lab.#prepare(id)));
      return lab;
    } catch (error) {
      await cluster.close();
      throw error;
    }
  }

  async #prepare(node: number): Promise<void> {
    await this.#cluster
      .node(node)
      .exec(`echo ${TOSS_SECS} > /sys/kernel/config/dlm/cluster/toss_secs`);
    this.#logs.set(node, new RecoveryLog(this.#cluster.node(node)));
    await this.#cluster.node(node).exec(`dlm_tool join ${LOCKSPACE}`);
    this.#guests.set(node, await Guest.start(this.#cluster.node(node)));
  }

  /** Connects all nodes. Those that were killed are booted again. */
  async open(): Promise<KernelWorld> {
    for (const { id } of this.#cluster.nodes) {
      if (this.#guests.has(id)) continue;
      await this.#cluster.restart(id);
      await this.#prepare(id);
    }
    this.#batches += 1;
    for (const guest of this.#guests.values()) await guest.ask({ open: LOCKSPACE });
    // Each node's fence begins with the node itself, so that it is its master:
    // fs/dlm/lock.c:_dlm_master_lookup() makes it whoever asks first.
    for (const [node, guest] of this.#guests) {
      const fence = { fence: node, name: `fence ${this.#batches}/${node}` };
      await guest.ask(fence);
      for (const [other, its] of this.#guests) if (other !== node) await its.ask(fence);
    }
    return new KernelWorld(this.#batches, this.#guests, (node) => this.#kill(node));
  }

  async #kill(node: number): Promise<void> {
    this.#guests.delete(node);
    this.#logs.delete(node);
    const logs = [...this.#logs.values()];
    const before = Math.max(...logs.map((log) => log.generation(LOCKSPACE)));
    await this.#cluster.kill(node);
    await Promise.all(logs.map((log) => log.reaches(LOCKSPACE, before + 1)));
  }

  close(): Promise<void> {
    return this.#cluster.close();
  }
}

/** One batch on the kernel. */
export class KernelWorld implements World {
  readonly names: string;
  readonly #guests: Map<number, Guest>;
  readonly #cutPower: (node: number) => Promise<void>;

  constructor(
    batch: number,
    guests: Map<number, Guest>,
    cutPower: (node: number) => Promise<void>,
  ) {
    this.names = `${batch}/`;
    this.#guests = guests;
    this.#cutPower = cutPower;
  }

  step(commands: readonly Placed[]): Promise<Told[]> {
    return fencedStep(this.#guests, commands);
  }

  async #drain(how: 'cancel' | 'unlock'): Promise<number> {
    const guests = [...this.#guests.values()];
    const answers = await Promise.all(guests.map((guest) => guest.ask({ drain: how })));
    await fencedStep(this.#guests, []);
    return answers.reduce((sum, { asked = 0 }) => sum + asked, 0);
  }

  async kill(node: number): Promise<Told[]> {
    await this.#cutPower(node);
    for (const guest of this.#guests.values()) await guest.ask({ unfence: node });
    return fencedStep(this.#guests, []);
  }

  async close(): Promise<void> {
    await this.#drain('cancel');
    await this.#drain('unlock');
    const left = await this.#drain('unlock');
    if (left > 0) throw new Error(`${left} locks could not be unlocked`);
    for (const guest of this.#guests.values()) await guest.ask({ close: true });
  }
}
