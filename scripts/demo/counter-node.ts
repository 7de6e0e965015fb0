/**
 * One node of the demo: it adds to a counter that all nodes share and that lives nowhere but in a
 * lock's value block.
 *
 * It keeps a lock in NL, which costs nobody anything, and for each turn converts it to EX, reads the
 * block, adds one, and converts back to NL, which writes the block. Between two turns of its own the
 * others have theirs: whoever waits is served in order.
 *
 * When a node dies in its turn the block may die with it: o2dlm zeroes it, fs/dlm says that it is not
 * to be trusted. The counter survives because every survivor remembers the last value that it wrote
 * itself, and each, before its next turn, puts the larger of the block and that value into the block.
 * The dead node got its last turn from one of the survivors, so one of them knows the last count.
 */
import {
  DLM_LKF,
  DLM_LOCK,
  DlmLksb,
  type ClusterConnection,
  type StackGlue,
} from '../../lib/glue.js';

/** What a node has to tell, in the order in which it happens. */
export type CounterEvent =
  | { kind: 'joined' }
  | { kind: 'asks' }
  | { kind: 'granted'; block: number; valid: boolean }
  | { kind: 'asked to let go' }
  | { kind: 'wrote'; count: number }
  | { kind: 'holds on'; block: number }
  | { kind: 'heard of a death'; node: number }
  | { kind: 'repaired'; block: number; isLost: boolean; remembered: number; count: number }
  | { kind: 'done'; added: number };

/** A node and what it should do. */
export interface CounterOptions {
  readonly glue: StackGlue;
  readonly stackName: string;
  readonly group: string;
  /** How often this node adds one. */
  readonly turns: number;
  /** After its turns it takes the lock once more and keeps it, for it will be killed. */
  readonly holdsOn?: boolean;
  readonly tell: (event: CounterEvent) => void;
}

const { NL, EX } = DLM_LOCK;
const { CONVERT, VALBLK } = DLM_LKF;
const RESOURCE = 'counter';

/** A node of the demo. */
export class CounterNode {
  readonly #options: CounterOptions;
  readonly #lksb = new DlmLksb();
  #connection!: ClusterConnection;
  #completed: () => void = () => undefined;
  /** The last count that this node wrote. */
  #remembered = 0;
  #mustRepair = false;
  #holdsEx = false;

  constructor(options: CounterOptions) {
    this.#options = options;
  }

  /** Joins the group and takes its place on the lock. */
  async join(): Promise<void> {
    const { glue, stackName, group, tell } = this.#options;
    glue.setLockingProtocol({
      maxVersion: { major: 1, minor: 0 },
      lockAst: () => this.#completed(),
      unlockAst: () => this.#completed(),
      blockingAst: () => {
        if (this.#holdsEx) tell({ kind: 'asked to let go' });
      },
    });
    glue.clusterStack = stackName;
    this.#connection = await glue.clusterConnect({
      stackName,
      group,
      recoveryHandler: (nodeNumber) => {
        this.#mustRepair = true;
        tell({ kind: 'heard of a death', node: nodeNumber });
      },
    });
    await this.#request(() => glue.dlmLock(this.#connection, NL, this.#lksb, 0, RESOURCE));
    tell({ kind: 'joined' });
  }

  /** Takes its turns. A node that holds on never ends by itself. */
  async run(): Promise<void> {
    const { glue, turns, holdsOn = false, tell } = this.#options;
    let added = 0;
    while (added < turns) {
      const remembered = this.#remembered;
      const block = await this.#take();
      if (this.#mustRepair) {
        this.#mustRepair = false;
        const count = Math.max(block, remembered);
        const isLost = block === 0 || !glue.dlmLvbValid(this.#lksb);
        tell({ kind: 'repaired', block, isLost, remembered, count });
        await this.#give(count);
        continue;
      }
      added += 1;
      tell({ kind: 'wrote', count: block + 1 });
      await this.#give(block + 1);
    }
    if (holdsOn) await this.#holdOn();
    tell({ kind: 'done', added });
  }

  /**
   * Takes the lock for good, but only from another node: a count that only the dead node wrote could
   * not be found again.
   */
  async #holdOn(): Promise<never> {
    const remembered = this.#remembered;
    let block = await this.#take();
    while (block === remembered) {
      await this.#give(block);
      await this.#convert(EX);
      block = this.#block.getUint32(0, true);
    }
    this.#options.tell({ kind: 'holds on', block });
    return new Promise(() => undefined);
  }

  /** What the counter says now. */
  async read(): Promise<number> {
    await this.#convert(EX);
    const count = this.#block.getUint32(0, true);
    await this.#give(count);
    return count;
  }

  /**
   * Leaves the group, its lock dropped with it. Only when all have read: the block may live with this
   * node, and under o2dlm it is lost when its node goes and nobody holds PR or EX.
   */
  async leave(): Promise<void> {
    await this.#options.glue.clusterDisconnect(this.#connection);
  }

  /** NL to EX; what the block holds. */
  async #take(): Promise<number> {
    const { glue, tell } = this.#options;
    tell({ kind: 'asks' });
    await this.#convert(EX);
    this.#holdsEx = true;
    const block = this.#block.getUint32(0, true);
    tell({ kind: 'granted', block, valid: glue.dlmLvbValid(this.#lksb) });
    return block;
  }

  /** Writes the block and goes back to NL. */
  async #give(count: number): Promise<void> {
    this.#remembered = count;
    this.#block.setUint32(0, count, true);
    this.#holdsEx = false;
    await this.#convert(NL);
  }

  get #block(): DataView {
    const { buffer, byteOffset, byteLength } = this.#options.glue.dlmLvb(this.#lksb);
    return new DataView(buffer, byteOffset, byteLength);
  }

  async #convert(mode: typeof NL | typeof EX): Promise<void> {
    const { glue } = this.#options;
    await this.#request(() =>
      glue.dlmLock(this.#connection, mode, this.#lksb, CONVERT | VALBLK, RESOURCE),
    );
    const status = glue.dlmLockStatus(this.#lksb);
    if (status !== 0) throw new Error(`conversion to ${mode} ended with status ${status}`);
  }

  /** Makes a request and waits for its completion. */
  #request(make: () => number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#completed = resolve;
      const result = make();
      if (result !== 0) reject(new Error(`the request was refused: ${result}`));
    });
  }
}
