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
  readonly run: () => void;
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
  readonly #inboxes = new Map<DlmfsFile, ((file: DlmfsFile) => void)[]>();
  readonly #places = new Map<DlmfsFile, { node: NodeNumber; file: number }>();
  #step = 0;
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
        lockAst: (astarg) => model.#callBack(astarg, (file) => file.lockAst()),
        blockingAst: (astarg, level) => model.#callBack(astarg, (file) => file.blockingAst(level)),
        unlockAst: (astarg) => model.#callBack(astarg, (file) => file.unlockAst()),
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
  async step(step: number, commands: readonly Command[]): Promise<Observation> {
    this.#step = step;
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

  #callBack(astarg: unknown, act: (file: DlmfsFile) => void): void {
    this.#callbacks += 1;
    if (!(astarg instanceof DlmfsFile)) return;
    const inbox = this.#inboxes.get(astarg) ?? [];
    this.#inboxes.set(astarg, inbox);
    inbox.push(act);
    if (inbox.length === 1) this.#queueArrival(astarg, inbox);
  }

  /** A callback is on its way to a node while others run there; those of one lock keep their order. */
  #queueArrival(file: DlmfsFile, inbox: ((file: DlmfsFile) => void)[]): void {
    const place = this.#places.get(file);
    if (place === undefined) return;
    const run = (): void => {
      inbox.shift()?.(file);
      if (inbox.length > 0) this.#queueArrival(file, inbox);
    };
    this.#tasks.push({ ...place, run });
  }

  #nextTask(): Task | undefined {
    const file = this.#tasks[0]?.file;
    if (file === undefined) return undefined;
    const ready = this.#tasks.filter((task) => task.file === file);
    const chosen = ready[this.#choices.choose(file, this.#step, ready.length)];
    this.#tasks = this.#tasks.filter((task) => task !== chosen);
    return chosen;
  }

  #begin(command: Command): void {
    const { kind, node } = command;
    if (kind === 'kill') {
      this.#kill(node);
      return;
    }
    const { file } = command;
    if (kind === 'unlink') {
      this.#tasks.push({ node, file, run: () => this.#unlink(node, file) });
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
        this.#tasks.push({ node, file, run: () => handle.dlmfsFile.close(handle.opener.level) });
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
      run: (run) => {
        this.#tasks.push({ node, file, run });
      },
      lock: (dlmfsFile, mode, flags) => {
        if ((flags & DLM_LKF.CONVERT) === 0) this.#keep(node, file, dlmfsFile.name);
        return glue.dlmLock(connection, mode, dlmfsFile.lksb, flags, dlmfsFile.name, dlmfsFile);
      },
      unlock: (dlmfsFile, flags) => glue.dlmUnlock(connection, dlmfsFile.lksb, flags, dlmfsFile),
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
      if (isUsed || this.#choices.choose(file, this.#step, 2) === 0) return;
      const { glue, connection } = this.#node(keeper.node);
      glue.dlmUnlock(connection, keeper.lksb, 0);
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
