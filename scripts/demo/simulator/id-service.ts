/**
 * A small service, written for the lock manager and not for the simulator: it hands out numbers, each
 * once in the whole cluster.
 *
 * The last number is on a disk that all nodes share, which is slow, and in a lock's value block, which
 * comes with the lock. Only when the block is lost, because its holder died, must the disk be read.
 */
import {
  DLM_LKF,
  DLM_LOCK,
  DlmLksb,
  type ClusterConnection,
  type StackGlue,
} from '../../../lib/glue.js';

const { NL, EX } = DLM_LOCK;
const { CONVERT, VALBLK } = DLM_LKF;

/** The disk that all nodes share. */
export interface SharedDisk {
  read(): Promise<number>;
  write(last: number): Promise<void>;
}

/** What the service needs. */
export interface IdServiceOptions {
  readonly glue: StackGlue;
  readonly stackName: string;
  readonly disk: SharedDisk;
  /** The planted bug, when false: what is in the value block is believed, whatever happened to it. */
  readonly checksBlock: boolean;
}

/** One node of the service. */
export class IdService {
  readonly #options: IdServiceOptions;
  readonly #lksb = new DlmLksb();
  #connection!: ClusterConnection;
  #completed: () => void = () => undefined;

  constructor(options: IdServiceOptions) {
    this.#options = options;
  }

  /** Joins the others. */
  async start(): Promise<void> {
    const { glue, stackName } = this.#options;
    glue.setLockingProtocol({
      maxVersion: { major: 1, minor: 0 },
      lockAst: () => this.#completed(),
      unlockAst: () => this.#completed(),
      // It never holds the lock for longer than it needs.
      blockingAst: () => undefined,
    });
    glue.clusterStack = stackName;
    this.#connection = await glue.clusterConnect({
      stackName,
      group: 'ids',
      recoveryHandler: () => undefined,
    });
    await this.#request(NL, VALBLK);
  }

  /** A number that nobody else gets. */
  async next(): Promise<number> {
    const { glue, disk, checksBlock } = this.#options;
    await this.#request(EX, CONVERT | VALBLK);
    const { buffer, byteOffset, byteLength } = glue.dlmLvb(this.#lksb);
    const block = Buffer.from(buffer, byteOffset, byteLength);
    let last = block.readUInt32LE(0);
    // o2dlm zeroes a block that it has lost; fs/dlm says that it is not valid.
    const isLost = last === 0 || !glue.dlmLvbValid(this.#lksb);
    if (isLost && checksBlock) last = await disk.read();
    last += 1;
    await disk.write(last);
    block.writeUInt32LE(last, 0);
    await this.#request(NL, CONVERT | VALBLK);
    return last;
  }

  /** One request to its end. */
  async #request(mode: typeof NL | typeof EX, flags: number): Promise<void> {
    const { glue } = this.#options;
    const completed = new Promise<void>((resolve) => (this.#completed = resolve));
    const result = glue.dlmLock(this.#connection, mode, this.#lksb, flags, 'last');
    if (result !== 0) throw new Error(`the lock was refused: ${result}`);
    await completed;
    const status = glue.dlmLockStatus(this.#lksb);
    if (status !== 0) throw new Error(`the lock was not granted: ${status}`);
  }
}
