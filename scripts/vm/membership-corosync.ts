/** Membership by corosync and dlm_controld in the guests, as on real hosts. */

import { VmError, messageOf } from './errors.js';
import type { Membership } from './membership.js';
import { nodeAddress, type GuestNode } from './guest-node.js';

/** Options of the mode `corosync`. */
export interface CorosyncOptions {
  /** corosync's token timeout in milliseconds: how long a dead node goes unnoticed. */
  readonly tokenMs: number;
}

const COROSYNC_LOG = '/var/log/corosync.log';
const COMMS = '/sys/kernel/config/dlm/cluster/comms';

/** corosync.conf; its parser wants each statement and each brace on a line of its own. */
function corosyncConf(nodes: number, tokenMs: number): string {
  const lines = [
    'totem {',
    'version: 2',
    'cluster_name: stackglue',
    'transport: udpu',
    'crypto_cipher: none',
    'crypto_hash: none',
    `token: ${tokenMs}`,
    'token_coefficient: 0',
    '}',
    'logging {',
    'to_stderr: no',
    'to_syslog: no',
    'to_logfile: yes',
    `logfile: ${COROSYNC_LOG}`,
    'timestamp: hires',
    '}',
    'quorum {',
    'provider: corosync_votequorum',
    '}',
    'nodelist {',
  ];
  for (let id = 1; id <= nodes; id++) {
    lines.push('node {', `ring0_addr: ${nodeAddress(id)}`, `nodeid: ${id}`, `name: n${id}`, '}');
  }
  return [...lines, '}', ''].join('\n');
}

const DLM_CONF = 'enable_fencing=0\nprotocol=tcp\nlog_debug=1\n';

/**
 * Starts both daemons. dlm_controld answers before the nodes' addresses have reached the kernel,
 * and joining a lockspace in between fails (ENOTCONN); so the kernel's own list is what is waited
 * for. The waits are coarse because polling costs an emulated guest the time it needs to form.
 */
function startCommand(id: number, members: number): string {
  return [
    'set -e',
    `corosync || { tail -n 20 ${COROSYNC_LOG}; exit 1; }`,
    `until grep -q 'within the primary component' ${COROSYNC_LOG}; do sleep 0.1; done`,
    'dlm_controld',
    `until [ "$(ls ${COMMS} 2>/dev/null | wc -l)" -ge ${members} ] &&`,
    `  grep -q 1 ${COMMS}/${id}/local 2>/dev/null; do sleep 0.1; done`,
  ].join('\n');
}

/** See the top of this file. */
export class CorosyncMembership implements Membership {
  readonly #conf: string;

  constructor(nodes: number, options: CorosyncOptions) {
    this.#conf = corosyncConf(nodes, options.tokenMs);
  }

  async form(nodes: readonly GuestNode[]): Promise<void> {
    await Promise.all(nodes.map((node) => this.rejoin(node, nodes.length)));
  }

  async rejoin(node: GuestNode, upNodes: number): Promise<void> {
    await node.exec('cat > /etc/corosync/corosync.conf', { input: this.#conf });
    await node.exec('cat > /etc/dlm/dlm.conf', { input: DLM_CONF });
    try {
      await node.exec(startCommand(node.id, upNodes));
    } catch (error) {
      const logs = `tail -n 15 ${COROSYNC_LOG} /var/log/dlm_controld/dlm_controld.log`;
      const tail = await node
        .run(logs)
        .catch((failure: unknown) => ({ stdout: messageOf(failure) }));
      const message = `Node ${node.id} did not join the cluster: ${messageOf(error)}`;
      throw new VmError('boot', `${message}\n${tail.stdout}`, { cause: error });
    }
  }

  evict(): Promise<void> {
    const message = 'With membership "corosync" the cluster itself removes nodes that have failed.';
    return Promise.reject(new VmError('usage', message));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
