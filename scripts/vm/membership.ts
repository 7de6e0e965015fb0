/** Who is a member of the cluster, and who decides it. */

import type { GuestNode } from './guest-node.js';

/**
 * - `corosync`: corosync and dlm_controld run in the guests. The real thing: a dead node is noticed
 *   after the token's timeout, and a minority loses its quorum.
 * - `host`: no daemons; the harness plays dlm_controld from outside. Exact and fast: a node is a
 *   member until the harness says otherwise.
 * - `o2cb`: ocfs2's own stack in the kernels, with no daemons: a heartbeat on a disk that the nodes
 *   share, o2net between them, and o2dlm behind dlmfs in `/dlm`. A node is dead when the harness says so.
 * - `none`: nothing but the booted guests; there is no DLM until somebody sets it up.
 */
export type MembershipMode = 'corosync' | 'host' | 'o2cb' | 'none';

/** What happens in the middle of an eviction. */
export interface EvictOptions {
  /**
   * Called when the lockspaces are stopped and the survivors' lists have changed, before the first
   * lockspace is started again: what happens here falls into the recovery.
   */
  beforeStart?: (() => Promise<void>) | undefined;
}

/** One way of deciding membership, for one cluster. */
export interface Membership {
  /** Makes a cluster of nodes that have just booted; lockspaces can be joined when it resolves. */
  form(nodes: readonly GuestNode[]): Promise<void>;

  /**
   * Makes a node that has just booted again a member.
   *
   * @param upNodes how many nodes are running, this one included.
   */
  rejoin(node: GuestNode, upNodes: number): Promise<void>;

  /** Removes nodes that have failed, all in one change, where it falls to the harness to do so. */
  evict(ids: readonly number[], options?: EvictOptions): Promise<void>;

  /** Stops all activity of the harness in the guests. */
  close(): Promise<void>;
}

/** The mode `none`. */
export class NoMembership implements Membership {
  form(): Promise<void> {
    return Promise.resolve();
  }

  rejoin(): Promise<void> {
    return Promise.resolve();
  }

  evict(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
