/**
 * One cluster node's part in a test: it takes commands, acts on the glue of its node, and reports
 * results and events. The same agent runs in the test's own process on the emulation and as a program
 * on each virtual machine, so that one test speaks to both.
 */
import {
  DLM_LKF,
  DlmError,
  DlmLksb,
  type ClusterConnection,
  type LockMode,
  type StackGlue,
} from '../../lib/index.js';

/** What an agent can be asked to do. `lock` names a lock of this node, by any string. */
export type Command =
  | { do: 'connect'; stackName: string; group: string; version?: [number, number] }
  | { do: 'disconnect' }
  | { do: 'lock'; lock: string; mode: LockMode; flags?: number; name: string }
  | { do: 'convert'; lock: string; mode: LockMode; flags?: number; lvb?: string }
  | { do: 'unlock'; lock: string; flags?: number; lvb?: string }
  | { do: 'lvb'; lock: string };

/** What a command came to: a value, or the error that it threw. */
export type Reply =
  { value: unknown } | { error: { code?: string; errno?: number | undefined; message: string } };

/** What a connect comes to: this node's number, and the version that the group runs at. */
export interface Connected {
  node: number;
  version: [number, number];
}

/** Something that the glue told its caller. Value blocks are text without trailing zeros. */
export type NodeEvent =
  | { event: 'lockAst'; lock: string; status: number; lvb: string; lvbValid: boolean }
  | { event: 'blockingAst'; lock: string; level: number }
  | { event: 'unlockAst'; lock: string; error: number }
  | { event: 'nodeDown'; node: number };

interface Held {
  readonly id: string;
  readonly lksb: DlmLksb;
}

function textOf(lvb: Uint8Array): string {
  return Buffer.from(lvb).toString('latin1').replace(/\0+$/, '');
}

/** A node's agent. */
export class NodeAgent {
  readonly #makeGlue: () => StackGlue;
  #glue: StackGlue;
  readonly #emit: (event: NodeEvent) => void;
  readonly #locks = new Map<string, Held>();
  #connection: ClusterConnection | undefined;

  /** `makeGlue` is called for each connect, for a glue's protocol version is set once. */
  constructor(makeGlue: () => StackGlue, emit: (event: NodeEvent) => void) {
    this.#makeGlue = makeGlue;
    this.#glue = makeGlue();
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
      case 'disconnect':
        return this.#glue.clusterDisconnect(this.#connected());
      case 'lock': {
        const held = { id: command.lock, lksb: new DlmLksb() };
        this.#locks.set(command.lock, held);
        const { mode, flags = 0, name } = command;
        return this.#glue.dlmLock(this.#connected(), mode, held.lksb, flags, name, held);
      }
      case 'convert': {
        const { lksb } = this.#held(command);
        const flags = (command.flags ?? 0) | DLM_LKF.CONVERT;
        return this.#glue.dlmLock(this.#connected(), command.mode, lksb, flags, '');
      }
      case 'unlock': {
        const { lksb } = this.#held(command);
        return this.#glue.dlmUnlock(this.#connected(), lksb, command.flags ?? 0);
      }
      case 'lvb':
        return textOf(this.#glue.dlmLvb(this.#held(command).lksb));
    }
  }

  async #connect(command: Extract<Command, { do: 'connect' }>): Promise<Connected> {
    this.#glue = this.#makeGlue();
    const [major, minor] = command.version ?? [1, 0];
    this.#glue.setLockingProtocol({
      maxVersion: { major, minor },
      lockAst: (held) => {
        const { id, lksb } = held as Held;
        this.#emit({
          event: 'lockAst',
          lock: id,
          status: this.#glue.dlmLockStatus(lksb),
          lvb: textOf(this.#glue.dlmLvb(lksb)),
          lvbValid: this.#glue.dlmLvbValid(lksb),
        });
      },
      blockingAst: (held, level) =>
        this.#emit({ event: 'blockingAst', lock: (held as Held).id, level }),
      unlockAst: (held, error) =>
        this.#emit({ event: 'unlockAst', lock: (held as Held).id, error }),
    });
    this.#glue.clusterStack = command.stackName;
    this.#connection = await this.#glue.clusterConnect({
      stackName: command.stackName,
      group: command.group,
      recoveryHandler: (node) => this.#emit({ event: 'nodeDown', node }),
    });
    const { version } = this.#connection;
    return {
      node: this.#glue.clusterThisNode(this.#connection),
      version: [version.major, version.minor],
    };
  }

  #connected(): ClusterConnection {
    if (this.#connection === undefined) throw new Error('the agent is not connected');
    return this.#connection;
  }

  #held(command: { lock: string; lvb?: string }): Held {
    const held = this.#locks.get(command.lock);
    if (held === undefined) throw new Error(`the agent has no lock "${command.lock}"`);
    if (command.lvb !== undefined) {
      this.#glue.dlmLvb(held.lksb).fill(0).set(Buffer.from(command.lvb, 'latin1'));
    }
    return held;
  }
}
