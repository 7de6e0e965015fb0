/**
 * Stack `user` without a cluster: the emulated fs/dlm in this process in the kernel's place. Its locks
 * hold among the simulated nodes of one process and no further.
 */

import { checkBoolean, checkInteger, checkOptions, checkText, DlmError } from '../../errors.js';
import { native as addon } from '../../native.js';
import { statusName } from '../../status.js';
import type { StackPlugin } from '../../stackglue/plugin.js';
import type { LockspaceSource } from './link.js';
import { userFeatures } from './features.js';
import { createOperations } from './operations.js';

/** The largest number of a node. */
const NODE_MAX = 2 ** 31 - 1;

/** The cluster of plugins that name none. */
const DEFAULT_CLUSTER = 'default';

/** Which simulated node the plugin is. */
export interface EmulatedUserOptions {
  /** The node's number, from 1; 1 by default. */
  readonly node?: number;
  /** Nodes meet in lockspaces of clusters of the same name, anywhere in the process. */
  readonly cluster?: string;
  /** As that of `createUserPlugin`: with false, the lockspace must be open on the node. */
  readonly create?: boolean;
  /** As that of `createUserPlugin`: the lockspace must not be open on the node. */
  readonly exclusive?: boolean;
  /** As that of `createUserPlugin`: refuse conversions that can never be granted. */
  readonly detectDeadlocks?: boolean;
}

const OPTIONS: Readonly<Record<keyof EmulatedUserOptions, true>> = {
  node: true,
  cluster: true,
  create: true,
  exclusive: true,
  detectDeadlocks: true,
};

/**
 * A plugin in the place of `createUserPlugin`'s, for a laptop and for tests: the same labels, calls,
 * flags, statuses and notices, on lockspaces emulated in this process, as seen by one simulated node.
 * Its scope is `process`, and each connection is a process of its own to the emulated DLM.
 */
export function createEmulatedUserPlugin(options: EmulatedUserOptions = {}): StackPlugin {
  checkOptions<EmulatedUserOptions>('options', options, OPTIONS);
  const { node = 1, cluster = DEFAULT_CLUSTER, create = true, exclusive = false } = options;
  const { detectDeadlocks = false } = options;
  checkInteger('options.node', node, 1, NODE_MAX);
  checkText('options.cluster', cluster);
  checkBoolean('options.create', create);
  checkBoolean('options.exclusive', exclusive);
  checkBoolean('options.detectDeadlocks', detectDeadlocks);
  const native = { cluster, node, create, exclusive };
  const source: LockspaceSource = {
    open: (name, ...channel) =>
      new (addon().NativeFsdlmConnection)({ ...native, name }, ...channel),
    needsKeeper: false,
    answersAtOnce: true,
  };
  return Object.freeze({
    name: 'user',
    scope: 'process' as const,
    features: userFeatures(detectDeadlocks),
    // Nothing is waited for here.
    operations: createOperations(source, {
      connectTimeoutMs: 0,
      disconnectTimeoutMs: 0,
      detectDeadlocks,
    }),
  });
}

/**
 * The simulated node dies, as if its power were cut: its locks and orphans go, the recovery handler of
 * every node that shared a lockspace with it is called, and what waited for it is granted. On its own
 * connections what is under way ends with -ENOTCONN, and no other event comes; every call on them but
 * disconnect is refused with it.
 */
export function killEmulatedUserNode(node: number, cluster: string = DEFAULT_CLUSTER): void {
  checkInteger('node', node, 1, NODE_MAX);
  checkText('cluster', cluster);
  const status = addon().fsdlmKillNode(cluster, node);
  if (status !== 0) {
    throw new DlmError(
      'ERR_DLM_CONNECT',
      `Node ${node} is in no lockspace of cluster "${cluster}": ${statusName(status)}`,
      { op: 'killNode', resource: String(node), errno: -status },
    );
  }
}
