/** A simulated node with a glue of its own, and what the tests here say about errors. */
import { expect } from 'chai';

import {
  createEmulatedUserPlugin,
  createO2cbPlugin,
  DLM_LOCK,
  DlmError,
  DlmLksb,
  StackGlue,
  type ClusterConnection,
  type DlmErrorCode,
  type LockingProtocol,
  type LockMode,
  type StackOperations,
  type StackPlugin,
} from '../../lib/glue.js';

/** One call of a handler. `at` is what it was called with first: the astarg, or the recovery data. */
export type Call =
  | { kind: 'lockAst'; at: unknown }
  | { kind: 'blockingAst'; at: unknown; level: LockMode }
  | { kind: 'unlockAst'; at: unknown; error: number }
  | { kind: 'nodeDown'; at: unknown; node: number };

interface Waiter {
  readonly kind: Call['kind'];
  readonly at: unknown;
  readonly found: (call: Call) => void;
}

let clusters = 0;

/** A cluster name that no other test uses. */
export function freshCluster(): string {
  clusters += 1;
  return `stackglue-test-${process.pid}-${clusters}`;
}

const openConnections: { glue: StackGlue; connection: ClusterConnection }[] = [];

/** For `afterEach`: a failed test must not leave a connection that keeps the run from ending. */
export async function disconnectTestNodes(): Promise<void> {
  for (const { glue, connection } of openConnections.splice(0)) {
    if (connection.state === 'connected') await glue.clusterDisconnect(connection);
  }
}

/** One node, whose handlers record their calls. */
export class TestNode {
  readonly glue = new StackGlue();
  readonly plugin: StackPlugin;
  /** Every call so far. */
  readonly calls: Call[] = [];
  /** Runs inside the handler, after the call is recorded. */
  onCall: (call: Call) => void = () => undefined;
  readonly protocol: LockingProtocol = {
    maxVersion: { major: 1, minor: 0 },
    lockAst: (at) => this.#record({ kind: 'lockAst', at }),
    blockingAst: (at, level) => this.#record({ kind: 'blockingAst', at, level }),
    unlockAst: (at, error) => this.#record({ kind: 'unlockAst', at, error }),
  };
  readonly #unclaimed: Call[] = [];
  readonly #waiters = new Set<Waiter>();

  constructor(
    node = 0,
    cluster = freshCluster(),
    /** Of the emulated stack `user` nodes are numbered from 1. */
    readonly stackName: 'o2cb' | 'pcmk' = 'o2cb',
  ) {
    this.plugin =
      stackName === 'o2cb'
        ? createO2cbPlugin({ node, cluster })
        : createEmulatedUserPlugin({ node: node + 1, cluster });
    this.glue.register(this.plugin);
    this.glue.clusterStack = stackName;
    this.glue.setLockingProtocol(this.protocol);
  }

  async connect(group = 'group', recoveryData?: unknown): Promise<ClusterConnection> {
    const connection = await this.glue.clusterConnect({
      stackName: this.stackName,
      group,
      recoveryHandler: (node, at) => this.#record({ kind: 'nodeDown', at, node }),
      recoveryData,
    });
    openConnections.push({ glue: this.glue, connection });
    return connection;
  }

  /** The next call of that kind with that argument that nobody has claimed. */
  next<Kind extends Call['kind']>(kind: Kind, at: unknown): Promise<Extract<Call, { kind: Kind }>> {
    const index = this.#unclaimed.findIndex((call) => call.kind === kind && call.at === at);
    return new Promise((resolve) => {
      const found = (call: Call) => resolve(call as Extract<Call, { kind: Kind }>);
      if (index >= 0) found(this.#unclaimed.splice(index, 1)[0]!);
      else this.#waiters.add({ kind, at, found });
    });
  }

  /** The arguments of the unlock ASTs once there have been `count`. */
  async unlockAstargs(count: number): Promise<unknown[]> {
    for (;;) {
      const unlocks = this.calls.filter(({ kind }) => kind === 'unlockAst');
      if (unlocks.length >= count) return unlocks.map(({ at }) => at);
      await new Promise(setImmediate);
    }
  }

  /** Takes a lock with a new lksb and waits for the grant. */
  async lock(
    connection: ClusterConnection,
    name: string,
    mode: LockMode = DLM_LOCK.EX,
    flags = 0,
  ): Promise<DlmLksb> {
    const lksb = new DlmLksb();
    await this.relock(connection, lksb, name, mode, flags);
    return lksb;
  }

  /** The same with an lksb that is there. */
  async relock(
    connection: ClusterConnection,
    lksb: DlmLksb,
    name: string,
    mode: LockMode = DLM_LOCK.EX,
    flags = 0,
  ): Promise<void> {
    expect(this.glue.dlmLock(connection, mode, lksb, flags, name)).to.equal(0);
    await this.next('lockAst', lksb);
    expect(this.glue.dlmLockStatus(lksb)).to.equal(0);
  }

  /** Unlocks a lock whose astarg is its lksb, and waits until it is gone. */
  async unlock(connection: ClusterConnection, lksb: DlmLksb, flags = 0): Promise<void> {
    expect(this.glue.dlmUnlock(connection, lksb, flags)).to.equal(0);
    expect(await this.next('unlockAst', lksb)).to.include({ error: 0 });
  }

  #record(call: Call): void {
    this.calls.push(call);
    const waiter = [...this.#waiters].find(({ kind, at }) => call.kind === kind && call.at === at);
    if (waiter === undefined) {
      this.#unclaimed.push(call);
    } else {
      this.#waiters.delete(waiter);
      waiter.found(call);
    }
    this.onCall(call);
  }
}

/** A stack that does nothing, and says so at once. */
export function fakePlugin(name: string, operations: Partial<StackOperations> = {}): StackPlugin {
  return {
    name,
    scope: 'process',
    features: createO2cbPlugin().features,
    operations: {
      connect: () => Promise.resolve(),
      disconnect: () => Promise.resolve(),
      thisNode: () => 7,
      dlmLock: () => 0,
      dlmUnlock: () => 0,
      lockStatus: () => 0,
      lockMode: () => undefined,
      lvbValid: () => true,
      lockLvb: () => new Uint8Array(64),
      ...operations,
    },
  };
}

/** A protocol that nobody calls. */
export function silentProtocol(major = 1, minor = 0): LockingProtocol {
  const nothing = () => undefined;
  return {
    maxVersion: { major, minor },
    lockAst: nothing,
    blockingAst: nothing,
    unlockAst: nothing,
  };
}

/** What `action` throws or rejects with; fails when it does neither. */
export async function failure(action: () => unknown): Promise<Error> {
  try {
    await action();
  } catch (error) {
    expect(error).to.be.an.instanceOf(Error);
    return error as Error;
  }
  throw new Error('it did not fail');
}

/** The same for a failure that must be a `DlmError` of that code. */
export async function dlmFailure(code: DlmErrorCode, action: () => unknown): Promise<DlmError> {
  const error = await failure(action);
  if (!(error instanceof DlmError)) throw error;
  expect(error).to.include({ code, name: 'DlmError' });
  return error;
}
