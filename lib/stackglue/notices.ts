/** What a stack tells of a group beside the deaths of nodes: who is in it, and whether it works. */

/** A node of a group. */
export interface ClusterMember {
  /** The cluster's number of the node. */
  readonly node: number;
  /** The cluster's name for it; undefined where it has none. */
  readonly name: string | undefined;
  /** The addresses by which the lock managers speak to each other. */
  readonly addresses: readonly string[];
}

/** The membership of the cluster's nodes that a connection's group is in. */
export interface ClusterMembership {
  /**
   * Its number, corosync's ring sequence: it grows when nodes come, go or lose each other, and never when a
   * process starts or ends. All nodes that are together come to the same one.
   *
   * It is that of the newest membership of nodes that lacks no member of the group, but those of whom this
   * connection has been told that they are gone; nor does any before it. So it does not move before the recovery
   * handler or the notice that goes with it; where several nodes are gone, with the last of them. In a part of
   * the cluster that has lost the others, and its quorum, it stays as it was. For one connection it never goes
   * down.
   *
   * 64 bits without a sign, on every stack: more than a number can tell apart, and two that look alike would be
   * taken for the same.
   */
  readonly ring: bigint;
  /** Whether the part of the cluster that this node is in, as told last, may go on: it is the majority. */
  readonly isQuorate: boolean;
}

/**
 * Something that happened to a group, and what it means for the locks that this connection holds.
 *
 * `ring` is what `clusterMembership` says from that notice on: undefined where it says nothing.
 *
 * - `valid`: they are ours, and nobody else's.
 * - `unsure`: they are ours as far as this node knows, but the rest of the cluster may take this node
 *   for dead and, once it has fenced it, give its locks to others. Without fencing it does so at once.
 * - `lost`: they are gone. Others may have them already.
 */
export type ClusterNotice =
  /** A node has joined the group. */
  | {
      readonly kind: 'memberJoined';
      readonly node: number;
      readonly ring: bigint | undefined;
      readonly locks: 'valid';
    }
  /** A node has left in good order. (The recovery handler tells of one that has failed.) */
  | {
      readonly kind: 'memberLeft';
      readonly node: number;
      readonly ring: bigint | undefined;
      readonly locks: 'valid';
    }
  /** The lock manager has stopped, because the members change; requests wait until it resumes. */
  | { readonly kind: 'stopped'; readonly locks: 'valid' }
  /** The lock manager serves requests again. */
  | { readonly kind: 'resumed'; readonly locks: 'valid' }
  /** This part of the cluster is no longer the majority: it will not resume by itself. */
  | {
      readonly kind: 'quorumLost';
      readonly ring: bigint | undefined;
      readonly locks: 'unsure';
    }
  /** It is the majority again. The locks are `valid` once it has resumed. */
  | {
      readonly kind: 'quorumRegained';
      readonly ring: bigint | undefined;
      readonly locks: 'unsure';
    }
  /** The daemon that runs the lock manager (dlm_controld) has ended: the node must be restarted. */
  | { readonly kind: 'daemonGone'; readonly locks: 'unsure' }
  /**
   * Somebody else on this node took the group away, or (in a simulation) the node was fenced. What was
   * under way has ended with -ENOTCONN before, every request is refused with it from now on, and no notice
   * follows.
   */
  | { readonly kind: 'released'; readonly locks: 'lost' }
  /** This node, an emulated one, was killed (`killO2cbNode`, `killEmulatedUserNode`); else as `released`. */
  | { readonly kind: 'killed'; readonly locks: 'lost' }
  /**
   * The keeper has died. Where it made the calls into the kernel the locks are `lost`, and requests end
   * as with `released`; else all goes on, but the end of this process may wait for the cluster, and a
   * node's failure of which only dlm_controld knows is told as `memberLeft`.
   */
  | { readonly kind: 'keeperGone'; readonly locks: 'valid' | 'lost' };

/**
 * Called for every notice, with the connection's `recoveryData`; not before `clusterConnect` has resolved.
 */
export type NoticeHandler = (notice: ClusterNotice, recoveryData: unknown) => void;
