/**
 * The stack glue: the calls of `fs/ocfs2/stackglue.h`, with the rules of `fs/ocfs2/stackglue.c`. Calls that the kernel makes return 0 or a negative errno return
 * the same here; calls that can wait return promises, which reject with a `DlmError` that has the
 * errno. Misuse, everything that is `BUG_ON` in the kernel included, throws and changes nothing.
 */
import { constants } from 'node:os';

import { isSignal, throwIfAborted, unlessAborted } from '../abort-signal.js';
import { CLUSTER_NAME_MAX, DLM_LKF, GROUP_NAME_MAX, type LockMode } from '../constants.js';
import {
  checkFunction,
  checkOptions,
  checkString,
  checkText,
  DlmError,
  invalidType,
  outOfRange,
} from '../errors.js';
import {
  checkFlags,
  checkMode,
  checkUnowned,
  checkNewLock,
  checkPlock,
  refuseUnlock,
  unused,
} from './checks.js';
import {
  StackConnection,
  stackConnectionOf,
  type ClusterConnection,
  type RecoveryHandler,
} from './connection.js';
import { lksbState, type DlmLksb } from './lksb.js';
import type { ClusterMember, ClusterMembership, NoticeHandler } from './notices.js';
import type { PlockRequest, StackPlugin } from './plugin.js';
import {
  checkProtocol,
  checkVersion,
  formatVersion,
  sameVersion,
  type LockingProtocol,
  type ProtocolVersion,
} from './protocol.js';
import { StackRegistry, type PluginLoader } from './registry.js';

const { errno } = constants;
// Of this module, for what is asked about every lock: see NativeLocks.
const { CONVERT } = DLM_LKF;
/** What a lock is refused with whose name has no bytes of its own. */
const NO_NAME = -errno.EINVAL;

/** What `clusterConnect` needs. `Astarg`: what the protocol's handlers take. */
export interface ConnectOptions<Astarg = unknown> {
  /** Label of the stack, four characters; absent or empty: `o2cb`, this process only. */
  readonly stackName?: string | undefined;
  /** At most 16 bytes of UTF-8. */
  readonly clusterName?: string | undefined;
  /**
   * The group (lockspace, domain) to join: at most 64 bytes of UTF-8, and of characters that the stack
   * has room for. A name that cannot be fails at once with `ERR_DLM_GROUP_NAME`, which says why.
   */
  readonly group: string;
  /**
   * Who is called; its `maxVersion` must be the registered one, and becomes it where there is none. Absent: the
   * registered protocol.
   */
  readonly protocol?: LockingProtocol<Astarg> | undefined;
  /** Called once for each node of the group that dies, before any grant that its recovery makes. */
  readonly recoveryHandler: RecoveryHandler;
  /** Called for whatever else happens to the group, by stacks that can tell. */
  readonly noticeHandler?: NoticeHandler | undefined;
  /** Handed to the recovery handler and the notice handler. */
  readonly recoveryData?: unknown;
  /**
   * Gives the connect up: it rejects at once with the signal's `reason`, and no handler is called. What it has
   * begun is undone behind it, and until then the stack is in use. Not listened to once there is a connection.
   */
  readonly signal?: AbortSignal | undefined;
}

/** What `clusterConnectAgnostic` needs. */
export type AgnosticConnectOptions<Astarg = unknown> = Omit<
  ConnectOptions<Astarg>,
  'stackName' | 'clusterName'
>;

const AGNOSTIC_OPTIONS: Readonly<Record<keyof AgnosticConnectOptions, true>> = {
  group: true,
  protocol: true,
  recoveryHandler: true,
  noticeHandler: true,
  recoveryData: true,
  signal: true,
};
const CONNECT_OPTIONS: Readonly<Record<keyof ConnectOptions, true>> = {
  ...AGNOSTIC_OPTIONS,
  stackName: true,
  clusterName: true,
};

let warnedOfScope = false;

function warnOfScope(): void {
  if (warnedOfScope) return;
  warnedOfScope = true;
  process.emitWarning(
    'No cluster stack was named, so these locks are those of the emulated stack "o2cb": they end at ' +
      'this process. Name a stack to lock across the cluster, or "o2cb" to say that you mean it.',
    { code: 'STACKGLUE_PROCESS_SCOPE' },
  );
}

/**
 * One node's stack glue. `defaultGlue` is the process's own, as the kernel has one; programs and
 * tests that need two worlds make more.
 */
export class StackGlue {
  readonly #registry = new StackRegistry();
  #maxVersion: ProtocolVersion = { major: 0, minor: 0 };
  #protocol: LockingProtocol<never> | undefined;

  /** `ocfs2_stack_glue_register`. Throws `ERR_DLM_STACK_EXISTS` for a second one of its name. */
  register(plugin: StackPlugin): void {
    this.#registry.register(plugin);
  }

  /** `ocfs2_stack_glue_unregister`. A plugin that is in use throws `ERR_DLM_STACK_IN_USE`. */
  unregister(plugin: StackPlugin): void {
    this.#registry.unregister(plugin);
  }

  /** Who is asked, once, for a plugin that is not registered. */
  setPluginLoader(loader: PluginLoader | undefined): void {
    this.#registry.setPluginLoader(loader);
  }

  /**
   * `ocfs2_stack_glue_set_max_proto_version`: the version that every protocol must have. Once its
   * major is not zero it cannot change: `ERR_DLM_PROTOCOL`.
   */
  setMaxProtoVersion(version: ProtocolVersion): void {
    checkVersion('version', version);
    if (sameVersion(version, this.#maxVersion)) return;
    if (this.#maxVersion.major !== 0) {
      throw new DlmError(
        'ERR_DLM_PROTOCOL',
        `The locking protocol is ${formatVersion(this.#maxVersion)} and cannot become ${formatVersion(version)}`,
        { op: 'setMaxProtoVersion', errno: errno.EINVAL },
      );
    }
    this.#maxVersion = { major: version.major, minor: version.minor };
  }

  /**
   * `ocfs2_stack_glue_set_locking_protocol`: the version, and the protocol of connections that bring none. What
   * their handlers take is not known from such a connection's type: say it, `clusterConnect<Mine>(...)`.
   */
  setLockingProtocol<Astarg = unknown>(protocol: LockingProtocol<Astarg>): void {
    checkProtocol('protocol', protocol);
    this.setMaxProtoVersion(protocol.maxVersion);
    this.#protocol = protocol;
  }

  /** sysfs `cluster_stack`: the label that connections must name; `o2cb` at first. */
  get clusterStack(): string {
    return this.#registry.clusterStack;
  }

  /** Selects a stack by its label; `ERR_DLM_STACK_BUSY` while another is in use. */
  set clusterStack(label: string) {
    this.#registry.clusterStack = label;
  }

  /** sysfs `loaded_cluster_plugins`: the names of the registered plugins, newest first. */
  get loadedClusterPlugins(): string[] {
    return this.#registry.loadedPlugins;
  }

  /** sysfs `active_cluster_plugin`: the plugin in use, or undefined. */
  get activeClusterPlugin(): string | undefined {
    return this.#registry.active?.name;
  }

  /** sysfs `max_locking_protocol`: "major.minor", or undefined while there is none. */
  get maxLockingProtocol(): string | undefined {
    return this.#maxVersion.major === 0 ? undefined : formatVersion(this.#maxVersion);
  }

  /** `ocfs2_cluster_connect`. Rejects with a `DlmError`, or with the reason of `options.signal`. */
  async clusterConnect<Astarg = unknown>(
    options: ConnectOptions<Astarg>,
  ): Promise<ClusterConnection<Astarg>> {
    checkOptions<ConnectOptions>('options', options, CONNECT_OPTIONS);
    const { stackName = '', clusterName = '', group, recoveryData } = options;
    const { recoveryHandler, noticeHandler, signal } = options;
    const protocol = options.protocol ?? this.#protocol;
    checkString('options.stackName', stackName);
    checkText('options.clusterName', clusterName);
    checkString('options.group', group);
    checkProtocol('options.protocol', protocol);
    checkFunction('options.recoveryHandler', recoveryHandler);
    if (noticeHandler !== undefined) checkFunction('options.noticeHandler', noticeHandler);
    if (signal !== undefined && !isSignal(signal)) {
      throw invalidType('options.signal', 'an instance of AbortSignal', signal);
    }
    if (Buffer.byteLength(group) > GROUP_NAME_MAX) {
      throw new DlmError(
        'ERR_DLM_GROUP_NAME',
        `The group name is longer than ${GROUP_NAME_MAX} bytes: "${group}"`,
        { op: 'connect', resource: group, errno: errno.EINVAL },
      );
    }
    if (!group.isWellFormed()) {
      throw new DlmError(
        'ERR_DLM_GROUP_NAME',
        `The group name has a lone surrogate, for which UTF-8 has no bytes: ${JSON.stringify(group)}`,
        { op: 'connect', resource: group, errno: errno.EINVAL },
      );
    }
    if (Buffer.byteLength(clusterName) > CLUSTER_NAME_MAX) {
      throw outOfRange(
        'options.clusterName',
        `at most ${CLUSTER_NAME_MAX} bytes long`,
        clusterName,
      );
    }
    this.#checkRegistered(protocol, group);
    throwIfAborted(signal);

    const pinning = this.#registry.pin(stackName);
    const plugin = await unlessAborted(signal, pinning, () => {
      pinning.then(
        () => this.#registry.unpin(),
        () => undefined,
      );
    });
    try {
      // Another may have been registered meanwhile.
      this.#checkRegistered(protocol, group);
      throwIfAborted(signal);
    } catch (error) {
      this.#registry.unpin();
      throw error;
    }
    this.setMaxProtoVersion(protocol.maxVersion);
    if (stackName === '' && plugin.scope === 'process') warnOfScope();
    const connection = new StackConnection({
      name: group,
      clusterName,
      protocol,
      recoveryHandler,
      noticeHandler,
      recoveryData,
      plugin,
      glue: this,
    });
    // The stack's is of our own: libraries' signals may throw.
    const givenUp = signal && new AbortController();
    let end = (): void => this.#registry.unpin();
    try {
      const connecting = plugin.operations.connect(connection, givenUp?.signal);
      await unlessAborted(signal, connecting, () => {
        end = () => {
          givenUp?.abort();
          void this.#giveUp(connection, connecting);
        };
      });
    } catch (error) {
      connection.state = 'disconnected';
      end();
      throw error;
    }
    connection.state = 'connected';
    return connection.handle as ClusterConnection<Astarg>;
  }

  /** Nobody waits for the connection any more: one that is made all the same goes again. */
  async #giveUp(connection: StackConnection, connecting: Promise<void>): Promise<void> {
    try {
      await connecting;
      await connection.plugin.operations.disconnect(connection);
    } catch {
      // It has not come to a connection, or its locks, of which there are none, are dropped later.
    } finally {
      this.#registry.unpin();
    }
  }

  /** Throws unless the protocol's version is the registered one, or can become it. */
  #checkRegistered({ maxVersion }: LockingProtocol<never>, group: string): void {
    if (this.#maxVersion.major === 0 || sameVersion(maxVersion, this.#maxVersion)) return;
    throw new DlmError(
      'ERR_DLM_PROTOCOL',
      `Protocol ${formatVersion(maxVersion)} is not ${formatVersion(this.#maxVersion)}, which this glue has been given first and keeps: use that version, or a glue of its own`,
      { op: 'connect', resource: group, errno: errno.EINVAL },
    );
  }

  /**
   * `ocfs2_cluster_connect_agnostic`: connects to whatever stack is selected (`clusterStack`), for
   * callers that do not keep a stack's name. They see to it that all nodes have the same one.
   */
  async clusterConnectAgnostic<Astarg = unknown>(
    options: AgnosticConnectOptions<Astarg>,
  ): Promise<ClusterConnection<Astarg>> {
    checkOptions<AgnosticConnectOptions>('options', options, AGNOSTIC_OPTIONS);
    return this.clusterConnect({ ...options, stackName: this.clusterStack });
  }

  /**
   * `ocfs2_cluster_disconnect`. Resolves when the stack will never touch the connection again. With
   * `hangupPending` the stack stays pinned until `clusterHangup(group)`. Again, or while it is under
   * way, it throws `ERR_DLM_DISCONNECTED`. A rejection with `ERR_DLM_TIMEOUT` says that the connection
   * is gone, but that its locks stand in others' way until the group works again.
   */
  async clusterDisconnect(
    connection: ClusterConnection<never>,
    hangupPending = false,
  ): Promise<void> {
    const stack = stackOf(this, connection, 'disconnect');
    if (typeof hangupPending !== 'boolean') {
      throw invalidType('hangupPending', 'of type boolean', hangupPending);
    }
    stack.state = 'disconnecting';
    try {
      await stack.plugin.operations.disconnect(stack);
    } catch (error) {
      if (!(error instanceof DlmError && error.code === 'ERR_DLM_TIMEOUT')) {
        stack.state = 'connected';
        throw error;
      }
      this.#disconnected(stack, hangupPending);
      throw error;
    }
    this.#disconnected(stack, hangupPending);
  }

  #disconnected(connection: StackConnection, hangupPending: boolean): void {
    connection.state = 'disconnected';
    if (hangupPending) this.#registry.expectHangup(connection.name);
    else this.#registry.unpin();
  }

  /** `ocfs2_cluster_hangup`: ends what a disconnect with hangup pending left. */
  clusterHangup(group: string): void {
    this.#registry.hangup(group);
  }

  /** `ocfs2_cluster_this_node`: the cluster's number of this node. */
  clusterThisNode(connection: ClusterConnection<never>): number {
    const stack = stackOf(this, connection, 'thisNode');
    return stack.plugin.operations.thisNode(stack);
  }

  /** The group's members, by number; empty where the stack cannot tell, and when the locks are lost. */
  clusterMembers(connection: ClusterConnection<never>): readonly ClusterMember[] {
    const stack = stackOf(this, connection, 'members');
    return stack.plugin.operations.members?.(stack) ?? [];
  }

  /**
   * The membership of nodes that the group is in: its number, and whether it has a quorum. Undefined where the
   * stack cannot tell, or not yet: on the kernel's DLM without corosync's libquorum, when corosync or the keeper
   * has ended, and for a moment after a change of members that the keeper has yet to confirm; and when the locks
   * are lost.
   */
  clusterMembership(connection: ClusterConnection<never>): ClusterMembership | undefined {
    const stack = stackOf(this, connection, 'membership');
    return stack.plugin.operations.membership?.(stack);
  }

  /**
   * `ocfs2_dlm_lock`: asks for a lock, or with `DLM_LKF.CONVERT` for another mode of the one that
   * `lksb` has. Returns 0, and then exactly one `lockAst` (or, if it is cancelled, `unlockAst`)
   * follows; or a negative errno. If the locks are lost meanwhile its status is -ENOTCONN. Only a
   * disconnect ends it in silence.
   *
   * @param name UTF-8 or raw bytes: 1 to 32 on `o2cb`, at most 64 on `user`. Not used by a conversion. -EINVAL
   *   for one that the stack needs itself (`$RECOVERY` on `o2cb`, `version_lock` on `user`), and for a
   *   string with a lone surrogate.
   * @param astarg what the handlers are given; by default `lksb`. A conversion keeps the first one's.
   */
  dlmLock(
    connection: ClusterConnection<DlmLksb>,
    mode: LockMode,
    lksb: DlmLksb,
    flags: number,
    name: string | Uint8Array,
  ): number;
  dlmLock<Astarg>(
    connection: ClusterConnection<Astarg>,
    mode: LockMode,
    lksb: DlmLksb,
    flags: number,
    name: string | Uint8Array,
    astarg: Astarg,
  ): number;
  dlmLock(
    connection: ClusterConnection<never>,
    mode: LockMode,
    lksb: DlmLksb,
    flags: number,
    name: string | Uint8Array,
    astarg?: unknown,
  ): number {
    const stack = stackConnectionOf(connection);
    if (stack?.glue !== this || stack.state !== 'connected') {
      refuse(this, stack, connection, 'lock');
    }
    checkMode(mode);
    const state = lksbState(lksb);
    if (state.connection !== stack) checkUnowned(state, stack, 'lock');
    if (flags !== 0) checkFlags(flags);
    const isNew = (flags & CONVERT) === 0;
    // The name of a lock that it has had needs no look.
    const isKnown = typeof name === 'string' && state.name === name && state.index < 0;
    if (isNew && !isKnown && !checkNewLock(state, name)) return NO_NAME;
    const { connection: connectionBefore, astarg: astargBefore } = state;
    state.connection = stack;
    if (isNew) state.astarg = arguments.length > 5 ? astarg : lksb;
    try {
      return stack.plugin.operations.dlmLock(stack, mode, lksb, flags, name);
    } catch (error) {
      state.connection = connectionBefore;
      state.astarg = astargBefore;
      throw error;
    }
  }

  /**
   * `ocfs2_dlm_unlock`: gives the lock up, or with `DLM_LKF.CANCEL` takes back what it is waiting
   * for. Returns 0 or a negative errno; the completion is an `unlockAst`. A cancel that came too late
   * ends in the `lockAst` of the grant alone.
   *
   * @param astarg what this `unlockAst` is given; by default what the lock's handlers are.
   */
  dlmUnlock<Astarg>(
    connection: ClusterConnection<Astarg>,
    lksb: DlmLksb,
    flags: number,
    astarg?: Astarg,
  ): number {
    const stack = stackConnectionOf(connection);
    if (stack?.glue !== this || stack.state !== 'connected') {
      refuse(this, stack, connection, 'unlock');
    }
    const state = lksbState(lksb);
    if (state.connection !== stack) refuseUnlock(state, stack);
    if (flags !== 0) checkFlags(flags);
    const unlockAstarg = arguments.length > 3 ? astarg : state.astarg;
    return stack.plugin.operations.dlmUnlock(stack, lksb, flags, unlockAstarg);
  }

  /**
   * `ocfs2_dlm_lock_status`: 0 or a negative errno; -EINPROG from the call that has accepted a lock, a
   * conversion or an unlock to the handler that ends it.
   */
  dlmLockStatus(lksb: DlmLksb): number {
    return operationsOf(lksb, 'lockStatus').lockStatus(lksb);
  }

  /**
   * The mode that is held; undefined while there is none. Not what was asked for: of a conversion under way
   * the old mode, after `ALTPR` and `ALTCW` the one that was granted, NL after a demotion (`DLM_SBF.DEMOTED`,
   * told by the completion of the conversion), and none when the locks are lost. It is what the last handler
   * was told of, so it changes between handlers only.
   */
  dlmLockMode(lksb: DlmLksb): LockMode | undefined {
    return operationsOf(lksb, 'lockMode').lockMode(lksb);
  }

  /**
   * The flags of the lock's last completion, `DLM_SBF`: whether it was demoted or granted in another
   * mode, whether its value block is invalid. 0 on `o2cb`, which has none.
   */
  dlmLockFlags(lksb: DlmLksb): number {
    const operations = operationsOf(lksb, 'lockFlags');
    return operations.lockFlags?.(lksb) ?? lksbState(lksb).flags;
  }

  /** `ocfs2_dlm_lvb_valid`: whether the value block can be trusted. */
  dlmLvbValid(lksb: DlmLksb): boolean {
    return operationsOf(lksb, 'lvbValid').lvbValid(lksb);
  }

  /**
   * `ocfs2_dlm_lvb`: the value block, 64 bytes on `o2cb`, 32 on `user`, always the same array. These are the
   * lock's own bytes, in an ArrayBuffer of their own: what a grant brings appears in them, and an unlock or
   * conversion with `DLM_LKF.VALBLK` that writes the resource's block, from PW or EX and not up, sends them
   * as they are when it is made. When that buffer has been transferred (by `postMessage` with a transfer
   * list, say) this throws `ERR_DLM_LVB_DETACHED`, and so does such a request; a completion that brings a
   * block, or a new lock, makes another array.
   */
  dlmLvb(lksb: DlmLksb): Uint8Array {
    return operationsOf(lksb, 'lvb').lockLvb(lksb);
  }

  /** `ocfs2_dlm_dump_lksb`: a line about the lock for people; empty where the stack has none. */
  dlmDumpLksb(lksb: DlmLksb): string {
    return operationsOf(lksb, 'dumpLksb').dumpLksb?.(lksb) ?? '';
  }

  /**
   * `ocfs2_stack_supports_plocks`: whether the active stack has POSIX locks. False while none is active,
   * and for both stacks here: o2cb never had them, and libdlm offers none to user space, where
   * `fcntl` on a cluster file system does the same.
   */
  get supportsPlocks(): boolean {
    return this.#registry.active?.operations.plock !== undefined;
  }

  /** `ocfs2_plock`: a POSIX lock; -EOPNOTSUPP from a stack that has none. */
  plock(connection: ClusterConnection<never>, inode: bigint, request: PlockRequest): number {
    const stack = stackOf(this, connection, 'plock');
    checkPlock(inode, request);
    return stack.plugin.operations.plock?.(stack, inode, request) ?? -errno.EOPNOTSUPP;
  }
}

/** What the stack has of a connection, which must be this glue's, and connected. */
function stackOf(glue: StackGlue, connection: unknown, op: string): StackConnection {
  const stack = stackConnectionOf(connection);
  if (stack?.glue !== glue || stack.state !== 'connected') refuse(glue, stack, connection, op);
  return stack;
}

/** Throws why the connection cannot be used here. */
function refuse(
  here: StackGlue,
  stack: StackConnection | undefined,
  connection: unknown,
  op: string,
): never {
  if (stack === undefined) {
    throw invalidType('connection', 'an instance of ClusterConnection', connection);
  }
  const { name, state, glue } = stack;
  if (glue !== here) {
    throw new DlmError('ERR_DLM_WRONG_GLUE', `The connection to "${name}" is another glue's`, {
      op,
      resource: name,
      errno: errno.EINVAL,
    });
  }
  throw new DlmError('ERR_DLM_DISCONNECTED', `The connection to "${name}" is ${state}`, {
    op,
    resource: name,
    errno: errno.ENOTCONN,
  });
}

function operationsOf(lksb: DlmLksb, op: string) {
  const { connection } = lksbState(lksb);
  if (connection === undefined) throw unused(op);
  return connection.plugin.operations;
}
