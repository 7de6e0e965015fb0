/**
 * The kernels' side of sequences: many of them side by side on one cluster of virtual machines, each with
 * files of its own.
 */
import type { Cluster } from '../../vm/index.js';
import { Agent, type Report } from './agent.js';
import type { Command, HandleState, NodeNumber, Observation } from './commands.js';
import { buildAgent } from './programs.js';

const DOMAIN = 'differential';

/** The handles and unlinks of all sequences have numbers of their own on the nodes. */
interface Entry {
  readonly sequence: number;
  readonly handle: number;
  state: HandleState;
}

/** A sequence's part of a step. */
export type StepCommands = ReadonlyMap<number, readonly Command[]>;

/** See the top of this file. */
export class KernelCluster {
  readonly #cluster: Cluster;
  readonly #agents = new Map<NodeNumber, Agent>();
  /** By number on the nodes. */
  readonly #entries = new Map<number, Entry>();
  /** By sequence and handle. */
  readonly #numbers = new Map<string, number>();
  readonly #unlinkTags = new Map<number, { sequence: number; key: string }>();
  #lastNumber = 0;
  /** The last number that handles of earlier batches have. */
  #lastOfEarlier = 0;
  #prefix = 'a';
  #release = '';

  private constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** All nodes of a cluster with membership `o2cb` join a domain. */
  static async start(cluster: Cluster): Promise<KernelCluster> {
    await buildAgent();
    const kernel = new KernelCluster(cluster);
    for (const node of cluster.nodes) await kernel.#join(node.id);
    kernel.#release = (await cluster.node(1).exec('uname -r')).stdout.trim();
    return kernel;
  }

  /** The kernel's release. */
  get release(): string {
    return this.#release;
  }

  /** Those that are alive. */
  get nodes(): NodeNumber[] {
    return [...this.#agents.keys()].sort();
  }

  /** Forgets all sequences; those that come next have files of other names. */
  startBatch(prefix: string): void {
    this.#prefix = prefix;
    this.#lastOfEarlier = this.#lastNumber;
    this.#entries.clear();
    this.#numbers.clear();
    this.#unlinkTags.clear();
  }

  /** Gives the commands to the nodes, waits until the cluster is at rest, and looks. */
  async step(commands: StepCommands): Promise<Map<number, Observation>> {
    this.#beginStep();
    for (const [sequence, list] of commands) {
      for (const command of list) this.#give(sequence, command);
    }
    const unlinks = await this.#rest();
    return this.#observations(commands.keys(), unlinks);
  }

  /** Cuts a node's power; resolves when the others have recovered and are at rest. */
  async kill(node: NodeNumber, sequences: Iterable<number>): Promise<Map<number, Observation>> {
    this.#beginStep();
    this.#agents.delete(node);
    for (const [number, { state }] of this.#entries) {
      if (state.node === node) this.#forget(number);
    }
    await this.#cluster.kill(node);
    for (const survivor of this.nodes) await this.#recovered(survivor, node);
    return this.#observations(sequences, await this.#rest());
  }

  /** Boots a node that was killed again, and lets it join. */
  async restart(node: NodeNumber): Promise<void> {
    await this.#cluster.restart(node);
    await this.#join(node);
  }

  /** Forgets what was of interest only once. */
  #beginStep(): void {
    this.#unlinkTags.clear();
    for (const [number, { state }] of this.#entries) {
      if (state.result !== undefined && state.result !== 0) this.#forget(number);
    }
  }

  async #join(node: NodeNumber): Promise<void> {
    const machine = this.#cluster.node(node);
    await machine.exec(`mkdir /dlm/${DOMAIN}`);
    // Without a heartbeat dlmfs would give locks of this node alone, and not say so.
    await machine.exec(`test -d /sys/kernel/debug/o2dlm/${DOMAIN}`);
    this.#agents.set(node, new Agent(machine, `/dlm/${DOMAIN}`));
  }

  /** Waits until a survivor's lock manager knows nothing of a dead node any more. */
  async #recovered(survivor: NodeNumber, dead: NodeNumber): Promise<void> {
    const state = `/sys/kernel/debug/o2dlm/${DOMAIN}/dlm_state`;
    const conditions = [
      `! grep -E '^(Domain|Live) Map:.* ${dead}( |$)' ${state}`,
      `grep -qE '^Recovery Map: *$' ${state}`,
      `grep -qE '^Recovery Pid: .*State: INACTIVE' ${state}`,
    ];
    await this.#cluster
      .node(survivor)
      .exec(`until ${conditions.join(' && ')}; do sleep 0.05; done >/dev/null`);
  }

  #give(sequence: number, command: Command): void {
    if (command.kind === 'kill') throw new Error('a node is killed for all sequences at once');
    const { node, file } = command;
    const agent = this.#agents.get(node);
    if (agent === undefined) throw new Error(`node ${node} is dead`);
    const name = `${this.#prefix}-${sequence}-${file}`;
    if (command.kind === 'unlink') {
      const tag = ++this.#lastNumber;
      this.#unlinkTags.set(tag, { sequence, key: `${node}:${file}` });
      agent.command(`u ${tag} ${name}`);
      return;
    }
    const { handle } = command;
    if (command.kind === 'open') {
      const { writes, tries } = command;
      const number = ++this.#lastNumber;
      const state = { node, file, writes, result: undefined, blocked: false, block: '' };
      this.#entries.set(number, { sequence, handle, state });
      this.#numbers.set(`${sequence}:${handle}`, number);
      agent.command(`o ${number} ${name} ${writes ? 'w' : 'r'}${tries ? 't' : '-'}`);
      return;
    }
    const number = this.#numbers.get(`${sequence}:${handle}`);
    if (number === undefined) return;
    if (command.kind === 'close') {
      this.#forget(number);
      agent.command(`c ${number}`);
    } else if (command.kind === 'write') {
      agent.command(`w ${number} ${command.bytes}`);
    } else {
      agent.command(`i ${number}`);
    }
  }

  /**
   * Waits until all nodes are at rest at one moment: each says so twice, and between all first and all
   * second answers no message has reached any of them. README.md says why that is enough.
   */
  async #rest(): Promise<Report['unlinks']> {
    const unlinks: Report['unlinks'][number][] = [];
    let before = '';
    for (;;) {
      const reports = await Promise.all([...this.#agents.values()].map((agent) => agent.fence()));
      for (const report of reports) {
        this.#take(report);
        unlinks.push(...report.unlinks);
      }
      const messages = reports.map((report) => report.messages).join(' ');
      if (messages === before) return unlinks;
      before = messages;
    }
  }

  #take(report: Report): void {
    for (const [number, result] of report.ended) this.#update(number, { result });
    for (const [number, blocked, block] of report.states) this.#update(number, { blocked, block });
  }

  #update(number: number, change: Partial<HandleState>): void {
    // An open that slept for ever in an earlier batch may be woken by the end of its file.
    if (number <= this.#lastOfEarlier) return;
    const entry = this.#entries.get(number);
    if (entry === undefined) throw new Error(`a node spoke of an unknown handle, ${number}`);
    entry.state = { ...entry.state, ...change };
  }

  #forget(number: number): void {
    const entry = this.#entries.get(number);
    if (entry === undefined) return;
    this.#entries.delete(number);
    this.#numbers.delete(`${entry.sequence}:${entry.handle}`);
  }

  #observations(sequences: Iterable<number>, unlinks: Report['unlinks']): Map<number, Observation> {
    const found = new Map<
      number,
      { handles: Map<number, HandleState>; unlinks: Map<string, number> }
    >();
    for (const sequence of sequences) {
      found.set(sequence, { handles: new Map(), unlinks: new Map() });
    }
    for (const { sequence, handle, state } of this.#entries.values()) {
      found.get(sequence)?.handles.set(handle, state);
    }
    for (const [tag, errno] of unlinks) {
      const unlink = this.#unlinkTags.get(tag);
      if (unlink) found.get(unlink.sequence)?.unlinks.set(unlink.key, errno);
    }
    return found;
  }
}
