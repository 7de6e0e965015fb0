/**
 * The emulation's side of a sequence: nodes with dlmfs on top of the glue and its stack `o2cb`, all in this
 * process. What the real nodes do at the same time is done here one task after the other, in an order that
 * `Choices` decides.
 */
import {
  createO2cbPlugin,
  DLM_LKF,
  DLM_LOCK,
  DlmLksb,
  killO2cbNode,
  StackGlue,
  type ClusterConnection,
} from '../../../lib/index.js';
import type { Choices } from './choices.js';
import type { Command, HandleState, NodeNumber, Observation } from './commands.js';
import { DlmfsFile, type Kernel, type Opener } from './dlmfs.js';
import { Shadow } from './shadow.js';

const DOMAIN = 'dlmfs';
const ENOENT = 2;
/** `OCFS2_LOCKING_PROTOCOL_MAJOR` and so on: any will do, as long as all nodes have it. */
const MAX_VERSION = { major: 1, minor: 0 };

let clusters = 0;

interface Handle {
  readonly node: NodeNumber;
  readonly file: number;
  readonly dlmfsFile: DlmfsFile;
  readonly opener: Opener;
  result: number | undefined;
}

interface Task {
  readonly node: NodeNumber;
  readonly file: number;
  /** Equal only for equal tasks. */
  readonly what: string;
  readonly run: () => void;
}

/** A callback on its way to a file. */
interface Arrival {
  readonly what: string;
  readonly act: (file: DlmfsFile) => void;
}

/** Which part of the kernel's freedom a model has decided beforehand. */
export interface ModelOptions {
  readonly nodes: readonly NodeNumber[];
  readonly choices: Choices;
  /**
   * Nodes in the order in which they become the recovery's master: the engine takes the lowest number,
   * the kernel whoever gets the recovery lock first (dlm_pick_recovery_master()).
   */
  readonly recoveryOrder: readonly NodeNumber[];
}

/** A simulated node. */
class ModelNode {
  readonly glue = new StackGlue();
  connection!: ClusterConnection;
  readonly files = new Map<number, DlmfsFile>();
}

/** See the top of this file. */
export class Model {
  readonly #choices: Choices;
  readonly #cluster: string;
  readonly #nodes = new Map<NodeNumber, ModelNode>();
  /** Those that have died too: their connections must be ended like the others. */
  readonly #everyNode: ModelNode[] = [];
  readonly #engineNumbers = new Map<NodeNumber, number>();
  readonly #handles = new Map<number, Handle>();
  #unlinks = new Map<string, number>();
  #tasks: Task[] = [];
  /** Callbacks that have not arrived, by file. */
  readonly #inboxes = new Map<DlmfsFile, Arrival[]>();
  readonly #places = new Map<DlmfsFile, { node: NodeNumber; file: number }>();
  readonly #shadow = new Shadow();
  #callbacks = 0;
  /** The locks in mode NL that keep resources that nobody uses; see README.md. */
  readonly #keepers = new Map<number, { node: NodeNumber; lksb: DlmLksb }>();

  private constructor(options: ModelOptions) {
    this.#choices = options.choices;
    clusters += 1;
    this.#cluster = `conformance-${clusters}`;
    options.recoveryOrder.forEach((node, index) => this.#engineNumbers.set(node, index + 1));
  }

  /** Connects all nodes. */
  static async start(options: ModelOptions): Promise<Model> {
    const model = new Model(options);
    for (const number of options.nodes) {
      const node = new ModelNode();
      const engineNumber = model.#engineNumbers.get(number) ?? number;
      node.glue.register(createO2cbPlugin({ node: engineNumber, cluster: model.#cluster }));
      node.glue.setLockingProtocol({
        maxVersion: MAX_VERSION,
        lockAst: (astarg) =>
          model.#callBack(astarg, { what: 'ast', act: (file) => file.lockAst() }),
        blockingAst: (astarg, level) =>
          model.#callBack(astarg, {
            what: `bast${level}`,
            act: (file) => file.blockingAst(level),
          }),
        unlockAst: (astarg) =>
          model.#callBack(astarg, { what: 'unlock', act: (file) => file.unlockAst() }),
      });
      node.connection = await node.glue.clusterConnect({
        stackName: 'o2cb',
        group: DOMAIN,
        recoveryHandler: () => {
          model.#callbacks += 1;
        },
      });
      model.#nodes.set(number, node);
      model.#everyNode.push(node);
    }
    return model;
  }

  /** Gives the commands, lets everything happen that they cause, and looks at it. */
  async step(commands: readonly Command[]): Promise<Observation> {
    this.#unlinks = new Map();
    for (const [number, { result }] of this.#handles) {
      if (result !== undefined && result !== 0) this.#handles.delete(number);
    }
    for (const command of commands) this.#begin(command);
    for (;;) {
      await this.#deliver();
      const task = this.#nextTask();
      if (task === undefined) break;
      task.run();
    }
    return { handles: this.#handleStates(), unlinks: this.#unlinks };
  }

  /** Ends all connections, with whatever locks are left. */
  async close(): Promise<void> {
    for (const { glue, connection } of this.#everyNode) await glue.clusterDisconnect(connection);
  }

  /** Waits until the stack has no callback left to make: one turn of the event loop without any. */
  async #deliver(): Promise<void> {
    let before;
    do {
      before = this.#callbacks;
      await new Promise<void>((resolve) => setImmediate(resolve));
    } while (this.#callbacks !== before);
  }

  #callBack(astarg: unknown, arrival: Arrival): void {
    this.#callbacks += 1;
    if (!(astarg instanceof DlmfsFile)) return;
    if (!arrival.what.startsWith('bast')) this.#shadow.completed(astarg);
    const inbox = this.#inboxes.get(astarg) ?? [];
    this.#inboxes.set(astarg, inbox);
    inbox.push(arrival);
    if (inbox.length === 1) this.#queueArrival(astarg, inbox);
  }

  /** A callback is on its way to a node while others run there; those of one lock keep their order. */
  #queueArrival(file: DlmfsFile, inbox: Arrival[]): void {
    const place = this.#places.get(file);
    if (place === undefined) return;
    const run = (): void => {
      inbox.shift()?.act(file);
      if (inbox.length > 0) this.#queueArrival(file, inbox);
    };
    this.#tasks.push({ ...place, what: 'arrival', run });
  }

  #nextTask(): Task | undefined {
    const file = this.#tasks[0]?.file;
    if (file === undefined) return undefined;
    const ready = this.#tasks.filter((task) => task.file === file);
    const chosen = ready.length > 1 ? ready[this.#choose(ready.length, '')] : ready[0];
    this.#tasks = this.#tasks.filter((task) => task !== chosen);
    return chosen;
  }

  #choose(count: number, what: string): number {
    return this.#choices.choose(count, () => this.#state(what));
  }

  /** The whole state, in words; `what` is what is under way. */
  #state(what: string): string {
    const lines = [what];
    const names = new Map<DlmfsFile, string>();
    for (const [dlmfsFile, { node }] of this.#places) {
      if (!this.#nodes.has(node)) continue;
      names.set(dlmfsFile, `${node}.${names.size}`);
      const inbox = (this.#inboxes.get(dlmfsFile) ?? []).map((arrival) => arrival.what);
      lines.push(`${node}: ${dlmfsFile.state} ${inbox.join(',')}`);
      // Before its first AST it has nobody's block but the lock manager's.
      if (dlmfsFile.isAttached) lines.push(trimmed(this.#kernel(node, 0).block(dlmfsFile)));
    }
    lines.push(
      this.#tasks
        .map((task) => `${task.node} ${task.what}`)
        .sort()
        .join(', '),
    );
    lines.push([...this.#keepers].map(([file, { node }]) => `${file} ${node}`).join(', '));
    for (const [number, { result, opener }] of this.#handles) {
      lines.push(`h${number} ${result} ${opener.isInterrupted}`);
    }
    for (const [key, errno] of this.#unlinks) lines.push(`${key} ${errno}`);
    lines.push(this.#shadow.state((file) => names.get(file) ?? '?'));
    return lines.join('\n');
  }

  /** What a request of a file would have written, were it accepted. */
  #blockToWrite(dlmfsFile: DlmfsFile): string | undefined {
    if (dlmfsFile.level !== DLM_LOCK.EX) return undefined;
    const place = this.#places.get(dlmfsFile);
    return place && trimmed(this.#kernel(place.node, place.file).block(dlmfsFile));
  }

  #begin(command: Command): void {
    const { kind, node } = command;
    if (kind === 'kill') {
      this.#kill(node);
      return;
    }
    const { file } = command;
    if (kind === 'unlink') {
      this.#tasks.push({ node, file, what: 'unlinks', run: () => this.#unlink(node, file) });
      return;
    }
    if (command.kind === 'open') {
      this.#open(command);
      return;
    }
    const handle = this.#handles.get(command.handle);
    if (handle === undefined) return;
    switch (command.kind) {
      case 'close':
        this.#handles.delete(command.handle);
        this.#tasks.push({
          node,
          file,
          what: `closes ${handle.opener.level}`,
          run: () => handle.dlmfsFile.close(handle.opener.level),
        });
        break;
      case 'write':
        handle.dlmfsFile.write(Buffer.from(command.bytes, 'hex'));
        break;
      case 'interrupt':
        handle.opener.isInterrupted = true;
        break;
    }
  }

  #open(command: Command & { kind: 'open' }): void {
    const { node, file } = command;
    const modelNode = this.#node(node);
    let dlmfsFile = modelNode.files.get(file);
    if (dlmfsFile === undefined) {
      dlmfsFile = new DlmfsFile(this.#kernel(node, file), `file-${file}`);
      modelNode.files.set(file, dlmfsFile);
      this.#places.set(dlmfsFile, { node, file });
    }
    const handle: Handle = {
      node,
      file,
      dlmfsFile,
      opener: {
        handle: command.handle,
        level: command.writes ? DLM_LOCK.EX : DLM_LOCK.PR,
        tries: command.tries,
        isInterrupted: false,
        done: (result) => {
          handle.result = result;
        },
      },
      result: undefined,
    };
    this.#handles.set(command.handle, handle);
    dlmfsFile.open(handle.opener);
  }

  #unlink(node: NodeNumber, file: number): void {
    const { files } = this.#node(node);
    const dlmfsFile = files.get(file);
    const key = `${node}:${file}`;
    if (dlmfsFile === undefined) {
      this.#unlinks.set(key, ENOENT);
      return;
    }
    dlmfsFile.unlink((result) => {
      if (result === 0) files.delete(file);
      this.#unlinks.set(key, result);
    });
  }

  #kill(node: NodeNumber): void {
    this.#shadow.died(this.#state(''), (file) => this.#places.get(file)?.node === node);
    this.#nodes.delete(node);
    this.#tasks = this.#tasks.filter((task) => task.node !== node);
    for (const [number, handle] of this.#handles) {
      if (handle.node === node) this.#handles.delete(number);
    }
    for (const [file, keeper] of this.#keepers) {
      if (keeper.node === node) this.#keepers.delete(file);
    }
    killO2cbNode(this.#engineNumbers.get(node) ?? node, this.#cluster);
  }

  #kernel(node: NodeNumber, file: number): Kernel {
    const { glue, connection } = this.#node(node);
    return {
      run: (what, run) => {
        this.#tasks.push({ node, file, what, run });
      },
      lock: (dlmfsFile, mode, flags) => {
        if ((flags & DLM_LKF.CONVERT) === 0) this.#keep(node, file, dlmfsFile.name);
        const block = this.#blockToWrite(dlmfsFile);
        const { lksb, name } = dlmfsFile;
        const status = glue.dlmLock(connection, mode, lksb, flags, name, dlmfsFile);
        if (status === 0) this.#shadow.accepted(node, dlmfsFile);
        if (status === 0 && block !== undefined) this.#shadow.wrote(block);
        return status;
      },
      unlock: (dlmfsFile, flags) => {
        const block = this.#blockToWrite(dlmfsFile);
        const status = glue.dlmUnlock(connection, dlmfsFile.lksb, flags, dlmfsFile);
        if (status === 0 && (flags & DLM_LKF.CANCEL) === 0) {
          if (block !== undefined) this.#shadow.wrote(block);
          this.#shadow.accepted(node, dlmfsFile);
        }
        return status;
      },
      status: (dlmfsFile) => glue.dlmLockStatus(dlmfsFile.lksb),
      block: (dlmfsFile) => glue.dlmLvb(dlmfsFile.lksb),
    };
  }

  /**
   * The kernel keeps a resource that nobody uses, and its block, for eight seconds (dlm_run_purge_list());
   * the engine forgets it at once. So a lock in mode NL, which is in nobody's way, keeps it here, and goes
   * if the kernel is found to have forgotten it.
   */
  #keep(node: NodeNumber, file: number, name: string): void {
    const keeper = this.#keepers.get(file);
    const isUsed = [...this.#nodes.values()].some(({ files }) => files.get(file)?.isAttached);
    if (keeper !== undefined) {
      if (isUsed || this.#choose(2, `keeps for node ${node}`) === 0) return;
      const { glue, connection } = this.#node(keeper.node);
      glue.dlmUnlock(connection, keeper.lksb, 0);
      this.#shadow.forgotten();
    }
    const lksb = new DlmLksb();
    const { glue, connection } = this.#node(node);
    glue.dlmLock(connection, DLM_LOCK.NL, lksb, 0, name);
    this.#keepers.set(file, { node, lksb });
  }

  #node(number: NodeNumber): ModelNode {
    const node = this.#nodes.get(number);
    if (node === undefined) throw new Error(`node ${number} is dead`);
    return node;
  }

  #handleStates(): Map<number, HandleState> {
    const states = new Map<number, HandleState>();
    for (const [number, { node, file, dlmfsFile, opener, result }] of this.#handles) {
      const isOpen = result === 0;
      states.set(number, {
        node,
        file,
        writes: opener.level === DLM_LOCK.EX,
        result,
        blocked: isOpen && dlmfsFile.isBlocked,
        block: isOpen ? trimmed(this.#kernel(node, file).block(dlmfsFile)) : '',
      });
    }
    return states;
  }
}

/** In hexadecimal, without the zeros at its end. */
function trimmed(block: Uint8Array): string {
  let length = block.length;
  while (length > 0 && block[length - 1] === 0) length -= 1;
  return Buffer.from(block.subarray(0, length)).toString('hex');
}
