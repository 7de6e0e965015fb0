/** A cluster connection: `ocfs2_cluster_connection`. */
import type { LockMode } from '../constants.js';
import { lksbState, type DlmLksb } from './lksb.js';
import type { ClusterNotice, NoticeHandler } from './notices.js';
import type { StackPlugin, StackScope } from './plugin.js';
import type { LockingProtocol, ProtocolVersion } from './protocol.js';

/** `cc_recovery_handler`: node `nodeNumber` has died. */
export type RecoveryHandler = (nodeNumber: number, recoveryData: unknown) => void;

/** What a stack tells a connection: the methods of `ClusterConnection` that are for stacks. */
export type StackUpcalls = Pick<
  ClusterConnection,
  'lockAst' | 'blockingAst' | 'unlockAst' | 'nodeDown' | 'notice'
>;

/** What `clusterConnect` fills in. */
export interface ConnectionInit {
  readonly name: string;
  readonly clusterName: string;
  readonly protocol: LockingProtocol;
  readonly recoveryHandler: RecoveryHandler;
  readonly noticeHandler: NoticeHandler | undefined;
  readonly recoveryData: unknown;
  readonly plugin: StackPlugin;
  readonly glue: object;
}

/** A listener's error must neither stop the batch that it is in nor be lost. */
function throwLater(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}

/**
 * A connection to one group (lockspace, domain) of the active stack. Made by `clusterConnect`. It
 * keeps the event loop alive until it is disconnected, unless `unref()` was called.
 */
export class ClusterConnection {
  /** `cc_name`: the group. */
  readonly name: string;
  /** `cc_cluster_name`; empty when none was given. */
  readonly clusterName: string;
  /** `cc_version`: what the group runs at. Set by the stack while it connects. */
  version: ProtocolVersion;
  /** `cc_proto` */
  readonly protocol: LockingProtocol;
  /** `cc_recovery_data` */
  readonly recoveryData: unknown;
  /** How far the locks reach: `process` for the emulation, `cluster` for the real thing. */
  readonly scope: StackScope;
  /** The plugin that serves it; the operations hang here rather than on a global. */
  readonly plugin: StackPlugin;
  /** The glue that made it, and the only one that may use it. */
  readonly glue: object;
  /** `cc_private`: the stack's own. */
  private: unknown = undefined;
  /** Where the connection is in its life. Set by the glue. */
  state: 'connecting' | 'connected' | 'disconnecting' | 'disconnected' = 'connecting';

  readonly #recoveryHandler: RecoveryHandler;
  readonly #noticeHandler: NoticeHandler | undefined;

  constructor(init: ConnectionInit) {
    this.name = init.name;
    this.clusterName = init.clusterName;
    this.version = init.protocol.maxVersion;
    this.protocol = init.protocol;
    this.recoveryData = init.recoveryData;
    this.plugin = init.plugin;
    this.scope = init.plugin.scope;
    this.glue = init.glue;
    this.#recoveryHandler = init.recoveryHandler;
    this.#noticeHandler = init.noticeHandler;
  }

  /** Keeps the event loop alive while connected (the default). */
  ref(): this {
    if (this.state === 'connected') this.plugin.operations.setRef?.(this, true);
    return this;
  }

  /** Lets the process end although the connection is open. */
  unref(): this {
    if (this.state === 'connected') this.plugin.operations.setRef?.(this, false);
    return this;
  }

  /** For stacks: a lock or conversion completed. */
  lockAst(lksb: DlmLksb): void {
    const { astarg } = lksbState(lksb);
    try {
      this.protocol.lockAst(astarg);
    } catch (error) {
      throwLater(error);
    }
  }

  /** For stacks: the lock blocks a request for `level`. */
  blockingAst(lksb: DlmLksb, level: LockMode): void {
    const { astarg } = lksbState(lksb);
    try {
      this.protocol.blockingAst(astarg, level);
    } catch (error) {
      throwLater(error);
    }
  }

  /**
   * For stacks: an unlock or cancel completed, with 0 or a negative errno; `astarg` is what
   * `dlmUnlock` was given.
   */
  unlockAst(astarg: unknown, error: number): void {
    try {
      this.protocol.unlockAst(astarg, error);
    } catch (thrown) {
      throwLater(thrown);
    }
  }

  /** For stacks: a node of the group has died. */
  nodeDown(nodeNumber: number): void {
    try {
      this.#recoveryHandler(nodeNumber, this.recoveryData);
    } catch (error) {
      throwLater(error);
    }
  }

  /** For stacks: something else happened to the group. */
  notice(notice: ClusterNotice): void {
    try {
      this.#noticeHandler?.(notice, this.recoveryData);
    } catch (error) {
      throwLater(error);
    }
  }

  /**
   * For a stack that is a layer over another: this connection as the inner stack is to have it, in
   * all its operations. What the inner stack tells goes to `upcalls`, which hand on to this
   * connection what they like; what they leave out is handed on as it is. `private` is the inner
   * stack's own, all else is this connection's.
   */
  layered(upcalls: Partial<StackUpcalls>): ClusterConnection {
    const own: StackUpcalls = {
      lockAst: (lksb) => this.lockAst(lksb),
      blockingAst: (lksb, level) => this.blockingAst(lksb, level),
      unlockAst: (astarg, error) => this.unlockAst(astarg, error),
      nodeDown: (nodeNumber) => this.nodeDown(nodeNumber),
      notice: (notice) => this.notice(notice),
    };
    const inner = Object.create(this) as ClusterConnection;
    Object.defineProperty(inner, 'private', { value: undefined, writable: true });
    Object.defineProperty(inner, 'version', {
      get: () => this.version,
      set: (version: ProtocolVersion) => (this.version = version),
    });
    return Object.assign(inner, own, upcalls);
  }
}
