/**
 * The stack glue: the registry of cluster stacks and the calls of `fs/ocfs2/stackglue.h`, with the
 * rules of `fs/ocfs2/stackglue.c`. Calls that the kernel makes return 0 or a negative errno return
 * the same here; calls that can wait return promises, which reject with a `DlmError` that has the
 * errno. Misuse, everything that is `BUG_ON` in the kernel included, throws and changes nothing.
 */
import { constants } from 'node:os';

import {
  CLUSTER_NAME_MAX,
  DLM_LKF,
  DLM_LKF_ALL,
  DLM_LOCK,
  GROUP_NAME_MAX,
  STACK_LABEL_LEN,
  type LockMode,
} from '../constants.js';
import {
  checkFunction,
  checkInteger,
  checkObject,
  checkString,
  DlmError,
  invalidType,
  outOfRange,
} from '../errors.js';
import { ClusterConnection, type RecoveryHandler } from './connection.js';
import { lksbState, type DlmLksb, type LksbState } from './lksb.js';
import type { StackOperations, StackPlugin, StackScope } from './plugin.js';
import {
  checkProtocol,
  checkVersion,
  formatVersion,
  sameVersion,
  type LockingProtocol,
  type ProtocolVersion,
} from './protocol.js';

const { errno } = constants;

/** The label of the classic stack, which is also its plugin's name. */
const CLASSIC = 'o2cb';
/** The plugin that serves every other label. */
const USER = 'user';

const SCOPES: readonly unknown[] = ['process', 'cluster'] satisfies StackScope[];

/** What every stack has; the rest of its operations is optional. */
const OPERATIONS = [
  'connect',
  'disconnect',
  'thisNode',
  'dlmLock',
  'dlmUnlock',
  'lockStatus',
  'lvbValid',
  'lockLvb',
] as const satisfies (keyof StackOperations)[];
const OPTIONAL_OPERATIONS = ['dumpLksb', 'setRef'] as const satisfies (keyof StackOperations)[];

/** What `clusterConnect` needs. */
export interface ConnectOptions {
  /** Label of the stack, four characters; absent or empty: `o2cb`, this process only. */
  readonly stackName?: string | undefined;
  /** At most 16 bytes. */
  readonly clusterName?: string | undefined;
  /** The group (lockspace, domain) to join: at most 64 bytes. */
  readonly group: string;
  /** Who is called; its `maxVersion` must be the registered one. Absent: the registered protocol. */
  readonly protocol?: LockingProtocol | undefined;
  /** Called once for each node of the group that dies, before any grant that its recovery makes. */
  readonly recoveryHandler: RecoveryHandler;
  /** Handed to the recovery handler. */
  readonly recoveryData?: unknown;
}

/** Loads a plugin that is not registered, as `request_module` does; it should register it. */
export type PluginLoader = (pluginName: string) => void | Promise<void>;

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
  readonly #plugins = new Map<string, StackPlugin>();
  #clusterStack: string = CLASSIC;
  #active: StackPlugin | undefined;
  /** `sp_count` of the active plugin: its connections, and the hangups that are pending. */
  #useCount = 0;
  readonly #pendingHangups = new Map<string, number>();
  #maxVersion: ProtocolVersion = { major: 0, minor: 0 };
  #protocol: LockingProtocol | undefined;
  #loader: PluginLoader | undefined;

  /** `ocfs2_stack_glue_register`. Throws `ERR_DLM_STACK_EXISTS` for a second one of its name. */
  register(plugin: StackPlugin): void {
    checkObject('plugin', plugin);
    checkString('plugin.name', plugin.name);
    if (plugin.name === '') throw outOfRange('plugin.name', 'a name', plugin.name);
    checkOperations(plugin.operations);
    if (!SCOPES.includes(plugin.scope)) {
      throw outOfRange('plugin.scope', SCOPES.join(' or '), plugin.scope);
    }
    if (this.#plugins.has(plugin.name)) {
      throw new DlmError(
        'ERR_DLM_STACK_EXISTS',
        `A stack plugin named "${plugin.name}" is registered already`,
        { op: 'register', resource: plugin.name, errno: errno.EEXIST },
      );
    }
    this.#plugins.set(plugin.name, plugin);
  }

  /** `ocfs2_stack_glue_unregister`. A plugin that is in use throws `ERR_DLM_STACK_IN_USE`. */
  unregister(plugin: StackPlugin): void {
    checkObject('plugin', plugin);
    if (this.#plugins.get(plugin.name) !== plugin) {
      throw new DlmError(
        'ERR_DLM_STACK_UNKNOWN',
        `Stack plugin "${plugin.name}" is not registered`,
        {
          op: 'unregister',
          resource: plugin.name,
          errno: errno.ENOENT,
        },
      );
    }
    if (this.#active === plugin) {
      throw new DlmError('ERR_DLM_STACK_IN_USE', `Stack plugin "${plugin.name}" is in use`, {
        op: 'unregister',
        resource: plugin.name,
        errno: errno.EBUSY,
      });
    }
    this.#plugins.delete(plugin.name);
  }

  /** Who is asked, once, for a plugin that is not registered. */
  setPluginLoader(loader: PluginLoader | undefined): void {
    if (loader !== undefined) checkFunction('loader', loader);
    this.#loader = loader;
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

  /** `ocfs2_stack_glue_set_locking_protocol`: the version, and the protocol that connections use. */
  setLockingProtocol(protocol: LockingProtocol): void {
    checkProtocol('protocol', protocol);
    this.setMaxProtoVersion(protocol.maxVersion);
    this.#protocol = protocol;
  }

  /** sysfs `cluster_stack`: the label that connections must name. */
  get clusterStack(): string {
    return this.#clusterStack;
  }

  /** Selects a stack by its label; `ERR_DLM_STACK_BUSY` while another is in use. */
  set clusterStack(label: string) {
    checkString('clusterStack', label);
    checkLabel('clusterStack', label);
    if (this.#active !== undefined && label !== this.#clusterStack)
      throw busy('clusterStack', label);
    this.#clusterStack = label;
  }

  /** sysfs `loaded_cluster_plugins`: the names of the registered plugins, newest first. */
  get loadedClusterPlugins(): string[] {
    return [...this.#plugins.keys()].reverse();
  }

  /** sysfs `active_cluster_plugin`: the plugin in use, or undefined. */
  get activeClusterPlugin(): string | undefined {
    return this.#active?.name;
  }

  /** sysfs `max_locking_protocol`: "major.minor", or undefined while there is none. */
  get maxLockingProtocol(): string | undefined {
    return this.#maxVersion.major === 0 ? undefined : formatVersion(this.#maxVersion);
  }

  /** `ocfs2_cluster_connect`. */
  async clusterConnect(options: ConnectOptions): Promise<ClusterConnection> {
    checkObject('options', options);
    const { stackName = '', clusterName = '', group, recoveryHandler, recoveryData } = options;
    const protocol = options.protocol ?? this.#protocol;
    checkString('options.stackName', stackName);
    checkString('options.clusterName', clusterName);
    checkString('options.group', group);
    checkProtocol('options.protocol', protocol);
    checkFunction('options.recoveryHandler', recoveryHandler);
    if (Buffer.byteLength(group) > GROUP_NAME_MAX) {
      throw new DlmError(
        'ERR_DLM_GROUP_NAME',
        `The group name is longer than ${GROUP_NAME_MAX} bytes: "${group}"`,
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
    if (!sameVersion(protocol.maxVersion, this.#maxVersion)) {
      throw new DlmError(
        'ERR_DLM_PROTOCOL',
        `Protocol ${formatVersion(protocol.maxVersion)} is not the registered ${formatVersion(this.#maxVersion)}: call setLockingProtocol first`,
        { op: 'connect', resource: group, errno: errno.EINVAL },
      );
    }

    const plugin = await this.#pin(stackName);
    if (stackName === '' && plugin.scope === 'process') warnOfScope();
    const connection = new ClusterConnection({
      name: group,
      clusterName,
      protocol,
      recoveryHandler,
      recoveryData,
      plugin,
      glue: this,
    });
    try {
      await plugin.operations.connect(connection);
    } catch (error) {
      connection.state = 'disconnected';
      this.#unpin();
      throw error;
    }
    connection.state = 'connected';
    return connection;
  }

  /**
   * `ocfs2_cluster_disconnect`. Resolves when the stack will never touch the connection again. With
   * `hangupPending` the stack stays pinned until `clusterHangup(group)`. Again, or while it is under
   * way, it throws `ERR_DLM_DISCONNECTED`.
   */
  async clusterDisconnect(connection: ClusterConnection, hangupPending = false): Promise<void> {
    this.#checkConnection(connection, 'disconnect');
    if (typeof hangupPending !== 'boolean') {
      throw invalidType('hangupPending', 'of type boolean', hangupPending);
    }
    connection.state = 'disconnecting';
    try {
      await connection.plugin.operations.disconnect(connection);
    } catch (error) {
      connection.state = 'connected';
      throw error;
    }
    connection.state = 'disconnected';
    if (hangupPending) {
      const { name } = connection;
      this.#pendingHangups.set(name, (this.#pendingHangups.get(name) ?? 0) + 1);
    } else {
      this.#unpin();
    }
  }

  /** `ocfs2_cluster_hangup`: ends what a disconnect with hangup pending left. */
  clusterHangup(group: string): void {
    checkString('group', group);
    const pending = this.#pendingHangups.get(group) ?? 0;
    if (pending === 0) {
      throw new DlmError('ERR_DLM_NO_HANGUP', `No hangup is pending for group "${group}"`, {
        op: 'hangup',
        resource: group,
        errno: errno.EINVAL,
      });
    }
    if (pending === 1) this.#pendingHangups.delete(group);
    else this.#pendingHangups.set(group, pending - 1);
    this.#unpin();
  }

  /** `ocfs2_cluster_this_node`: the cluster's number of this node. */
  clusterThisNode(connection: ClusterConnection): number {
    this.#checkConnection(connection, 'thisNode');
    return connection.plugin.operations.thisNode(connection);
  }

  /**
   * `ocfs2_dlm_lock`: asks for a lock, or with `DLM_LKF.CONVERT` for another mode of the one that
   * `lksb` has. Returns 0, and then exactly one `lockAst` (or, if it is cancelled, `unlockAst`)
   * follows; or a negative errno.
   *
   * @param name UTF-8 or raw bytes: 1 to 32 on `o2cb`, to 64 on `user`. Not used by a conversion.
   * @param astarg what the handlers are given; by default `lksb`. A conversion keeps the first one's.
   */
  dlmLock(
    connection: ClusterConnection,
    mode: LockMode,
    lksb: DlmLksb,
    flags: number,
    name: string | Uint8Array,
    astarg?: unknown,
  ): number {
    this.#checkConnection(connection, 'lock');
    checkInteger('mode', mode, DLM_LOCK.NL, DLM_LOCK.EX);
    const state = checkLksb(lksb, connection, 'lock');
    checkFlags(flags);
    if ((flags & DLM_LKF.CONVERT) === 0) {
      if (typeof name !== 'string' && !(name instanceof Uint8Array)) {
        throw invalidType('name', 'of type string or an instance of Uint8Array', name);
      }
      if (state.index >= 0) {
        throw new DlmError(
          'ERR_DLM_LKSB_BUSY',
          'This lock status block has a lock: convert or unlock it, or use another one',
          { op: 'lock', errno: errno.EBUSY },
        );
      }
      state.astarg = arguments.length > 5 ? astarg : lksb;
    }
    state.connection = connection;
    return connection.plugin.operations.dlmLock(connection, mode, lksb, flags, name);
  }

  /**
   * `ocfs2_dlm_unlock`: gives the lock up, or with `DLM_LKF.CANCEL` takes back what it is waiting
   * for. Returns 0 or a negative errno; the completion is an `unlockAst`. A cancel that came too late
   * ends in the `lockAst` of the grant alone.
   *
   * @param astarg what this `unlockAst` is given; by default what the lock's handlers are.
   */
  dlmUnlock(connection: ClusterConnection, lksb: DlmLksb, flags: number, astarg?: unknown): number {
    this.#checkConnection(connection, 'unlock');
    const state = checkLksb(lksb, connection, 'unlock');
    checkFlags(flags);
    checkUsed(state, 'unlock');
    const unlockAstarg = arguments.length > 3 ? astarg : state.astarg;
    return connection.plugin.operations.dlmUnlock(connection, lksb, flags, unlockAstarg);
  }

  /** `ocfs2_dlm_lock_status`: 0 or a negative errno. */
  dlmLockStatus(lksb: DlmLksb): number {
    return operationsOf(lksb, 'lockStatus').lockStatus(lksb);
  }

  /** `ocfs2_dlm_lvb_valid`: whether the value block can be trusted. */
  dlmLvbValid(lksb: DlmLksb): boolean {
    return operationsOf(lksb, 'lvbValid').lvbValid(lksb);
  }

  /**
   * `ocfs2_dlm_lvb`: the value block, 64 bytes on `o2cb`, 32 on `user`. These are the lock's own
   * bytes: what a grant brings appears in them, and a request with `DLM_LKF.VALBLK` sends them as
   * they are when it is made.
   */
  dlmLvb(lksb: DlmLksb): Uint8Array {
    return operationsOf(lksb, 'lvb').lockLvb(lksb);
  }

  /** `ocfs2_dlm_dump_lksb`: a line about the lock for people; empty where the stack has none. */
  dlmDumpLksb(lksb: DlmLksb): string {
    return operationsOf(lksb, 'dumpLksb').dumpLksb?.(lksb) ?? '';
  }

  #checkConnection(connection: unknown, op: string): asserts connection is ClusterConnection {
    if (!(connection instanceof ClusterConnection)) {
      throw invalidType('connection', 'an instance of ClusterConnection', connection);
    }
    const { name, state, glue } = connection;
    if (glue !== this) {
      throw new DlmError('ERR_DLM_WRONG_GLUE', `The connection to "${name}" is another glue's`, {
        op,
        resource: name,
        errno: errno.EINVAL,
      });
    }
    if (state === 'connected') return;
    throw new DlmError('ERR_DLM_DISCONNECTED', `The connection to "${name}" is ${state}`, {
      op,
      resource: name,
      errno: errno.ENOTCONN,
    });
  }

  /** `ocfs2_stack_driver_get`: makes the stack active, or counts one more user of it. */
  async #pin(stackName: string): Promise<StackPlugin> {
    const label = stackName === '' ? CLASSIC : stackName;
    checkLabel('connect', label);
    const pluginName = label === CLASSIC ? CLASSIC : USER;
    const pinned = this.#tryPin(label, pluginName);
    if (pinned !== undefined) return pinned;
    await this.#loader?.(pluginName);
    const loaded = this.#tryPin(label, pluginName);
    if (loaded !== undefined) return loaded;
    throw new DlmError(
      'ERR_DLM_STACK_UNKNOWN',
      `No plugin "${pluginName}" is registered to serve the stack "${label}"`,
      { op: 'connect', resource: label, errno: errno.ENOENT },
    );
  }

  /** `ocfs2_stack_driver_request`. */
  #tryPin(label: string, pluginName: string): StackPlugin | undefined {
    if (label !== this.#clusterStack) throw busy('connect', label);
    if (this.#active !== undefined && this.#active.name !== pluginName)
      throw busy('connect', label);
    const plugin = this.#active ?? this.#plugins.get(pluginName);
    if (plugin === undefined) return undefined;
    this.#active = plugin;
    this.#useCount += 1;
    return plugin;
  }

  /** `ocfs2_stack_driver_put`. */
  #unpin(): void {
    this.#useCount -= 1;
    if (this.#useCount === 0) this.#active = undefined;
  }
}

function busy(op: string, label: string): DlmError {
  return new DlmError(
    'ERR_DLM_STACK_BUSY',
    `The stack "${label}" is not the selected one, or another is in use: see clusterStack`,
    { op, resource: label, errno: errno.EBUSY },
  );
}

function checkLabel(op: string, label: string): void {
  if (label.length === STACK_LABEL_LEN) return;
  throw new DlmError(
    'ERR_DLM_STACK_LABEL',
    `A cluster stack's label has ${STACK_LABEL_LEN} characters: "${label}"`,
    { op, resource: label, errno: errno.EINVAL },
  );
}

function checkOperations(operations: StackOperations): void {
  checkObject('plugin.operations', operations);
  const given: Partial<Record<keyof StackOperations, unknown>> = operations;
  for (const name of OPERATIONS) checkFunction(`plugin.operations.${name}`, given[name]);
  for (const name of OPTIONAL_OPERATIONS) {
    if (given[name] !== undefined) checkFunction(`plugin.operations.${name}`, given[name]);
  }
}

function checkLksb(lksb: DlmLksb, connection: ClusterConnection, op: string): LksbState {
  const state = lksbState(lksb);
  if (state.connection === undefined || state.connection === connection) return state;
  throw new DlmError(
    'ERR_DLM_WRONG_CONNECTION',
    `The lock status block belongs to another connection, to "${state.connection.name}"`,
    { op, resource: connection.name, errno: errno.EINVAL },
  );
}

function checkUsed(
  state: LksbState,
  op: string,
): asserts state is LksbState & { connection: ClusterConnection } {
  if (state.connection !== undefined) return;
  throw new DlmError('ERR_DLM_LKSB_UNUSED', 'The lock status block has never been locked', {
    op,
    errno: errno.EINVAL,
  });
}

function checkFlags(flags: number): void {
  checkInteger('flags', flags, 0, 0xffffffff);
  if ((flags & ~DLM_LKF_ALL) !== 0) {
    throw outOfRange('flags', 'made of DLM_LKF flags', `0x${flags.toString(16)}`);
  }
}

function operationsOf(lksb: DlmLksb, op: string) {
  const state = lksbState(lksb);
  checkUsed(state, op);
  return state.connection.plugin.operations;
}
