/**
 * One node's part in a batch of sequences: it gives their commands to the glue and keeps what the
 * locks are told. The same code runs in the guests, on the kernel's DLM, and in this process, on the
 * engine, so that what is compared is what a program sees.
 */
import {
  DLM_LKF,
  DLM_LOCK,
  DlmLksb,
  type ClusterConnection,
  type LockMode,
  type StackGlue,
} from '../../../lib/glue.js';

/**
 * A command on its way to a node: what to do, the lock's number in the batch, mode, flags, and the
 * resource's name or the value block, if any.
 */
export type WireCommand = readonly [
  what: 'l' | 'c' | 'u',
  lock: number,
  mode: number,
  flags: number,
  text?: string,
];

/**
 * What a lock was told, by its number: `c` a completion, `b` a blocking AST (value: the level), `u`
 * and `x` the unlock AST of an unlock and of a cancel, `r` a call's result if not 0; `n` (for lock -1)
 * the death of a node. With completions come the flags and the value block.
 */
export type WireEvent = readonly [
  lock: number,
  kind: 'c' | 'b' | 'u' | 'x' | 'r' | 'n',
  value: number,
  flags?: number,
  lvb?: string,
];

/** Any label but "o2cb" is served by the plugin named `user`. */
const STACK = 'pcmk';
const { NL } = DLM_LOCK;
const { CANCEL, CONVERT } = DLM_LKF;

/** What lock and blocking ASTs are given. */
interface Asker {
  granted(): void;
  blocking(level: number): void;
}

/** What unlock ASTs are given. */
type Unlocked = (error: number) => void;

function textOf(lvb: Uint8Array): string {
  return Buffer.from(lvb.subarray(0, 32)).toString('latin1').replace(/\0+$/, '');
}

/** A node's agent, connected to one lockspace. */
export class Agent {
  readonly #glue: StackGlue;
  readonly #connection: ClusterConnection;
  readonly #locks = new Map<number, DlmLksb>();
  readonly #fences = new Map<number, DlmLksb>();
  /** Fences whose answer is due. */
  #due = 0;
  #answered: (() => void) | undefined;
  readonly #events: WireEvent[];

  private constructor(glue: StackGlue, connection: ClusterConnection, events: WireEvent[]) {
    this.#glue = glue;
    this.#connection = connection;
    this.#events = events;
  }

  /** Connects to a lockspace. The glue is this agent's own, its plugin is registered. */
  static async connect(glue: StackGlue, lockspace: string): Promise<Agent> {
    glue.clusterStack = STACK;
    glue.setLockingProtocol({
      maxVersion: { major: 1, minor: 0 },
      lockAst: (asker) => (asker as Asker).granted(),
      blockingAst: (asker, level) => (asker as Asker).blocking(level),
      unlockAst: (unlocked, error) => (unlocked as Unlocked)(error),
    });
    const events: WireEvent[] = [];
    const connection = await glue.clusterConnect({
      stackName: STACK,
      group: lockspace,
      recoveryHandler: (node) => events.push([-1, 'n', node]),
    });
    return new Agent(glue, connection, events);
  }

  disconnect(): Promise<void> {
    return this.#glue.clusterDisconnect(this.#connection);
  }

  /** Takes part in the fence of a node: the first that does so is the master of its resource. */
  addFence(node: number, name: string): Promise<void> {
    const lksb = new DlmLksb();
    this.#fences.set(node, lksb);
    return this.#await(1, () => {
      this.#expect(this.#glue.dlmLock(this.#connection, NL, lksb, 0, name, this.#fence(lksb)));
    });
  }

  /** Nobody is there any more to answer. */
  removeFence(node: number): void {
    this.#fences.delete(node);
  }

  /**
   * Asks each master of a fence once. When it resolves, all that this node has sent them before has
   * been processed, and all that they had sent here before they answered has been told.
   */
  ping(): Promise<void> {
    return this.#await(this.#fences.size, () => {
      for (const lksb of this.#fences.values()) {
        this.#expect(this.#glue.dlmLock(this.#connection, NL, lksb, CONVERT, ''));
      }
    });
  }

  #await(answers: number, ask: () => void): Promise<void> {
    return new Promise((resolve) => {
      this.#due = answers;
      this.#answered = resolve;
      ask();
      if (answers === 0) resolve();
    });
  }

  #expect(result: number): void {
    if (result !== 0) throw new Error(`a fence was refused: ${result}`);
  }

  #fence(lksb: DlmLksb): Asker {
    return {
      granted: () => {
        this.#expect(this.#glue.dlmLockStatus(lksb));
        this.#due -= 1;
        if (this.#due === 0) this.#answered?.();
      },
      blocking: () => {
        throw new Error('a fence is in nobody\u2019s way');
      },
    };
  }

  /** Gives a command. */
  perform([what, lock, mode, flags, text]: WireCommand): void {
    const result =
      what === 'l'
        ? this.#lock(lock, mode, flags, text ?? '')
        : this.#change(what, lock, mode, flags, text);
    if (result !== 0) this.#events.push([lock, 'r', result]);
  }

  #lock(lock: number, mode: number, flags: number, name: string): number {
    const lksb = new DlmLksb();
    this.#locks.set(lock, lksb);
    const asker: Asker = {
      granted: () => {
        this.#events.push([
          lock,
          'c',
          this.#glue.dlmLockStatus(lksb),
          this.#glue.dlmLockFlags(lksb),
          textOf(this.#glue.dlmLvb(lksb)),
        ]);
      },
      blocking: (level) => this.#events.push([lock, 'b', level]),
    };
    return this.#glue.dlmLock(this.#connection, mode as LockMode, lksb, flags, name, asker);
  }

  #change(what: 'c' | 'u', lock: number, mode: number, flags: number, lvb?: string): number {
    const lksb = this.#locks.get(lock);
    if (lksb === undefined) throw new Error(`there is no lock ${lock}`);
    if (lvb !== undefined) this.#glue.dlmLvb(lksb).fill(0).set(Buffer.from(lvb, 'latin1'));
    if (what === 'c') {
      return this.#glue.dlmLock(this.#connection, mode as LockMode, lksb, flags | CONVERT, '');
    }
    const kind = (flags & CANCEL) === 0 ? 'u' : 'x';
    const unlocked: Unlocked = (error) => {
      this.#events.push([lock, kind, error, this.#glue.dlmLockFlags(lksb)]);
    };
    return this.#glue.dlmUnlock(this.#connection, lksb, flags, unlocked);
  }

  /**
   * Ends what is under way (`cancel`), or gives up all locks; tells how many were asked to end. Locks
   * must not be left to the end of the process, which kernel 6.1 may not survive: README.md.
   */
  drain(how: 'cancel' | 'unlock'): number {
    const flags = how === 'cancel' ? CANCEL : 0;
    let asked = 0;
    for (const lksb of this.#locks.values()) {
      const unlocked: Unlocked = () => undefined;
      if (this.#glue.dlmUnlock(this.#connection, lksb, flags, unlocked) === 0) asked += 1;
    }
    return asked;
  }

  /** What the locks have been told since the last call. */
  take(): WireEvent[] {
    return this.#events.splice(0);
  }
}
