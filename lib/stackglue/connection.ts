/**
 * A cluster connection, `ocfs2_cluster_connection`, from both sides: what a program has of it, and what its
 * stack has.
 */
import { inspect, type InspectOptions } from 'node:util';

import { reportRejection } from '../async-handler.js';
import type { LockMode } from '../constants.js';
import { lksbState, type DlmLksb } from './lksb.js';
import type { ClusterNotice, NoticeHandler } from './notices.js';
import { realClock, type StackClock, type StackPlugin, type StackScope } from './plugin.js';
import { formatVersion, type LockingProtocol, type ProtocolVersion } from './protocol.js';

/**
 * `cc_recovery_handler`: node `nodeNumber` has died. `ring`, which the kernel does not have, is what
 * `clusterMembership` says from then on; undefined where it says nothing.
 */
export type RecoveryHandler = (
  nodeNumber: number,
  recoveryData: unknown,
  ring: bigint | undefined,
) => void;

/** What a stack tells a connection. */
export type StackUpcalls = Pick<
  StackConnection,
  'lockAst' | 'blockingAst' | 'unlockAst' | 'nodeDown' | 'notice'
>;

/** Where a connection is in its life. */
export type ConnectionState = 'connecting' | 'connected' | 'disconnecting' | 'disconnected';

/** A protocol's handlers, whatever they return. */
interface Handlers {
  lockAst(astarg: unknown): unknown;
  blockingAst(astarg: unknown, level: LockMode): unknown;
  unlockAst(astarg: unknown, error: number): unknown;
}

/** What `clusterConnect` fills in. */
export interface ConnectionInit {
  readonly name: string;
  readonly clusterName: string;
  readonly protocol: LockingProtocol<never>;
  readonly recoveryHandler: RecoveryHandler;
  readonly noticeHandler: NoticeHandler | undefined;
  readonly recoveryData: unknown;
  readonly plugin: StackPlugin;
  readonly glue: object;
}

/** For people: what there is to see of a connection. */
function inspectConnection(this: unknown, _depth: number, options: InspectOptions): string {
  const stack = stackConnection(this);
  // Of an object that only has one for its prototype.
  if (stack === undefined) return 'ClusterConnection {}';
  const { name, scope, state, version } = stack;
  const seen = { name, scope, state, version: formatVersion(version) };
  return `ClusterConnection ${inspect(seen, options)}`;
}

let stackConnection: (connection: unknown) => StackConnection | undefined;

/**
 * A connection to one group (lockspace, domain) of the active stack, as the program has it that made it by
 * `clusterConnect`. It keeps the event loop alive until it is disconnected, unless `unref()` was called.
 *
 * `Astarg`: what its protocol's handlers take.
 */
export class ClusterConnection<in Astarg = unknown> {
  readonly #stack: StackConnection;

  /** Made by the glue. */
  constructor(stack: StackConnection) {
    this.#stack = stack;
  }

  static {
    stackConnection = (connection) => {
      try {
        return (connection as ClusterConnection<never>).#stack;
      } catch {
        // To look first would take more bytecode, and V8 has room for little on the way of every lock.
        return undefined;
      }
    };
    // Not declared: the types of the package do without Node.js's.
    Object.defineProperty(this.prototype, inspect.custom, { value: inspectConnection });
  }

  /** `cc_name`: the group. */
  get name(): string {
    return this.#stack.name;
  }

  /** `cc_cluster_name`; empty when none was given. */
  get clusterName(): string {
    return this.#stack.clusterName;
  }

  /** `cc_version`: what the group runs at. */
  get version(): ProtocolVersion {
    return this.#stack.version;
  }

  /** `cc_proto` */
  get protocol(): LockingProtocol<Astarg> {
    // What it was connected with: the glue saw to it.
    return this.#stack.protocol as LockingProtocol<Astarg>;
  }

  /** `cc_recovery_data` */
  get recoveryData(): unknown {
    return this.#stack.recoveryData;
  }

  /** How far the locks reach: `process` for the emulation, `cluster` for the real thing. */
  get scope(): StackScope {
    return this.#stack.scope;
  }

  /** Time and chance for what is built on it: those of its stack. */
  get clock(): StackClock {
    return this.#stack.clock;
  }

  /** Where it is in its life. */
  get state(): ConnectionState {
    return this.#stack.state;
  }

  /** Keeps the event loop alive while connected (the default). */
  ref(): this {
    this.#stack.setRef(true);
    return this;
  }

  /** Lets the process end although the connection is open. */
  unref(): this {
    this.#stack.setRef(false);
    return this;
  }
}

/**
 * What the stack has of a program's connection, for plugins with calls of their own; undefined when it is none
 * of a `ClusterConnection`. One function, because every call about a lock asks.
 */
export const stackConnectionOf = stackConnection;

/** A connection as its stack has it, in all of its operations. Made by `clusterConnect`. */
export class StackConnection {
  /** `cc_name`: the group. */
  readonly name: string;
  /** `cc_cluster_name`; empty when none was given. */
  readonly clusterName: string;
  /** `cc_version`: what the group runs at. Set by the stack while it connects. */
  version: ProtocolVersion;
  /** `cc_proto` */
  readonly protocol: LockingProtocol<never>;
  /** `cc_recovery_data` */
  readonly recoveryData: unknown;
  /** How far the locks reach: `process` for the emulation, `cluster` for the real thing. */
  readonly scope: StackScope;
  /** Time and chance for what is built on it: those of its plugin. */
  readonly clock: StackClock;
  /** The plugin that serves it; the operations hang here rather than on a global. */
  readonly plugin: StackPlugin;
  /** The glue that made it, and the only one that may use it. */
  readonly glue: object;
  /** `cc_private`: the stack's own. */
  private: unknown = undefined;
  /** Where the connection is in its life. Set by the glue. */
  state: ConnectionState = 'connecting';
  /** Who is told of what a handler throws. Absent: it is an uncaught exception. */
  onHandlerError: ((error: unknown) => void) | undefined = undefined;

  /** What the program has of it. */
  readonly handle = new ClusterConnection<never>(this);

  /** As they are to this class: what an async one returns tells how it ended. */
  readonly #handlers: Handlers;
  readonly #recoveryHandler: (...args: Parameters<RecoveryHandler>) => unknown;
  readonly #noticeHandler: ((...args: Parameters<NoticeHandler>) => unknown) | undefined;

  constructor(init: ConnectionInit) {
    this.name = init.name;
    this.clusterName = init.clusterName;
    this.version = init.protocol.maxVersion;
    this.protocol = init.protocol;
    this.recoveryData = init.recoveryData;
    this.plugin = init.plugin;
    this.scope = init.plugin.scope;
    this.clock = init.plugin.clock ?? realClock;
    this.glue = init.glue;
    this.#handlers = init.protocol;
    this.#recoveryHandler = init.recoveryHandler;
    this.#noticeHandler = init.noticeHandler;
  }

  /** Whether the connection keeps the event loop alive, if the stack can tell it. */
  setRef(referenced: boolean): void {
    if (this.state === 'connected') this.plugin.operations.setRef?.(this, referenced);
  }

  /** A lock or conversion completed. */
  lockAst(lksb: DlmLksb): void {
    const { astarg } = lksbState(lksb);
    try {
      const returned = this.#handlers.lockAst(astarg);
      if (returned !== undefined) this.#handlerReturned(returned);
    } catch (error) {
      this.#handlerThrew(error);
    }
  }

  /** The lock blocks a request for `level`. */
  blockingAst(lksb: DlmLksb, level: LockMode): void {
    const { astarg } = lksbState(lksb);
    try {
      const returned = this.#handlers.blockingAst(astarg, level);
      if (returned !== undefined) this.#handlerReturned(returned);
    } catch (error) {
      this.#handlerThrew(error);
    }
  }

  /**
   * An unlock or cancel completed, with 0 or a negative errno; `astarg` is what
   * `dlmUnlock` was given.
   */
  unlockAst(astarg: unknown, error: number): void {
    try {
      const returned = this.#handlers.unlockAst(astarg, error);
      if (returned !== undefined) this.#handlerReturned(returned);
    } catch (thrown) {
      this.#handlerThrew(thrown);
    }
  }

  /** A node of the group has died. `ring`: that of the membership from then on, where the stack knows it. */
  nodeDown(nodeNumber: number, ring?: bigint): void {
    // A connect that was given up may still be on its way.
    if (this.state === 'disconnected') return;
    try {
      const returned = this.#recoveryHandler(nodeNumber, this.recoveryData, ring);
      if (returned !== undefined) this.#handlerReturned(returned);
    } catch (error) {
      this.#handlerThrew(error);
    }
  }

  /** Something else happened to the group. */
  notice(notice: ClusterNotice): void {
    if (this.state === 'disconnected') return;
    try {
      const returned = this.#noticeHandler?.(notice, this.recoveryData);
      if (returned !== undefined) this.#handlerReturned(returned);
    } catch (error) {
      this.#handlerThrew(error);
    }
  }

  /** An async handler that rejects is one that throws. Nobody waits for what it does meanwhile. */
  #handlerReturned(returned: unknown): void {
    reportRejection(returned, (error) => this.#handlerThrew(error));
  }

  /** A handler's error must neither stop the batch that it is in nor be lost. */
  #handlerThrew(error: unknown): void {
    const report =
      this.onHandlerError ??
      (() => {
        throw error;
      });
    queueMicrotask(() => report(error));
  }

  /**
   * For a stack that is a layer over another: this connection as the inner stack is to have it, in
   * all its operations. What the inner stack tells goes to `upcalls`, which hand on to this
   * connection what they like; what they leave out is handed on as it is. `private` is the inner
   * stack's own, all else is this connection's.
   */
  layered(upcalls: Partial<StackUpcalls>): StackConnection {
    const own: StackUpcalls = {
      lockAst: (lksb) => this.lockAst(lksb),
      blockingAst: (lksb, level) => this.blockingAst(lksb, level),
      unlockAst: (astarg, error) => this.unlockAst(astarg, error),
      nodeDown: (nodeNumber, ring) => this.nodeDown(nodeNumber, ring),
      notice: (notice) => this.notice(notice),
    };
    const inner = Object.create(this) as StackConnection;
    Object.defineProperty(inner, 'private', { value: undefined, writable: true });
    Object.defineProperty(inner, 'version', {
      get: () => this.version,
      set: (version: ProtocolVersion) => (this.version = version),
    });
    Object.defineProperty(inner, 'onHandlerError', {
      get: () => this.onHandlerError,
      set: (report: (error: unknown) => void) => (this.onHandlerError = report),
    });
    return Object.assign(inner, own, upcalls);
  }
}
