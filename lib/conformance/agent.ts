/**
 * One cluster node's part in the suite: it takes commands, acts on the glue of its node, and reports
 * results and events. All of it is plain data, so an agent may run in the test's own process or as a
 * program on another machine.
 */
import {
  DLM_LKF,
  DlmError,
  DlmLksb,
  type ClusterConnection,
  type ClusterNotice,
  type LockMode,
  type StackGlue,
} from '../glue.js';

/**
 * What an agent can be asked to do. `lock` names a lock of this node and `on` one of its connections,
 * by any string.
 */
export type Command =
  | {
      do: 'connect';
      on: string;
      stackName: string;
      group: string;
      version: [number, number];
      recoveryData?: unknown;
    }
  | { do: 'disconnect'; on: string }
  /** For stacks that have it: the cluster's members. */
  | { do: 'members'; on: string }
  /** The membership of the cluster's nodes; null where the stack cannot tell. */
  | { do: 'membership'; on: string }
  /** With `again`, in the lock status block that the lock of that name had before. */
  | {
      do: 'lock';
      on: string;
      lock: string;
      mode: LockMode;
      flags?: number;
      name: string;
      again?: boolean;
    }
  | { do: 'convert'; lock: string; mode: LockMode; flags?: number; lvb?: string }
  | { do: 'unlock'; lock: string; flags?: number; lvb?: string }
  | { do: 'look'; lock: string };

/** What a command came to: a value, or the error that it threw. */
export type Reply =
  { value: unknown } | { error: { code?: string; errno?: number | undefined; message: string } };

/** What a connect comes to: this node's number, and the version that the group runs at. */
export interface Connected {
  node: number;
  version: [number, number];
}

/** What a lock status block says. Value blocks are text, a byte a character, without trailing zeros. */
export interface LockState {
  status: number;
  /** `DLM_SBF`. */
  flags: number;
  lvb: string;
  lvbValid: boolean;
  lvbLength: number;
}

type Plain<Notice> = Notice extends { ring: bigint | undefined }
  ? Omit<Notice, 'ring'> & { readonly ring?: string | undefined }
  : Notice;

/** A notice; its ring in digits. */
export type PlainNotice = Plain<ClusterNotice>;

/** What `clusterMembership` says; its ring in digits. */
export interface PlainMembership {
  readonly ring: string;
  readonly isQuorate: boolean;
}

/** Something that the glue told its caller. `inside` is the call that had not returned yet. */
export type NodeEvent = { inside?: 'lock' | 'convert' | 'unlock' } & (
  | {
      event: 'lockAst';
      lock: string;
      status: number;
      flags: number;
      lvb: string;
      lvbValid: boolean;
    }
  | { event: 'blockingAst'; lock: string; level: number }
  | { event: 'unlockAst'; lock: string; error: number; of: 'unlock' | 'cancel' }
  | {
      event: 'nodeDown';
      on: string;
      node: number;
      ring?: string | undefined;
      recoveryData: unknown;
    }
  | { event: 'notice'; on: string; notice: PlainNotice; recoveryData: unknown }
);

/** A lock; what the lock and blocking ASTs are given. */
interface Held {
  readonly id: string;
  readonly lksb: DlmLksb;
  readonly connection: ClusterConnection;
  readonly glue: StackGlue;
}

/** What an unlock AST is given. */
interface Unlocking {
  readonly held: Held;
  readonly of: 'unlock' | 'cancel';
}

function textOf(lvb: Uint8Array): string {
  return Buffer.from(lvb).toString('latin1').replace(/\0+$/, '');
}

function plain(notice: ClusterNotice): PlainNotice {
  return 'ring' in notice ? { ...notice, ring: notice.ring?.toString() } : notice;
}

function stateOf({ glue, lksb }: Held): LockState {
  const lvb = glue.dlmLvb(lksb);
  return {
    status: glue.dlmLockStatus(lksb),
    flags: glue.dlmLockFlags(lksb),
    lvb: textOf(lvb),
    lvbValid: glue.dlmLvbValid(lksb),
    lvbLength: lvb.length,
  };
}

/** A node's agent. */
export class NodeAgent {
  readonly #makeGlue: () => StackGlue;
  readonly #emit: (event: NodeEvent) => void;
  /** By version: a glue's is set once. Connections of one version share a glue, and so a plugin. */
  readonly #glues = new Map<string, StackGlue>();
  readonly #connections = new Map<string, { glue: StackGlue; connection: ClusterConnection }>();
  readonly #locks = new Map<string, Held>();
  #inside: NodeEvent['inside'];

  /** `makeGlue` gives a glue in which the stack is registered, of the same node each time. */
  constructor(makeGlue: () => StackGlue, emit: (event: NodeEvent) => void) {
    this.#makeGlue = makeGlue;
    this.#emit = emit;
  }

  /** Does what is asked; never rejects. */
  async handle(command: Command): Promise<Reply> {
    try {
      return { value: await this.#do(command) };
    } catch (error) {
      const { message } = error as Error;
      return {
        error:
          error instanceof DlmError
            ? { code: error.code, errno: error.errno, message }
            : { message },
      };
    }
  }

  #do(command: Command): unknown {
    switch (command.do) {
      case 'connect':
        return this.#connect(command);
      case 'disconnect': {
        const { glue, connection } = this.#connected(command.on);
        this.#connections.delete(command.on);
        return glue.clusterDisconnect(connection);
      }
      case 'members': {
        const { glue, connection } = this.#connected(command.on);
        return glue.clusterMembers(connection);
      }
      case 'membership': {
        const { glue, connection } = this.#connected(command.on);
        const known = glue.clusterMembership(connection);
        return known === undefined ? null : { ...known, ring: known.ring.toString() };
      }
      case 'lock': {
        const { on, lock, mode, flags = 0, name, again = false } = command;
        const lksb = again ? this.#held(command).lksb : new DlmLksb();
        const held: Held = { id: lock, lksb, ...this.#connected(on) };
        this.#locks.set(lock, held);
        return this.#call('lock', () =>
          held.glue.dlmLock(held.connection, mode, lksb, flags, name, held),
        );
      }
      case 'convert': {
        const { glue, connection, lksb } = this.#held(command);
        const flags = (command.flags ?? 0) | DLM_LKF.CONVERT;
        return this.#call('convert', () => glue.dlmLock(connection, command.mode, lksb, flags, ''));
      }
      case 'unlock': {
        const held = this.#held(command);
        const { flags = 0 } = command;
        const of = (flags & DLM_LKF.CANCEL) === 0 ? 'unlock' : 'cancel';
        const astarg: Unlocking = { held, of };
        return this.#call('unlock', () =>
          held.glue.dlmUnlock(held.connection, held.lksb, flags, astarg),
        );
      }
      case 'look':
        return stateOf(this.#held(command));
    }
  }

  /** Makes a request; what the stack tells before it has returned is marked. */
  #call(name: NonNullable<NodeEvent['inside']>, request: () => number): number {
    this.#inside = name;
    try {
      return request();
    } finally {
      this.#inside = undefined;
    }
  }

  #tell(event: NodeEvent): void {
    this.#emit(this.#inside === undefined ? event : { ...event, inside: this.#inside });
  }

  async #connect(command: Extract<Command, { do: 'connect' }>): Promise<Connected> {
    const { on, stackName, group, version, recoveryData } = command;
    if (this.#connections.has(on)) throw new Error(`the agent has a connection "${on}" already`);
    const glue = this.#glueFor(version);
    glue.clusterStack = stackName;
    const connection = await glue.clusterConnect({
      stackName,
      group,
      recoveryData,
      recoveryHandler: (node, data, ring) =>
        this.#tell({ event: 'nodeDown', on, node, ring: ring?.toString(), recoveryData: data }),
      noticeHandler: (notice, data) =>
        this.#tell({ event: 'notice', on, notice: plain(notice), recoveryData: data }),
    });
    this.#connections.set(on, { glue, connection });
    const { major, minor } = connection.version;
    return { node: glue.clusterThisNode(connection), version: [major, minor] };
  }

  #glueFor([major, minor]: [number, number]): StackGlue {
    const key = `${major}.${minor}`;
    const known = this.#glues.get(key);
    if (known !== undefined) return known;
    const glue = this.#makeGlue();
    glue.setLockingProtocol({
      maxVersion: { major, minor },
      lockAst: (astarg) => {
        const held = astarg as Held;
        const { status, flags, lvb, lvbValid } = stateOf(held);
        this.#tell({ event: 'lockAst', lock: held.id, status, flags, lvb, lvbValid });
      },
      blockingAst: (astarg, level) =>
        this.#tell({ event: 'blockingAst', lock: (astarg as Held).id, level }),
      unlockAst: (astarg, error) => {
        const { held, of } = astarg as Unlocking;
        this.#tell({ event: 'unlockAst', lock: held.id, error, of });
      },
    });
    this.#glues.set(key, glue);
    return glue;
  }

  #connected(on: string): { glue: StackGlue; connection: ClusterConnection } {
    const connected = this.#connections.get(on);
    if (connected === undefined) throw new Error(`the agent has no connection "${on}"`);
    return connected;
  }

  #held(command: { lock: string; lvb?: string }): Held {
    const held = this.#locks.get(command.lock);
    if (held === undefined) throw new Error(`the agent has no lock "${command.lock}"`);
    if (command.lvb !== undefined) {
      held.glue.dlmLvb(held.lksb).fill(0).set(Buffer.from(command.lvb, 'latin1'));
    }
    return held;
  }
}
