/**
 * The registry of cluster stacks: `ocfs2_stack_list`, `cluster_stack_name` and `active_stack` of
 * `fs/ocfs2/stackglue.c`, with their rules.
 *
 * Invariant: a stack is active exactly while its use count is above zero; the count is that of its
 * connections and of the hangups that are pending.
 */
import { constants } from 'node:os';

import { STACK_LABEL_LEN } from '../constants.js';
import { checkFunction, checkObject, checkString, DlmError, outOfRange } from '../errors.js';
import type { StackClock, StackOperations, StackPlugin, StackScope } from './plugin.js';

const { errno } = constants;

/** The label of the classic stack, which is also its plugin's name. */
const CLASSIC = 'o2cb';
/** The plugin that serves every other label. */
const USER = 'user';

const SCOPES: readonly unknown[] = ['process', 'cluster'] satisfies StackScope[];

/** Every operation, and whether each stack has it: the compiler sees to it that none is missing. */
const OPERATIONS: {
  readonly [Name in keyof StackOperations]-?: undefined extends StackOperations[Name]
    ? 'optional'
    : 'required';
} = {
  connect: 'required',
  disconnect: 'required',
  thisNode: 'required',
  dlmLock: 'required',
  dlmUnlock: 'required',
  lockStatus: 'required',
  lockMode: 'required',
  lvbValid: 'required',
  lockLvb: 'required',
  plock: 'optional',
  lockFlags: 'optional',
  members: 'optional',
  membership: 'optional',
  dumpLksb: 'optional',
  setRef: 'optional',
};

/** Loads a plugin that is not registered, as `request_module` does; it should register it. */
export type PluginLoader = (pluginName: string) => void | Promise<void>;

/** The stacks that one glue knows. */
export class StackRegistry {
  readonly #plugins = new Map<string, StackPlugin>();
  #clusterStack: string = CLASSIC;
  #active: StackPlugin | undefined;
  /** `sp_count` of the active plugin: its connections, and the hangups that are pending. */
  #useCount = 0;
  readonly #pendingHangups = new Map<string, number>();
  #loader: PluginLoader | undefined;

  /** `ocfs2_stack_glue_register`. Throws `ERR_DLM_STACK_EXISTS` for a second one of its name. */
  register(plugin: StackPlugin): void {
    checkPlugin(plugin);
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
    checkString('plugin.name', plugin.name);
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

  /** The label that is selected. */
  get clusterStack(): string {
    return this.#clusterStack;
  }

  /** Selects a stack by its label; `ERR_DLM_STACK_BUSY` while another is in use. */
  set clusterStack(label: string) {
    checkString('clusterStack', label);
    checkLabel('clusterStack', label);
    if (this.#active !== undefined && label !== this.#clusterStack) {
      throw busy('clusterStack', label, `"${this.#clusterStack}" is in use: ${this.#users()}`);
    }
    this.#clusterStack = label;
  }

  /** The names of the registered plugins, newest first. */
  get loadedPlugins(): string[] {
    return [...this.#plugins.keys()].reverse();
  }

  /** `active_stack`: the plugin in use, or undefined. */
  get active(): StackPlugin | undefined {
    return this.#active;
  }

  /** A disconnect left the stack pinned until the group's hangup. */
  expectHangup(group: string): void {
    this.#pendingHangups.set(group, (this.#pendingHangups.get(group) ?? 0) + 1);
  }

  /** `ocfs2_cluster_hangup`: ends what a disconnect with hangup pending left. */
  hangup(group: string): void {
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
    this.unpin();
  }

  /** `ocfs2_stack_driver_get`: makes the stack active, or counts one more user of it. */
  async pin(stackName: string): Promise<StackPlugin> {
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
    if (label !== this.#clusterStack) {
      const remedy =
        this.#active === undefined
          ? `set clusterStack to "${label}" first`
          : `another can be selected when it is no longer in use: ${this.#users()}`;
      throw busy('connect', label, `the selected stack is "${this.#clusterStack}"; ${remedy}`);
    }
    const plugin = this.#active ?? this.#plugins.get(pluginName);
    if (plugin === undefined) return undefined;
    this.#active = plugin;
    this.#useCount += 1;
    return plugin;
  }

  /** Who keeps the active stack in use, for people. */
  #users(): string {
    let hangups = 0;
    for (const count of this.#pendingHangups.values()) hangups += count;
    const parts = [`${this.#useCount - hangups} connected or connecting`];
    if (hangups > 0) parts.push(`${hangups} pending hangups (clusterHangup)`);
    return parts.join(', ');
  }

  /** `ocfs2_stack_driver_put`: one user less. */
  unpin(): void {
    this.#useCount -= 1;
    if (this.#useCount === 0) this.#active = undefined;
  }
}

function busy(op: string, label: string, why: string): DlmError {
  return new DlmError('ERR_DLM_STACK_BUSY', `The stack "${label}" cannot be used: ${why}`, {
    op,
    resource: label,
    errno: errno.EBUSY,
  });
}

function checkLabel(op: string, label: string): void {
  if (label.length === STACK_LABEL_LEN) return;
  throw new DlmError(
    'ERR_DLM_STACK_LABEL',
    `A cluster stack's label has ${STACK_LABEL_LEN} characters: "${label}"`,
    { op, resource: label, errno: errno.EINVAL },
  );
}

const CLOCK = [
  'now',
  'setTimeout',
  'clearTimeout',
  'random',
] as const satisfies (keyof StackClock)[];

function checkPlugin(plugin: StackPlugin): void {
  checkObject('plugin', plugin);
  const { name, scope, features, operations, clock } = plugin;
  checkString('plugin.name', name);
  if (name === '') throw outOfRange('plugin.name', 'a name', name);
  if (!SCOPES.includes(scope)) throw outOfRange('plugin.scope', SCOPES.join(' or '), scope);
  checkObject('plugin.features', features);
  checkObject('plugin.operations', operations);
  const given: Partial<Record<keyof StackOperations, unknown>> = operations;
  for (const [name, kind] of Object.entries(OPERATIONS)) {
    const operation = given[name as keyof StackOperations];
    if (kind === 'required' || operation !== undefined) {
      checkFunction(`plugin.operations.${name}`, operation);
    }
  }
  if (clock === undefined) return;
  checkObject('plugin.clock', clock);
  const methods: Partial<Record<keyof StackClock, unknown>> = clock;
  for (const each of CLOCK) checkFunction(`plugin.clock.${each}`, methods[each]);
}
