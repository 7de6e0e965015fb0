/** Nodes of a simulation whose connections write down all that they are told. */
import { DlmLksb, type ClusterConnection, type StackGlue } from '../../lib/glue.js';
import type { NodeContext } from '../../lib/simulator/index.js';
import { connectNode, take } from './lock-program.js';

/** A connection, and what it was told, in order. */
export class Teller {
  readonly told: string[] = [];
  glue!: StackGlue;
  connection!: ClusterConnection;
  isConnected = false;
  readonly #node: NodeContext;

  constructor(node: NodeContext) {
    this.#node = node;
  }

  async connect(group = 'test'): Promise<this> {
    const handlers = {
      nodeDown: (dead: number) => void this.told.push(`died ${dead}`),
      notice: (notice: { kind: string; node?: number; locks: string }) => {
        const { kind, node, locks } = notice;
        this.told.push(node === undefined ? `${kind} ${locks}` : `${kind} ${node}`);
      },
    };
    const version = { major: 1, minor: 0 };
    const { glue, connection } = await connectNode(this.#node, handlers, version, group);
    this.glue = glue;
    this.connection = connection;
    this.isConnected = true;
    return this;
  }

  /** Asks for EX; what becomes of it is told: `granted lock`, or `ended lock <status>`. */
  ask(name = 'lock', flags = 0): DlmLksb {
    const lksb = new DlmLksb();
    take(this.glue, this.connection, lksb, name, flags).then(
      () => this.told.push(`granted ${name}`),
      (error: unknown) => this.told.push(`${name} ${(error as Error).message}`),
    );
    return lksb;
  }

  give(lksb: DlmLksb, name = 'lock'): void {
    const ended = (error: number): void => void this.told.push(`unlocked ${name} ${error}`);
    const result = this.glue.dlmUnlock(this.connection, lksb, 0, ended);
    if (result !== 0) this.told.push(`unlock refused ${result}`);
  }

  disconnect(): Promise<void> {
    return this.glue.clusterDisconnect(this.connection);
  }

  members(): number[] {
    return this.glue.clusterMembers(this.connection).map(({ node }) => node);
  }
}
