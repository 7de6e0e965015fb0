/**
 * Stack `o2cb`: an emulation of ocfs2's classic stack inside this process, the embedded default. Its
 * locks hold among the simulated nodes of one process and no further.
 */

import { checkInteger, checkOptions, checkText, DlmError } from '../../errors.js';
import { native } from '../../native.js';
import { statusName } from '../../status.js';
import type { StackPlugin } from '../../stackglue/plugin.js';
import { O2CB_FEATURES } from './features.js';
import { createOperations } from './operations.js';

/** `O2NM_MAX_NODES`: node numbers are 0 to one less. */
const MAX_NODES = 255;

/** Which simulated node the plugin is. */
export interface O2cbOptions {
  /** The node's number, 0 to 254; 0 by default. */
  readonly node?: number;
  /** Nodes meet in domains of clusters of the same name, anywhere in the process. */
  readonly cluster?: string;
}

const OPTIONS: Readonly<Record<keyof O2cbOptions, true>> = { node: true, cluster: true };

/** The cluster of plugins that name none. */
const DEFAULT_CLUSTER = 'default';

/** A plugin for the stack `o2cb` as seen by one simulated node. */
export function createO2cbPlugin(options: O2cbOptions = {}): StackPlugin {
  checkOptions<O2cbOptions>('options', options, OPTIONS);
  const { node = 0, cluster = DEFAULT_CLUSTER } = options;
  checkInteger('options.node', node, 0, MAX_NODES - 1);
  checkText('options.cluster', cluster);
  return Object.freeze({
    name: 'o2cb',
    scope: 'process' as const,
    features: O2CB_FEATURES,
    operations: createOperations(
      (domain, ...rest) => new (native().NativeO2dlmConnection)({ cluster, ...domain }, ...rest),
      node,
      true,
    ),
  });
}

/**
 * The simulated node dies, as if its power were cut: its locks go, the recovery handler of every
 * node that shared a domain with it is called, and what waited for it is granted. On its own
 * connections what is under way ends with -ENOTCONN, and no other event comes; every call on them but
 * disconnect fails.
 */
export function killO2cbNode(node: number, cluster: string = DEFAULT_CLUSTER): void {
  checkInteger('node', node, 0, MAX_NODES - 1);
  checkText('cluster', cluster);
  const status = native().o2dlmKillNode(cluster, node);
  if (status !== 0) {
    throw new DlmError(
      'ERR_DLM_CONNECT',
      `Node ${node} is in no domain of cluster "${cluster}": ${statusName(status)}`,
      { op: 'killNode', resource: String(node), errno: -status },
    );
  }
}
