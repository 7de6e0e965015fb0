/** What native code tells of a group, as a connection's notice handler is to hear it. */
import { NoticeKind, type NativeConnection } from '../native.js';
import type { ClusterMembership, ClusterNotice } from '../stackglue/notices.js';

/**
 * The notice of one of {@link NoticeKind}; not of `nodeFailed`, which is the recovery handler's.
 *
 * @param ring that of the membership from it on.
 * @param needsKeeper whether the locks are lost with the keeper.
 */
export function toNotice(
  kind: number,
  node: number,
  ring: bigint | undefined,
  needsKeeper: boolean,
): ClusterNotice {
  switch (kind) {
    case NoticeKind.nodeJoined:
      return { kind: 'memberJoined', node, ring, locks: 'valid' };
    case NoticeKind.nodeLeft:
      return { kind: 'memberLeft', node, ring, locks: 'valid' };
    case NoticeKind.stopped:
      return { kind: 'stopped', locks: 'valid' };
    case NoticeKind.resumed:
      return { kind: 'resumed', locks: 'valid' };
    case NoticeKind.released:
      return { kind: 'released', locks: 'lost' };
    case NoticeKind.quorumLost:
      return { kind: 'quorumLost', ring, locks: 'unsure' };
    case NoticeKind.quorumRegained:
      return { kind: 'quorumRegained', ring, locks: 'unsure' };
    case NoticeKind.daemonGone:
      return { kind: 'daemonGone', locks: 'unsure' };
    case NoticeKind.killed:
      return { kind: 'killed', locks: 'lost' };
    case NoticeKind.keeperGone:
      return { kind: 'keeperGone', locks: needsKeeper ? 'lost' : 'valid' };
    default:
      throw new Error(`stackglue: no notice ${kind}`);
  }
}

/** The membership that a native connection is in, if it knows that. */
export function membershipOf(native: NativeConnection): ClusterMembership | undefined {
  const [ring, isQuorate] = native.membership();
  return ring === 0n ? undefined : { ring, isQuorate };
}
