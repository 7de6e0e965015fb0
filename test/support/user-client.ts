/** A connection to stack `user` whose events can be awaited, for specs and programs in a guest. */
import {
  DLM_LOCK,
  DlmLksb,
  StackGlue,
  type ClusterConnection,
  type LockMode,
  type UserStackOptions,
} from '../../lib/glue.js';
import { createTestPlugin } from './user-plugin.js';

/** A lock, and what becomes of its first request. */
export interface UserLock {
  readonly lksb: DlmLksb;
  /** Its status, once the request has ended. */
  readonly completed: Promise<number>;
  /** Settles when somebody waits for it. */
  readonly blocking: Promise<void>;
}

interface Handlers {
  completed(): void;
  blocking(): void;
  unlocked(error: number): void;
}

/** See the top of this file. */
export class UserClient {
  readonly glue = new StackGlue();
  connection!: ClusterConnection;
  readonly #handlers = new Map<DlmLksb, Handlers>();

  constructor(options: UserStackOptions = {}) {
    this.glue.register(createTestPlugin(options));
    this.glue.clusterStack = 'pcmk';
    this.glue.setLockingProtocol({
      maxVersion: { major: 1, minor: 0 },
      lockAst: (lksb) => this.#of(lksb).completed(),
      blockingAst: (lksb) => this.#of(lksb).blocking(),
      unlockAst: (lksb, error) => this.#of(lksb).unlocked(error),
    });
  }

  async connect(group: string): Promise<void> {
    this.connection = await this.glue.clusterConnect({
      stackName: 'pcmk',
      group,
      recoveryHandler: () => undefined,
    });
  }

  /** Asks for a lock; throws when the call refuses. */
  ask(name: string, mode: LockMode = DLM_LOCK.EX, flags = 0): UserLock {
    const lksb = new DlmLksb();
    const handlers: Handlers = {
      completed: () => undefined,
      blocking: () => undefined,
      unlocked: () => undefined,
    };
    this.#handlers.set(lksb, handlers);
    const lock = {
      lksb,
      completed: new Promise<number>((resolve) => {
        handlers.completed = () => {
          resolve(this.glue.dlmLockStatus(lksb));
        };
      }),
      blocking: new Promise<void>((resolve) => (handlers.blocking = resolve)),
    };
    check(this.glue.dlmLock(this.connection, mode, lksb, flags, name));
    return lock;
  }

  /** Asks for a lock and waits until it is granted. */
  async lock(name: string, mode: LockMode = DLM_LOCK.EX, flags = 0): Promise<UserLock> {
    const lock = this.ask(name, mode, flags);
    check(await lock.completed);
    return lock;
  }

  /** Resolves when the lock is gone. */
  async unlock({ lksb }: UserLock, flags = 0): Promise<void> {
    const handlers = this.#of(lksb);
    const error = new Promise<number>((resolve) => (handlers.unlocked = resolve));
    check(this.glue.dlmUnlock(this.connection, lksb, flags));
    check(await error);
    this.#handlers.delete(lksb);
  }

  disconnect(): Promise<void> {
    return this.glue.clusterDisconnect(this.connection);
  }

  #of(lksb: unknown): Handlers {
    const handlers = this.#handlers.get(lksb as DlmLksb);
    if (handlers === undefined) throw new Error('an event for a lock that was given up');
    return handlers;
  }
}

function check(result: number): void {
  if (result !== 0) throw new Error(`refused: ${result}`);
}
