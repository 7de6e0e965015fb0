/** What a cluster stack is to the glue: `ocfs2_stack_operations`, `ocfs2_stack_plugin`. */
import type { LockMode } from '../constants.js';
import type { StackConnection } from './connection.js';
import type { StackFeatures } from './features.js';
import type { DlmLksb } from './lksb.js';
import type { ClusterMember, ClusterMembership } from './notices.js';

/**
 * `ocfs2_stack_operations`: what every stack does. A failing `connect` or `disconnect` rejects with a
 * `DlmError`; `dlmLock` and `dlmUnlock` return 0 or a negative errno and throw only on misuse.
 */
export interface StackOperations {
  /**
   * Attaches a new connection, whose name, protocol and recovery handler are set. Must not resolve
   * before node-down notices will reach the recovery handler *and* lock requests will be served. A
   * stack that negotiates sets `connection.version`.
   *
   * When `signal` is aborted nobody waits for the connection any more: what can wait for long gives up, and
   * rejects, with anything, once nothing is left. One that resolves all the same is disconnected.
   */
  connect(connection: StackConnection, signal?: AbortSignal): Promise<void>;
  /**
   * Detaches. Must not settle before the stack will never touch the connection again. Locks that
   * are still there are dropped; their completions are not delivered. Rejects with `ERR_DLM_TIMEOUT`
   * when it has detached, but cannot tell when the locks will have been dropped; after another error
   * the connection is as it was.
   */
  disconnect(connection: StackConnection): Promise<void>;
  /** The cluster's unique number of this node. */
  thisNode(connection: StackConnection): number;
  /**
   * Asks for a lock, or with `DLM_LKF.CONVERT` for another mode. Completion comes by
   * `connection.lockAst`, never before this returns.
   */
  dlmLock(
    connection: StackConnection,
    mode: LockMode,
    lksb: DlmLksb,
    flags: number,
    name: string | Uint8Array,
  ): number;
  /**
   * Asks for the unlock, or with `DLM_LKF.CANCEL` for a cancel. Completion comes by
   * `connection.unlockAst` with this `astarg`, never before this returns.
   */
  dlmUnlock(connection: StackConnection, lksb: DlmLksb, flags: number, astarg: unknown): number;
  /** The lock's status as 0 or a negative errno; -EINPROG while a request is under way. */
  lockStatus(lksb: DlmLksb): number;
  /** The mode that is held, by what the stack has told last; undefined while there is none. */
  lockMode(lksb: DlmLksb): LockMode | undefined;
  /** `DLM_SBF` of the last completion. Absent where native code writes them to the status block. */
  lockFlags?(lksb: DlmLksb): number;
  /** Whether the value block can be trusted. */
  lvbValid(lksb: DlmLksb): boolean;
  /** The value block: the lock's own bytes, live. */
  lockLvb(lksb: DlmLksb): Uint8Array;
  /**
   * A POSIX lock of the cluster on an inode; 0 or a negative errno. Absent in a stack that has none,
   * and then `supportsPlocks` is false.
   */
  plock?(connection: StackConnection, inode: bigint, request: PlockRequest): number;
  /** The group's members, this node included, by number. */
  members?(connection: StackConnection): readonly ClusterMember[];
  /** The membership that the node is in; undefined: not known, or the connection is lost. */
  membership?(connection: StackConnection): ClusterMembership | undefined;
  /** One line about the lock, for people. */
  dumpLksb?(lksb: DlmLksb): string;
  /** Whether the connection keeps the event loop alive. */
  setRef?(connection: StackConnection, referenced: boolean): void;
}

/** `struct file_lock`, as far as a stack needs it. */
export interface PlockRequest {
  readonly type: 'shared' | 'exclusive' | 'unlock';
  /** First and last byte. */
  readonly start: bigint;
  readonly end: bigint;
  /** Wait for the lock rather than fail with -EAGAIN. */
  readonly wait: boolean;
}

/**
 * Time and chance, as what runs on a stack is to have them: the real ones, or the simulator's, where all
 * of it runs in virtual time.
 */
export interface StackClock {
  /** Milliseconds since a moment of its own, with fractions. Never goes back. */
  now(): number;
  /**
   * Calls `callback` once, `ms` milliseconds from now; at most 2^31 - 1. It keeps the event loop alive, where
   * it is one of the event loop's. Returns what `clearTimeout` takes.
   */
  setTimeout(callback: () => void, ms: number): unknown;
  /** Nothing if the timer has gone off. */
  clearTimeout(timer: unknown): void;
  /** From 0 to below 1, as `Math.random()`. */
  random(): number;
}

/** The clock of a stack that brings none. */
export const realClock: StackClock = Object.freeze({
  // Not `performance.now()`: at its first use Node.js loads perf_hooks, a millisecond of the way to the first lock.
  now: () => Number(process.hrtime.bigint()) / 1e6,
  setTimeout: (callback: () => void, ms: number) => setTimeout(callback, ms),
  clearTimeout: (timer: unknown) => {
    clearTimeout(timer as NodeJS.Timeout);
  },
  random: () => Math.random(),
});

/** How far the locks of a stack reach. */
export type StackScope = 'process' | 'cluster';

/** `ocfs2_stack_plugin`: what a stack registers. Use count and protocol are the glue's. */
export interface StackPlugin {
  /**
   * `sp_name`. The label `o2cb` is served by the plugin of that name and every other label by the one
   * named `user`: a stack of one's own takes one of the two names, in a glue of its own if need be.
   */
  readonly name: string;
  readonly scope: StackScope;
  /** What it has, and how it does what stacks do differently. */
  readonly features: StackFeatures;
  readonly operations: StackOperations;
  /** Its time and chance. Absent: `realClock`. */
  readonly clock?: StackClock | undefined;
  /**
   * The same stack, but one of two conversions in each other's way is refused. For a plugin that comes without
   * that, and has users who want it: `openLockspace` takes this one.
   */
  readonly withDeadlockDetection?: StackPlugin | undefined;
}
